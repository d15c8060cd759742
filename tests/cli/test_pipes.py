"""Pipes and encodings: what arrives is answered at once, and output is UTF-8 in every locale."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seq2seq.cli.main import main
from seq2seq.cli.translate import _converse
from seq2seq.config.schema import DecodeConfig
from seq2seq.data.arriving import batches_of_lines
from seq2seq.decoding.translator import Translation
from seq2seq.errors import UserError
from tests.cli.test_cli import ENVIRONMENT, SEQ2SEQ, run, train_arguments
from tests.processes import start_command

GERMAN = "für ölige äpfel grüßt"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned a little German with umlauts."""
    folder = tmp_path_factory.mktemp("pipes")
    for split, copies in (("train", 30), ("valid", 2), ("test", 2)):
        (folder / f"{split}.src").write_text("for oily apples greets\n" * copies)
        (folder / f"{split}.tgt").write_text(f"{GERMAN}\n" * copies, encoding="utf-8")
    options = ["data.subwords.vocab_size=40", "trainer.max_steps=60", "trainer.optimizer.warmup_steps=1"]
    run("train", *train_arguments(folder, "bahdanau", *options, "trainer.valid_every=60"))
    return folder / "outputs/text/bahdanau/seed1"


def pipe_with(content: bytes) -> int:
    end, into = os.pipe()
    os.write(into, content)
    os.close(into)
    return end


def test_a_batch_ends_where_nothing_more_is_waiting() -> None:
    end, into = os.pipe()
    batches = batches_of_lines(end, "here", 3)
    os.write(into, b"\xef\xbb\xbfone\r\ntwo\nthr")
    assert next(batches) == ["one", "two"]
    os.write(into, b"ee\n" + b"x\n" * 4)
    assert [next(batches), next(batches)] == [["three", "x", "x"], ["x", "x"]]
    os.write(into, b"\n\nno end")
    assert next(batches) == ["", ""]
    os.close(into)
    assert list(batches) == [["no end"]]


def test_a_file_is_read_in_full_batches(tmp_path: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(50_000))
    (tmp_path / "long").write_text(text)
    with (tmp_path / "long").open("rb") as file:
        found = list(batches_of_lines(file.fileno(), "long", 2_000))
    assert [len(batch) for batch in found] == [2_000] * 25
    assert "".join(f"{line}\n" for batch in found for line in batch) == text


def test_wrong_bytes_are_named_by_their_line() -> None:
    with pytest.raises(UserError, match="here:2: not UTF-8"):
        list(batches_of_lines(pipe_with(b"a\n\xff\n"), "here", 9))


def test_a_line_is_answered_before_the_next_one_is_written(trained: Path) -> None:
    process = subprocess.Popen(
        [SEQ2SEQ, "translate", str(trained), "decode.beam=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        bufsize=0,  # so that nothing is read ahead of select
    )
    assert process.stdin and process.stdout
    answers = []
    for text in (b"for oily\n", b"\n", b"apples\ngreets\n"):
        process.stdin.write(text)
        process.stdin.flush()
        for _ in range(text.count(b"\n")):
            assert select.select([process.stdout], [], [], 60)[0], "no answer while the input is open"
            answers.append(process.stdout.readline())
    process.stdin.close()
    assert process.wait(60) == 0
    assert len(answers) == 4
    assert answers[1] == b"\n"
    whole = run("translate", str(trained), "decode.beam=1", stdin=b"for oily\n\napples\ngreets\n")
    assert b"".join(answers).decode() == whole.stdout


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow)]
)
def test_output_is_utf8_in_every_locale_and_a_byte_order_mark_is_no_text(trained: Path, locale: dict[str, str]) -> None:
    command, text = [SEQ2SEQ, "translate", str(trained), "decode.nbest=2", "decode.beam=2"], b"for oily apples\n"
    plain = run(*command[1:], stdin=text).stdout
    assert "ü" in plain
    environment = {**ENVIRONMENT, **locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, input=b"\xef\xbb\xbf" + text, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == plain


@pytest.mark.parametrize("by", ["stdin", "file"])
def test_a_line_of_any_length_is_answered_with_those_around_it(trained: Path, tmp_path: Path, by: str) -> None:
    (tmp_path / "long").write_text("for oily apples greets\n" + "oily " * 3_500_000 + "\nfor oily apples greets\n")
    source = ["--in", str(tmp_path / "long")] if by == "file" else []
    streams = [tmp_path / "long", tmp_path / "out", tmp_path / "err"]
    given = ["translate", str(trained), "decode.beam=1", "decode.max_input=20", *source]
    process = start_command(*given, streams=streams, env=ENVIRONMENT)
    process.join(120)
    assert process.exitcode == 0
    first, _, last = streams[1].read_text().splitlines()
    assert first == last != ""
    assert "line 2: more than decode.max_input=20 tokens: only the first are read" in streams[2].read_text()


@pytest.mark.parametrize("end", ["\n", "\u3000\n", " \u200b\r\n", ""])
def test_a_person_at_a_terminal_is_read_as_a_file_is(end: str, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Every line as it stands; one that the program takes for empty, or the end of the input, ends."""
    given = f"\ufeff  für\u2028ölige \r\ne\u0301 \x0c\u00a0x\n{end}" + ("never\n" if end else "")
    asked: list[str] = []

    def translate(lines: list[str], *_: object, **more: object) -> list[list[Translation]]:
        asked.extend(lines)
        return [[Translation(f"<{line}>", 0.0, 0.0, [], [], None)] for line in lines]

    loaded: Any = SimpleNamespace(
        translator=SimpleNamespace(translate=translate), config=SimpleNamespace(decode=DecodeConfig())
    )
    with os.fdopen(pipe_with(given.encode())) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        _converse(loaded, attention=False)
    assert asked == ["  für\u2028ölige ", "e\u0301 \x0c\u00a0x"]
    assert capfd.readouterr().out == "".join(f"<{line}>\n" for line in asked)


def test_out_says_that_it_makes_a_folder_and_refuses_one(trained: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in").write_text("apples\n")
    source = ["translate", str(trained), "--in", str(tmp_path / "in"), "--out"]
    assert main([*source, str(tmp_path / "new/out")]) == 0
    assert f"making the folder {tmp_path}/new" in capfd.readouterr().err
    assert main([*source, str(tmp_path / "new")]) == 2
    assert "is a folder: name a file in it" in capfd.readouterr().err
