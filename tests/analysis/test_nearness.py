"""Nearness to the training text: against a search through all edits, and where the record is kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from seq2seq.analysis import nearness as module
from seq2seq.analysis.nearness import near_any, nearness
from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.data.lengths import CHARACTERS, WORDS
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from tests.fake_runs import FakeRun


def is_near(a: list[str], b: list[str]) -> bool:
    """Levenshtein's distance over words is at most one, by trying every edit."""
    if len(a) < len(b):
        a, b = b, a
    without = [a[:n] + a[n + 1 :] for n in range(len(a))]
    same_place = [n for n in range(len(a)) if len(a) == len(b) and a[:n] == b[:n] and a[n + 1 :] == b[n + 1 :]]
    return a == b or b in without or bool(same_place)


def test_it_finds_what_a_search_through_all_edits_finds() -> None:
    draw = random.Random(3)
    src, training = ([" ".join(draw.choices("abc", k=draw.randint(1, 6))) for _ in range(n)] for n in (150, 60))
    expected = [n for n, line in enumerate(src) if any(is_near(line.split(), other.split()) for other in training)]
    assert near_any(src, training, WORDS) == expected
    assert 20 < len(expected) < 140


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("the cat sees the dog", True),
        ("the cat sees a dog", True),
        ("cat sees the dog", True),
        ("the cat sees the old dog", True),
        ("the cat sees the dog.", True),  # punctuation belongs to its word
        ("the dog sees the cat", False),
        ("cat the sees the dog", False),
        ("sees the dog", False),
        ("", False),
    ],
)
def test_one_word_is_the_limit(line: str, near: bool) -> None:
    assert near_any([line], iter(["the cat sees the dog", "x " * 500]), WORDS) == [0] * near


def test_a_source_without_spaces_is_compared_by_characters() -> None:
    assert near_any(["他看见一只猫", "他看见两只狗"], ["她看见一只猫"], CHARACTERS) == [0]


@pytest.fixture
def trained(fake_run: FakeRun, tmp_path: Path, tiny_subwords: Subwords) -> tuple[Run, Config]:
    """A run on files, whose training text has six pairs."""
    for side in ("src", "tgt"):
        lines = ["the cat sleeps", "a dog barks", "the old man reads a book", "x y z", "x y w", "u v w"]
        (tmp_path / f"train.{side}").write_text("".join(f"{line}\n" for line in lines))
    given = [
        f"data.{split}.{side}={tmp_path}/train.{side}"
        for split in ("train", "valid", "test")
        for side in ("src", "tgt")
    ]
    options = ["data=text", *given]
    return fake_run("run", "lstm", 1, (), *options), compose(["experiment=lstm", *options])


def test_the_record_is_kept_and_made_anew_for_other_text(
    trained: tuple[Run, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = trained
    src = ["the dog sleeps", "two dogs bark", "u v w"]
    found = nearness(run, config, src)
    assert (found["near"], found["read"], found["cut"]) == ([0, 2], 6, False)
    monkeypatch.setattr(module, "near_any", lambda *_: pytest.fail("it was there"))
    assert nearness(run, config, src) == found
    monkeypatch.undo()
    assert nearness(run, config, src[1:])["near"] == [1]
    (run.folder / "measurements" / "nearness.json").write_text('{"near": "all"}')
    assert nearness(run, config, src) == found


def test_a_long_training_text_is_read_up_to_a_limit(
    trained: tuple[Run, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    found = nearness(*trained, ["u v w", "a dog"])
    assert (found["near"], found["read"], found["cut"]) == ([1], 4, True)
    monkeypatch.setattr(module, "MOST", 6)
    assert nearness(*trained, ["u v w"])["cut"] is False


def test_text_that_is_gone_is_said(trained: tuple[Run, Config], tmp_path: Path) -> None:
    (tmp_path / "train.src").unlink()
    with pytest.raises(UserError, match=r"train\.src"):
        nearness(*trained, ["a"])
    assert not (trained[0].folder / "measurements").exists()
