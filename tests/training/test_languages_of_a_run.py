"""The languages of a user's own text: read off its letters, said once, kept in the run, and set at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.cli.main import main
from seq2seq.config.direction import directed
from seq2seq.config.schema import Config, DataConfig, SplitConfig, SubwordConfig
from seq2seq.evaluation.metrics import BLEU
from seq2seq.runs.run import Run, differences, run_of
from seq2seq.training import session

CHARACTERS = "天地人日月山水火木金土大小上下左右"


@pytest.fixture
def chinese(toy_config: Callable[..., Config], tmp_path: Path) -> Config:
    """Twenty pairs of English and Chinese."""
    lines = [[(n * k) % 16 for k in (1, 3, 5, 7, 2, 9)] for n in range(1, 21)]
    english = "".join(" ".join(f"word{n}" for n in line) + "\n" for line in lines)
    (tmp_path / "a").write_text(english, "utf-8")
    (tmp_path / "b").write_text("".join("".join(CHARACTERS[n] for n in line) + "。\n" for line in lines), "utf-8")
    split = SplitConfig(src=str(tmp_path / "a"), tgt=str(tmp_path / "b"))
    subwords = SubwordConfig(vocab_size=64, byte_fallback=False)
    own = DataConfig(name="own", source="text", train=split, valid=split, test=split, cache=str(tmp_path / "cache"))
    return replace(
        toy_config(data=replace(own, subwords=subwords), max_steps=2, valid_every=2), outputs=str(tmp_path / "outputs")
    )


def test_the_language_is_read_off_said_kept_and_may_be_set_later(
    chinese: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    session.train(chinese)
    told = capsys.readouterr().err.splitlines()
    [line] = [line for line in told if "data.tgt" in line]
    assert line == "data.tgt is not given: text in Chinese characters is taken as zh; to set it: data.tgt=CODE"
    run = run_of(chinese)
    assert (run.load_config().data.src, run.load_config().data.tgt) == (None, "zh")
    assert "tok:zh|" in str(run.load_summary()["test"]["bleu_signature"])
    assert differences(run.load_config(), chinese) == []
    session.train(chinese)  # finished: nothing is read, nothing differs
    assert "data.tgt" not in capsys.readouterr().err
    assert differences(run.load_config(), replace(chinese, data=replace(chinese.data, tgt="th"))) == [
        "data.tgt: zh -> th"
    ]
    text = [str(chinese.data.train.src), str(chinese.data.train.tgt)]
    assert main(["evaluate", str(run.folder), "--src", text[0], "--ref", text[1], "data.tgt=th", "--json"]) == 0
    assert "tok:char|" in capsys.readouterr().out


def test_letters_that_do_not_tell_are_said_once(
    chinese: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = SplitConfig(src=str(tmp_path / "b"), tgt=str(tmp_path / "a"))
    data = replace(chinese.data, name="back", train=split, valid=split, test=split)
    session.train(replace(chinese, data=data))
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if "not given" in line]
    assert [line.partition(":")[0] for line in lines] == [
        "data.src is not given",
        "data.tgt is not given, and the script does not tell it",
    ]
    assert "back: zh → ?" in told.out
    assert "longest third (7–7 characters)" in told.out
    folder = tmp_path / "outputs" / "back" / chinese.model.name / "seed1"
    assert Run(folder).load_config().data.tgt is None
    assert {row["unit"] for row in Run(folder).load_summary()["test"]["by_length"]} == {"characters"}
    assert main(["evaluate", str(folder), "data.split=valid"]) == 0
    told = capsys.readouterr()
    assert "not given" not in told.err
    assert "longest third (7–7 characters)" in told.out
    asked = ["evaluate", str(folder), "--src", str(tmp_path / "b"), "--ref", str(tmp_path / "b"), "--json"]
    assert main(asked) == 0, "references in other letters than those of training"
    read = capsys.readouterr()
    assert "tok:zh|" in read.out
    assert "is taken as zh" in read.err


def test_a_run_that_recorded_de_in_silence_goes_on(chinese: Config) -> None:
    older = replace(chinese, data=replace(chinese.data, src="en", tgt="de"))
    run = run_of(older)
    run.save_config(older)
    assert differences(run.load_config(), chinese) == []


def test_other_directions_have_a_name_without_codes() -> None:
    split = SplitConfig(src="a", tgt="b")
    data = DataConfig(name="own", source="text", train=split, reverse=True)
    assert directed(Config(data=data)).data.name == "own-reversed"
    assert directed(Config(data=replace(data, src="zh", tgt="en"))).data.name == "own-en-zh"


def test_score_reads_the_language_off_the_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["今天天气很好，我们去公园散步。", "他昨天买了三本书。"]
    (tmp_path / "ref").write_text("\n".join(lines), "utf-8")
    assert main(["score", str(tmp_path / "ref"), "--ref", str(tmp_path / "ref"), "--json"]) == 0
    told = capsys.readouterr()
    assert BLEU.signature("zh") in told.out
    assert "--lang is not given: text in Chinese characters is taken as zh; to set it: --lang=CODE" in told.err
