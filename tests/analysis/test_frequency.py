"""Words by their frequency in training: counted in the text, and found in translations."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.analysis import frequency as module
from seq2seq.analysis.frequency import BUCKETS, EDGES, found_words, frequencies
from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.data.lengths import CHARACTERS, WORDS
from seq2seq.errors import UserError
from seq2seq.evaluation.words import bare_words
from seq2seq.runs.run import Run
from tests.fake_runs import FakeRun


def test_words_are_bare_of_the_punctuation_around_them() -> None:
    assert bare_words(["„Haus“,", "-", "don't", "...", "S.", "5%", "(x-y)"]) == ["Haus", "don't", "S", "5", "x-y"]


def test_a_bucket_has_its_upper_end() -> None:
    assert len(BUCKETS) == len(EDGES) + 1
    counts = {"a": 0, "b": 1, "c": 10, "d": 11, "e": 10_000, "f": 10_001}
    [found] = found_words(["a b c d e f"], ["a b c d e f"], counts, WORDS)
    assert found[:, 1].tolist() == [1, 2, 1, 0, 1, 1]


def test_a_word_is_found_as_often_as_the_translation_has_it() -> None:
    counts = {"der": 500, "Hund": 5, "Mond": 0}
    references = ["der Hund, der Hund.", "der Mond", "der"]
    found = found_words(["der der der Hund", "Mond (der)", ""], references, counts, WORDS)
    assert found[:, 0].tolist() == [[0, 0], [1, 1], [0, 0]]  # Mond
    assert found[:, 1].tolist() == [[1, 2], [0, 0], [0, 0]]  # Hund
    assert found[:, 3].tolist() == [[2, 2], [1, 1], [0, 1]]  # der


def test_text_without_spaces_counts_characters() -> None:
    [found] = found_words(["猫は犬"], ["猫犬。"], {"猫": 3, "犬": 0}, CHARACTERS)
    assert found[:2].tolist() == [[1, 1], [1, 1]]


@pytest.fixture
def trained(fake_run: FakeRun, tmp_path: Path) -> tuple[Run, Config]:
    """A run on files, whose training targets are five lines."""
    for side in ("src", "tgt"):
        lines = ["der Hund.", "der Mond", "die Hunde, der Mond", "x", "der"] if side == "tgt" else ["x"] * 5
        (tmp_path / f"train.{side}").write_text("".join(f"{line}\n" for line in lines))
    options = [f"data.{split}.{side}={tmp_path}/train.{side}" for split in ("train", "valid", "test")
               for side in ("src", "tgt")]  # fmt: skip
    arguments = ["data=text", *options]
    return fake_run("run", "lstm", 1, (), *arguments), compose(["experiment=lstm", *arguments])


def test_training_targets_are_counted_once_and_the_record_is_kept(
    trained: tuple[Run, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    references = ["der Hund", "Mond, Katze!"]
    found = frequencies(*trained, references)
    assert found["counts"] == {"der": 4, "Hund": 1, "Mond": 2, "Katze": 0}
    assert (found["read"], found["cut"]) == (5, False)
    monkeypatch.setattr(module, "TrainingText", lambda *_: pytest.fail("it was there"))
    assert frequencies(*trained, references) == found
    monkeypatch.undo()
    assert frequencies(*trained, ["die"])["counts"] == {"die": 1}


def test_a_long_training_text_is_read_up_to_a_limit(
    trained: tuple[Run, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    found = frequencies(*trained, ["der"])
    assert (found["counts"], found["read"], found["cut"]) == ({"der": 2}, 2, True)


def test_pairs_that_the_filters_drop_are_not_counted(fake_run: FakeRun, tmp_path: Path) -> None:
    pairs = [("a dog", "der Hund"), ("a dog", "der Hund"), ("", "Hund"), ("x", "Katze " * 30), ("Mond " * 99,) * 2]
    for side, lines in zip(("src", "tgt"), zip(*pairs, strict=True), strict=True):
        (tmp_path / f"train.{side}").write_text("".join(f"{line}\n" for line in lines))
    files = [f"data.{split}.{side}={tmp_path}/train.{side}" for split in ("train", "valid", "test")
             for side in ("src", "tgt")]  # fmt: skip
    limits = ["max_length=60", "max_ratio=9", "deduplicate=true"]

    def counted(*filters: str) -> tuple[list[int], int]:
        arguments = ["data=text", *files, *(f"data.filters.{each}" for each in filters)]
        config = compose(["experiment=lstm", *arguments])
        found = frequencies(fake_run("run", "lstm", 1, (), *arguments), config, ["der Hund", "Katze Mond"])
        return list(found["counts"].values()), found["read"]

    assert counted(*limits) == ([1, 1, 0, 0], 5)
    assert counted("max_length=1000") == ([2, 2, 30, 99], 5), "the record of other filters is made anew"


def test_text_that_is_gone_is_said(trained: tuple[Run, Config], tmp_path: Path) -> None:
    (tmp_path / "train.tgt").unlink()
    with pytest.raises(UserError, match=r"train\.tgt"):
        frequencies(*trained, ["a"])
    assert not (trained[0].folder / "measurements").exists()
