"""Scores against sacreBLEU's own command line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from seq2seq.config.schema import TrainerConfig
from seq2seq.errors import UserError
from seq2seq.evaluation import metrics as scores
from seq2seq.evaluation.metrics import BLEU, CHRF, METRICS, TER, USUAL, bleu_tokenizer, score

REFERENCES = ["Die Katze sieht den kleinen Hund.", "Er läuft schnell nach Hause, sagt sie.", "Das alte Haus …", "½"]
HYPOTHESES = ["Die Katze sieht einen kleinen Hund.", "Er läuft nach Hause , sagt sie", "Das alte Haus …", ""]
NAMES = {"bleu": "BLEU", "chrf": "chrF2", "ter": "TER"}


def test_scores_and_signatures_are_those_of_the_command_line(tmp_path: Path) -> None:
    for name, lines in (("ref", REFERENCES), ("hyp", HYPOTHESES)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "bleu", "chrf", "ter", "-w", "9"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = {row["name"]: row for row in json.loads(run.stdout)}
    found = score(HYPOTHESES, REFERENCES, "de", (BLEU, CHRF, TER))
    for name, theirs in NAMES.items():
        assert found[name] == pytest.approx(expected[theirs]["score"], abs=1e-8)
        assert found[f"{name}_signature"] == expected[theirs]["signature"]
    assert 0 < float(found["bleu"]) < 100


def test_scores_are_plain_numbers_and_text() -> None:
    found = score(HYPOTHESES, REFERENCES, "de")
    assert {key: type(value) for key, value in found.items()} == {
        "bleu": float,
        "bleu_signature": str,
        "chrf": float,
        "chrf_signature": str,
    }


def test_a_perfect_translation_scores_a_hundred_and_no_errors() -> None:
    found = score(REFERENCES, REFERENCES, "de", (BLEU, CHRF, TER))
    assert [found[name] for name in NAMES] == pytest.approx([100, 100, 0])


def test_every_metric_that_a_checkpoint_is_chosen_by_says_which_way_is_up() -> None:
    [choices] = [f.metadata["choices"] for f in fields(TrainerConfig) if f.name == "metric"]
    assert {key: METRICS[key].higher_is_better for key in choices} == {"bleu": True, "chrf": True, "nll": False}
    assert BLEU.better(2, 1) and not BLEU.better(1, 1) and METRICS["nll"].better(1, 2)
    assert not TER.higher_is_better and all(metric.higher_is_better for metric in USUAL)


@pytest.mark.parametrize("hypotheses", [["a"], ["a", "b", "c"], []])
def test_numbers_of_lines_that_differ_are_an_error(hypotheses: list[str]) -> None:
    with pytest.raises(UserError, match=f"{len(hypotheses)} hypotheses but 2 references"):
        score(hypotheses, ["a", "b"], "de")


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(UserError, match="nothing to score"):
        score([], [], "de")


@pytest.mark.parametrize(
    ("language", "tokenizer"), [("de", "13a"), ("en", "13a"), ("zh", "zh"), ("zh-CN", "zh"), ("zh_Hans", "zh")]
)
def test_the_language_decides_the_tokenizer(language: str, tokenizer: str) -> None:
    assert bleu_tokenizer(language) == tokenizer


@pytest.mark.parametrize(("installed", "tokenizers"), [(False, ["char"] * 2), (True, ["ja-mecab", "ko-mecab"])])
def test_ja_and_ko_fall_back_to_characters(
    installed: bool, tokenizers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "find_spec", lambda _: object() if installed else None)
    assert [bleu_tokenizer("ja"), bleu_tokenizer("ko-KR")] == tokenizers


def test_the_tokenizer_stands_in_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "find_spec", lambda _: None)
    for language, tokenizer in (("de", "13a"), ("zh", "zh"), ("ja", "char")):
        assert f"tok:{tokenizer}|" in str(score(["我们 a"], ["我们 b"], language)["bleu_signature"])


def test_chinese_is_split_into_characters() -> None:
    assert (
        score(["我们爱猫和狗"], ["我们爱猫和鱼"], "zh")["bleu"]
        != score(["我们爱猫和狗"], ["我们爱猫和鱼"], "de")["bleu"]
    )
