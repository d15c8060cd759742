"""Our own worker on a tiny text, from the corpus that the benchmark writes to what the worker answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.bench import corpus, plan
from scripts.bench.context import Bench
from scripts.bench.figures import checked
from scripts.bench.parts import scaling
from scripts.bench.worker import Row, start

SMALL = {"embedding": 16, "encoder": 8, "decoder": 16, "attention": 8}
NOUNS = {"dog": "Hund", "cat": "Katze", "child": "Kind", "house": "Haus", "garden": "Garten"}
VERBS = {"sees": "sieht", "knows": "kennt", "likes": "mag"}
COMMON: dict[str, Any] = {"batch_tokens": 200, "dropout": 0.0, "label_smoothing": 0.0, "lr": 0.01, "warmup": 5}
CASE = plan.Case("tiny", "bahdanau", SMALL, **COMMON)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> corpus.Text:
    """75 sentences, repeated, in the files that every contender reads."""
    folder = tmp_path_factory.mktemp("text")
    pairs = [
        (f"the {a} {v} a {b}", f"der {NOUNS[a]} {VERBS[v]} ein {NOUNS[b]}")
        for a, v, b in itertools.product(NOUNS, VERBS, NOUNS)
    ]
    for split, rows in (("train", pairs * 3), ("val", pairs[:9]), ("test", pairs * 5)):
        for n, end in enumerate(("en", "de")):
            (folder / f"{split}.{end}").write_text("".join(f"{row[n]}\n" for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "CACHE", folder / "cache")
        patch.setenv("SEQ2SEQ_BENCH_TEXT", str(folder))
        return corpus.text()


@pytest.fixture
def row(text: corpus.Text, tmp_path: Path) -> Callable[..., Row]:
    """A row of ours on the tiny text."""
    bench = Bench(plan.QUICK, "cpu", 1, tmp_path)
    return lambda task, **more: bench.row(CASE, text, task, precision="fp32", **more)


def test_a_text_too_small_for_the_vocabulary_gets_a_smaller_one(text: corpus.Text) -> None:
    assert text.vocabulary < corpus.VOCABULARY
    tokens = (text.folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(tokens) == text.vocabulary and tokens[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    with np.load(text.folder / "train.ids.npz") as arrays:
        first = arrays["src"][: arrays["src_offsets"][1]]
    line = (text.folder / "train.tokens.src").read_text(encoding="utf-8").split("\n")[0]
    assert [tokens[n] for n in first] == [*line.split(" "), "</s>"]


def test_ours_learns_is_checked_and_translates(row: Callable[..., Row]) -> None:
    asked = row("train")
    with start(asked) as worker:
        assert asked.about["precision"] == "fp32" and asked.about["flops_per_token"] > 0
        before = checked(worker.ask({"check": True}, 60))
        slice_ = worker.ask({"seconds": 1.0}, 60)
        assert slice_["tokens"] > slice_["updates"] > 0
        after = checked(worker.ask({"check": True}, 60))
        assert after["own"] < before["own"] and before["same"] is after["same"] is True
        found = worker.ask({"translate": [["▁the", "▁dog"], ["▁a"]]}, 60)["translate"]
        assert len(found) == 2 and "</s>" not in found[0]


@pytest.mark.slow
@pytest.mark.parametrize("beam", [1, 3])
def test_ours_decodes_hypotheses_of_the_length_asked_for(row: Callable[..., Row], beam: int) -> None:
    with start(row("decode", decode={"beam": beam, "batch": 4, "length": 6})) as worker:
        answer = worker.ask({"seconds": 0.1}, 60)  # the worker itself refuses hypotheses of another length
        assert answer["tokens"] == answer["updates"] * 4 * 6 > 0


@pytest.mark.slow
def test_ours_answers_what_only_it_is_asked(row: Callable[..., Row], tmp_path: Path) -> None:
    asked = row("profile")
    start(asked).stop()
    assert 0 < asked.about["answer"]["loading_share"] < 1 and len(asked.about["answer"]["operations"]) > 5
    asked = row("lengths", lengths=[3, 6])
    start(asked).stop()
    assert [length for length, _ in asked.about["answer"]["seconds"]] == [3, 6]
    start(row("save", run=str(tmp_path / "run"))).stop()
    assert (tmp_path / "run" / "config.yaml").exists()
    with start(row("decode", run=str(tmp_path / "run"), decode={"beam": 1, "batch": 4, "length": 6})) as worker:
        assert worker.ask({"seconds": 0.1}, 60)["tokens"] > 0


@pytest.mark.slow
def test_a_corpus_of_any_size_is_written_and_measured(text: corpus.Text, tmp_path: Path) -> None:
    bench = Bench(replace(plan.QUICK, seconds=0.01), "cpu", 1, tmp_path)
    assert scaling.ask(bench, text, tmp_path, 500, build=True) == {}
    found = scaling.ask(bench, text, tmp_path, 500, build=False)
    assert found["pairs"] == 500 and found["sum_us"] == pytest.approx(found["pipeline_us"] + found["update_us"])
    assert 0 < found["planning_share"] < 1 and found["private_mb"] >= found["pipeline_mb"]
