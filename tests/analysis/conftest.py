"""Loaded runs of tiny untrained models, without a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.alignment import Gold, Links
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.run import Run

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]


@pytest.fixture
def options() -> DecodeConfig:
    """The search of the runs that ``make`` makes."""
    return DecodeConfig(beam=3, max_ratio=1.0, max_extra=2)


def _sure(links: list[Links] | None) -> list[Gold] | None:
    return None if links is None else [Gold(pair, pair) for pair in links]


@pytest.fixture
def make(
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: Pairs,
    tmp_path: Path,
    options: DecodeConfig,
) -> Make:
    """``make(name, test=pairs[:12], gold=None, **data)``: its validation split are the next six pairs."""

    def run_of(name: str, test: Pairs = pairs[:12], gold: list[Links] | None = None, **data: object) -> LoadedRun:
        source = DataConfig(**{"source": "text", **data})  # type: ignore[arg-type]
        config = Config(data=source, model=tiny_models[name], decode=options)
        translator = Translator([build_tiny(name, vocab=320)], tiny_subwords, torch.device("cpu"))
        src, references = ([pair[side] for pair in test] for side in (0, 1))
        valid_src, valid_references = ([pair[side] for pair in pairs[12:18]] for side in (0, 1))
        valid = valid_src, valid_references
        return LoadedRun(Run(tmp_path), config, translator, src, references, valid, _sure(gold), gold)

    return run_of


@pytest.fixture
def texts() -> Callable[[LoadedRun, list[str], DecodeConfig], list[str]]:
    """The best translations of lines by a run."""
    return lambda run, lines, options: [best.text for (best,) in run.translator.translate(lines, options)]
