"""One small world for all hostile inputs: a corpus, its cache, and finished and unfinished runs, made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.analysis.measurements import measure_all
from seq2seq.cli.main import main

SENTENCES = [
    f"{who} {does} {what}" for who in ("ab", "ba", "aab") for does in ("ca", "cb") for what in ("aa", "bb", "c")
]
FILES = [f"data.{split}.{side}={split}.{side}" for split in ("train", "valid", "test") for side in ("src", "tgt")]
TRAINING = (
    *("train", "data=text", *FILES, "data.subwords.vocab_size=20", "data.subwords.byte_fallback=false"),
    *("data.cache=cache", "outputs=runs", "model.embedding=8", "model.encoder.width=8", "model.decoder.width=8"),
    *("trainer.max_tokens=null", "trainer.max_steps=2", "trainer.log_every=1", "trainer.threads=1"),
    *("trainer.samples=0", "trainer.precision=fp32", "decode.beam=2"),
)
MODELS = {
    "lstm": ("model=lstm", "model.decoder.context_width=8"),
    "bahdanau": ("model=bahdanau", "model.decoder.attention_width=8"),
    "transformer": ("model=transformer", *(f"model.{part}.heads=2" for part in ("encoder", "decoder"))),
}


def training(model: str, *more: str) -> list[str]:
    """Arguments of a training of two updates, into ``runs/MODEL``."""
    return [*TRAINING, *MODELS[model], f"name={model}", *more]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus, ``cache``, and ``runs``: of each model, and ``cut``, which is not tested yet."""
    folder = tmp_path_factory.mktemp("world")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for split in ("train", "valid", "test"):
            for side in ("src", "tgt"):
                lines = SENTENCES if split == "train" else [" ".join(line.split()[::-1]) for line in SENTENCES]
                Path(f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines))
        for model in MODELS:
            assert main(training(model)) == 0
        assert main(training("bahdanau", "name=cut")) == 0
        Path("runs/cut/summary.json").unlink()
        for model in ("lstm", "bahdanau"):
            measure_all(Path("runs") / model, corpus=True)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def place(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``place("runs", …)``: make a copy of the corpus and of these parts of the world the working directory."""

    def copy(*parts: str) -> Path:
        for path in (*(path.name for path in world.iterdir() if path.is_file()), *parts):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            if (world / path).is_file():
                shutil.copy2(world / path, tmp_path / path)
            else:
                shutil.copytree(world / path, tmp_path / path, ignore=shutil.ignore_patterns("tensorboard"))
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return copy
