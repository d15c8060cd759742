"""Run folders as a training leaves them, written by hand: what they hold is known, so what is found can be checked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.data.subwords import Subwords
from seq2seq.evaluation.metrics import SacreBLEUMetric
from seq2seq.runs import run as run_module
from seq2seq.runs.run import Run
from seq2seq.system.files import to_json, write_json

NOUNS = {"dog": "Hund", "cat": "Katze", "child": "Kind", "man": "Mann", "house": "Haus", "tree": "Baum", "boat": "Boot"}
NOUNS |= {"book": "Buch", "horse": "Pferd", "bread": "Brot", "letter": "Brief", "moon": "Mond", "bird": "Vogel"}
NOUNS |= {"chair": "Stuhl", "table": "Tisch", "apple": "Apfel", "coat": "Mantel", "key": "Schlüssel", "ring": "Ring"}
_DRAW = random.Random(19)
_CHOSEN = [_DRAW.choices(list(NOUNS), k=length) for _ in range(20) for length in range(5, 20, 2)]
SRC = [" ".join(nouns) for nouns in _CHOSEN]
REFERENCES = [" ".join(NOUNS[noun] for noun in nouns) for nouns in _CHOSEN]
FINGERPRINT = {"data": "d", "subwords": "s", "references": "r", "code": "c", "versions": {"torch": "2"}}

FakeRun = Callable[..., Run]
Lines = Sequence[str]
Rows = Sequence[Sequence[float]]


_composed = cache(lambda *arguments: compose(arguments))  # a third of a second of Hydra, once for all runs alike
_saved: dict[str, Config] = {}
"""The configs that tests with fake runs saved, by what stands in the file: to read one takes a tenth of a second."""


def _text_of(run: Run, config: Config) -> str:
    text = _WRITE(run, config)
    _saved[text] = deepcopy(config)
    return text


def _read_config(path: Path, state: tuple[int, int, int]) -> Config:
    return _saved.get(path.read_text(encoding="utf-8", errors="replace")) or _READ(path, state)


_WRITE, _READ = Run.text_of, run_module._read_config


@cache
def _rows_once(metric: SacreBLEUMetric, language: str, hypotheses: Lines, references: Lines) -> Rows:
    return _ROWS(metric, hypotheses, references, language, None)


def _rows(metric: SacreBLEUMetric, hypotheses: Lines, references: Lines, language: str, src: Any) -> Rows:
    """sacreBLEU's statistics, once for all tests with the same translations."""
    return _rows_once(metric, language, tuple(hypotheses), tuple(references))


_ROWS = SacreBLEUMetric.rows


@pytest.fixture(scope="session")
def text() -> tuple[list[str], list[str]]:
    """Sources of 5 to 19 words and their references: the test split of every fake run."""
    return SRC, REFERENCES


@pytest.fixture
def fake_run(tmp_path: Path, tiny_subwords: Subwords, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """``fake_run(name, model, seed, hypotheses, *overrides, **changes)``: a finished run that was never trained."""
    monkeypatch.setattr(Run, "text_of", _text_of)
    monkeypatch.setattr(run_module, "_read_config", _read_config)
    monkeypatch.setattr(SacreBLEUMetric, "rows", _rows)

    def make(
        name: str,
        model: str = "lstm",
        seed: int = 1,
        hypotheses: Sequence[str] = tuple(REFERENCES),
        *overrides: str,
        fingerprint: dict[str, Any] | None = None,
        parameters: int = 1000,
        valid: Sequence[tuple[int, float]] = ((10, 5.0), (20, 9.0)),
        nll: float = 2.0,
    ) -> Run:
        run = Run(tmp_path / name)
        config = _composed(f"experiment={model}", *overrides)
        run.save_config(replace(config, seed=seed, name=name, outputs=str(tmp_path)))
        tiny_subwords.save(run.subwords)
        write_json(
            run.fingerprint_file, {**FINGERPRINT, "machine": {"processor": "p", "threads": 1}, **(fingerprint or {})}
        )
        test = run.evaluation("test")
        for file, lines in (("src", SRC), ("ref", REFERENCES), ("hypotheses", hypotheses)):
            path = test / f"{file}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (test / "log_probability.txt").write_text("-3.5\n" * len(SRC))
        curve: list[dict[str, float]] = [
            {
                "step": step,
                "valid/bleu": bleu,
                "valid/nll": nll,
                "train/tokens": step * 1000,
                "train/seconds": step / 10,
            }
            for step, bleu in valid
        ]
        run.metrics_file.write_text("".join(to_json(line) + "\n" for line in [{"step": 5, "train/nll": 3.0}, *curve]))
        part = {"embeddings": 0, "encoder": 0, "decoder": parameters, "output": 0, "total": parameters}
        scores = {"bleu": 50.0, "chrf": 60.0, "bleu_signature": "b", "chrf_signature": "c", "sentences": len(SRC)}
        scores |= {"nll": 1.0, "ppl": 2.7, "bits_per_character": 0.5, "token_accuracy": 0.5, "target_tokens": 100}
        scores |= {"length_ratio": 1.0, "seconds": 1.0, "sentences_per_second": 8.0}
        tokens = valid[-1][0] * 1000
        summary: dict[str, Any] = {
            "parameters": part,
            "checkpoint": "best",
            "samples": [],
            "steps": valid[-1][0],
            "best_step": valid[-1][0],
            "tokens": tokens,
            "seconds": 2.0,
            "test": scores,
        }
        write_json(run.summary_file, {**summary, "tokens_per_second": tokens / 2})
        return run

    return make
