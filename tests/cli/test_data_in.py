"""Text that goes into a training, as a user gives it: real processes and real files with strange names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seq2seq.runs.run import Run
from tests.cli.test_cli import SIZE, run, write_corpus


def arguments(folder: Path, *more: str) -> list[str]:
    """A tiny training; its data is still to be named."""
    data = ["data=text", "data.subwords.vocab_size=60", "data.subwords.byte_fallback=false"]
    trainer = ["trainer.batch_tokens=256", "trainer.max_tokens=null", "trainer.max_steps=2", "trainer.threads=1"]
    rest = ["trainer.samples=1", "trainer.valid_every=2", "trainer.precision=fp32", "model.embedding=16"]
    places = [f"data.cache={folder}/cache", f"outputs={folder}/outputs"]
    return ["model=lstm", *SIZE["lstm"], *data, *trainer, *rest, *places, *more]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name Hydra cannot parse, with a corpus in it and a run on it that has two further test sets."""
    folder = tmp_path_factory.mktemp("texts") / "Bücher, alt=[neu] #1 it's;~!"
    folder.mkdir()
    write_corpus(folder)
    lines = {side: (folder / f"train.{side}").read_text().splitlines(keepends=True) for side in ("src", "tgt")}
    for side, all_lines in lines.items():
        (folder / f"1,a.{side}").write_text("".join(all_lines[:20]))
        (folder / f"2,b.{side}").write_text("".join(all_lines[20:]))
        (folder / f"news.{side}").write_text("".join(all_lines[:3]))
    files = [f"data.train.{side}={folder}/[12],?.{side}" for side in ("src", "tgt")]
    files += [f"data.{split}.{side}={folder}/{split}.{side}" for split in ("valid", "test") for side in ("src", "tgt")]
    files += [f"data.tests.news.{side}={folder}/news.{side}" for side in ("src", "tgt")]
    files += [
        f"data.tests.both.{side}=['{folder}/news.{side}','{folder}/test.{side}']".replace("it's", "it\\'s")
        for side in ("src", "tgt")
    ]
    done = run("train", *arguments(folder, "name=1e5", *files))
    (folder / "out").write_text(done.stdout)
    (folder / "err").write_text(done.stderr)
    return folder


def test_every_test_set_is_tested_and_shown(place: Path) -> None:
    trained = Run(place / "outputs/1e5")
    summary = trained.load_summary()
    assert {name: scores["sentences"] for name, scores in summary["tests"].items()} == {"news": 3, "both": 3 + 6}
    table = (place / "out").read_text().partition("all test sets")[2]
    for name, scores in {"test": summary["test"], **summary["tests"]}.items():
        assert f"{scores['bleu']:.2f}" in next(line for line in table.splitlines() if f"│ {name} " in line)
    saved = json.loads((trained.evaluation("news") / "scores.json").read_text())
    assert saved["nll"] == summary["tests"]["news"]["nll"]
    assert len((trained.evaluation("both") / "hypotheses.txt").read_text().splitlines()) == 9


def test_a_test_set_that_is_in_train_is_warned_of(place: Path) -> None:
    said = (place / "err").read_text()
    assert "warning: 3 of the 3 pairs of the test set news occur in train: their scores flatter the model" in said
    assert "warning: 3 of the 9 pairs of the test set both occur in train" in said


def test_a_run_that_has_moved_is_scored_on_all_that_it_was_scored_on(place: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(place / "outputs/1e5", tmp_path / "elsewhere")
    place.rename(tmp_path / "away")  # the corpus is gone
    try:
        for split, count in {"valid": 6, "test": 6, "news": 3}.items():
            scores = json.loads(run("evaluate", str(moved), f"data.split={split}", "decode.beam=1", "--json").stdout)
            assert scores["sentences"] == count
        error = run("evaluate", str(moved), "data.split=olds", code=2).stderr
        assert "data.split=olds is not possible: choose one of valid, test, news, both" in error
    finally:
        (tmp_path / "away").rename(place)


def test_evaluate_takes_a_new_test_set_and_opens_nothing_else(place: Path, tmp_path: Path) -> None:
    moved = str(shutil.copytree(place / "outputs/1e5", tmp_path / "elsewhere"))
    files = [f"data.tests.mine.{side}={place}/?,[ab].{side}" for side in ("src", "tgt")]
    scores = json.loads(run("evaluate", moved, "data.split=mine", *files, "decode.beam=1", "--json").stdout)
    assert scores["sentences"] == 36


def test_placeholders_and_invisible_lines_from_training_to_translation(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for split in ("train", "valid", "test"):
        for side in ("src", "tgt"):
            path = tmp_path / f"{split}.{side}"
            path.write_text("".join(f"<b>{line[:-1]} ⟨NUM⟩\n" for line in path.read_text().splitlines(keepends=True)))
    with (tmp_path / "train.src").open("a") as src, (tmp_path / "train.tgt").open("a") as tgt:
        src.write("\u200b\nthe ▅\n")
        tgt.write("der hund\nder\n")
    files = [f"data.{s}.{side}={tmp_path}/{s}.{side}" for s in ("train", "valid", "test") for side in ("src", "tgt")]
    keep = "data.subwords.keep=[⟨NUM⟩,'<b>']"
    more = [keep, "data.subwords.sampling=0.2", "trainer.max_steps=150", "trainer.valid_every=150"]
    done = run(
        "train",
        *arguments(
            tmp_path, "name=kept", *files, *more, "trainer.optimizer.lr=0.01", "trainer.optimizer.warmup_steps=10"
        ),
    )
    assert "1 empty" in done.stdout
    assert "warning: SentencePiece learns nothing from some lines of both sides, 1 with its own sign ▅" in done.stderr
    found = Run(tmp_path / "outputs/kept").load_summary()["test"]["placeholders"]
    assert [(each["symbol"], each["in_source"]) for each in found] == [("⟨NUM⟩", 6), ("<b>", 6)]
    assert all(each["came_through"] == 6 for each in found)  # it has learned to copy
    table = done.stdout.partition("placeholders")[2]
    assert "⟨NUM⟩" in table and "100.0%" in table
    out = run(
        "translate", f"{tmp_path}/outputs/kept", stdin="<b>the dog sees a child ⟨NUM⟩\n\u200b\ufeff\n".encode()
    ).stdout
    assert out.startswith("<b>") and out.endswith("⟨NUM⟩\n\n")
    assert "came through" in run("evaluate", f"{tmp_path}/outputs/kept", "decode.beam=1").stdout
