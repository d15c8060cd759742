"""What the training tests share: a corpus of made-up pairs, tiny configs, and one call that trains in a folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.config.schema import Config, DataConfig, ModelConfig, SplitConfig, SubwordConfig
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.models.build import build
from seq2seq.runs.run import Run
from seq2seq.training.trainer import Trainer

NOUNS = {"the dog": "der hund", "the cat": "die katze", "a child": "ein kind", "the old man": "der alte mann"}
VERBS = {"sees": "sieht", "knows": "kennt", "looks for": "sucht"}
ADVERBS = {"": "", " today": " heute", " very often": " sehr oft"}


def _pairs() -> list[tuple[str, str]]:
    return [
        (f"{s} {v} {o}{a}", f"{NOUNS[s]} {VERBS[v]} {NOUNS[o]}{ADVERBS[a]}")
        for a, v, s, o in itertools.product(ADVERBS, VERBS, NOUNS, NOUNS)
    ]


def _corpus(folder: Path, pairs: list[tuple[str, str]], sizes: dict[str, int], vocab_size: int) -> DataConfig:
    """Text files of the first so many pairs for each split, and the options that read them."""
    data = DataConfig(name="toy", source="text", cache=str(folder / "cache"))
    data.subwords = SubwordConfig(vocab_size=vocab_size, byte_fallback=False)
    rest = iter(pairs)
    for split, size in sizes.items():
        chosen = list(itertools.islice(rest, size))
        for side, ending in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in chosen)
            (folder / f"{split}.{ending}").write_text(text, encoding="utf-8")
        setattr(data, split, SplitConfig(src=str(folder / f"{split}.en"), tgt=str(folder / f"{split}.de")))
    return data


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """48 pairs for training, six for validation and six for the test."""
    pairs = [pair for start in range(7) for pair in _pairs()[start::7]]  # all lengths in every split
    return _corpus(tmp_path_factory.mktemp("toy"), pairs, {"valid": 6, "test": 6, "train": 48}, 60)


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Ten pairs, which are training, validation and test in one."""
    folder = tmp_path_factory.mktemp("ten")
    data = _corpus(folder, _pairs()[::14][:10], {"train": 10}, 60)
    return replace(data, valid=data.train, test=data.train)


@pytest.fixture(scope="session")
def toy_config(toy_data: DataConfig, tiny_models: dict[str, ModelConfig]) -> Callable[..., Config]:
    """``toy_config(model="transformer", data=None, **trainer)``: a config whose trainer has the options given."""

    def make(model: str = "transformer", data: DataConfig | None = None, **trainer: object) -> Config:
        config = Config(data=data or toy_data, model=replace(tiny_models[model]), device="cpu")
        options = {
            "batch_tokens": 128,
            "precision": "fp32",
            "samples": 0,
            "log_every": 1,
            "threads": 1,
            "warmup_steps": 400,
        }
        options |= trainer
        for key, value in options.items():
            owner = config.trainer if hasattr(config.trainer, key) else config.trainer.optimizer
            assert hasattr(owner, key), key
            setattr(owner, key, value)
        return config

    return make


@pytest.fixture(scope="session")
def start() -> Callable[..., Trainer]:
    """``start(config, folder)``: a trainer as the command makes one, going on with what the folder holds."""

    def begin(config: Config, folder: Path) -> Trainer:
        torch.set_num_threads(1)
        corpus: Corpus = prepare(config.data)
        torch.manual_seed(config.seed)
        model = build(config.model, *corpus.subwords.sizes)
        return Trainer(config, corpus, model, Run(folder), torch.device("cpu"))

    return begin
