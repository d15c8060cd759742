"""The first fifty updates of each preset, in float32, are those that were recorded: nothing changes by accident.

The first ten of the three architectures' presets are in the ordinary suite, all of all presets in ``make test-slow``.

``python -m tests.training.test_golden_curves`` records them anew, after a change that is meant to change them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from seq2seq.config.compose import compose
from seq2seq.data.encoded import prepare
from seq2seq.models.build import build
from seq2seq.runs.run import run_of
from seq2seq.training.trainer import Stopped, Trainer
from tests.training.test_trainer import stop_after

GOLDEN = Path(__file__).parent / "golden_curves.json"
PRESETS = ("lstm", "bahdanau", "transformer", "hybrid")
BY_ADAMW = ("lstm by AdamW", "transformer by AdamW")
"""The presets that take Muon, as studies train them."""
LARGER = [f"{size}/{model}" for size in ("multi30k", "iwslt14", "wmt14") for model in PRESETS[:3]]
"""Of the other sizes of models and trainers one each: text is as multi30k, iwslt17 as iwslt14, opus100 as wmt14."""
TOLERANCE = 1e-3
"""Relative. Rounding differs between kinds of CPU: recorded with AVX512 and one thread, the curves with AVX2 alone
(ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2) and two threads are within 3e-5 of these values."""
SMALL = ["data.grammar.pairs=3000", "data.grammar.valid=4", "data.grammar.test=4", "data.grammar.version=1"]
SMALL_BATCHES = ["data=embedded", "trainer.batch_tokens=400", "data.filters.max_length=64"]
"""These on the embedded corpus: theirs are downloaded, and the larger ones' batches take minutes on a small CPU."""
UPDATES = ["trainer.max_steps=50", "trainer.valid_every=50", "trainer.samples=0", "trainer.log_every=5"]


FIRST = 10  # updates that the ordinary suite compares: they take a fifth of the time


def curve(preset: str, folder: Path, threads: int = 1, stop: int | None = None) -> dict[str, list[float]]:
    """Training NLL and gradient norm at every fifth update, and the validation's NLL at the end.

    ``stop``: the update after which the training is stopped, before the validation.
    """
    outputs = [
        f"outputs={folder}",
        f"name={preset.replace(' ', '-')}{'' if stop is None else '-begun'}",
        f"data.cache={folder}/cache",
        "device=cpu",
        "trainer.precision=fp32",
    ]
    more = SMALL_BATCHES if preset in LARGER else []
    more = ["trainer.optimizer.name=adamw", "trainer.optimizer.lr=0.004"] if preset in BY_ADAMW else more
    config = compose([f"experiment={preset.partition(' ')[0]}", *more, *SMALL, *UPDATES, *outputs])
    torch.set_num_threads(threads)
    corpus = prepare(config.data)
    torch.manual_seed(config.seed)
    run = run_of(config)
    trainer = Trainer(config, corpus, build(config.model, *corpus.subwords.sizes), run, torch.device("cpu"))
    if stop is not None:
        stop_after(trainer, stop)
    with suppress(Stopped):
        trainer.train()
    return {tag: list(run.curve(tag).values()) for tag in ("train/nll", "train/grad_norm", "valid/nll")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all presets, so that the corpus is made once."""
    return tmp_path_factory.mktemp("golden")


@pytest.mark.parametrize("preset", PRESETS[:3])
def test_the_very_first_updates_are_those_that_were_recorded(preset: str, place: Path) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[preset]
    found = curve(preset, place, stop=FIRST)
    for tag in ("train/nll", "train/grad_norm"):
        assert len(found[tag]) == FIRST // 5
        assert found[tag] == pytest.approx(expected[tag][: FIRST // 5], rel=TOLERANCE), tag


@pytest.mark.slow
@pytest.mark.parametrize("preset", [*PRESETS, *BY_ADAMW, *LARGER])
def test_the_first_updates_are_those_that_were_recorded(preset: str, place: Path) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[preset]
    found = curve(preset, place)
    assert found.keys() == expected.keys()
    for tag, values in expected.items():
        assert found[tag] == pytest.approx(values, rel=TOLERANCE), tag


def main() -> None:
    """Record the curves; with ``--compare THREADS`` print how far they are from the recorded ones instead."""
    compared = sys.argv[1:2] == ["--compare"]
    with tempfile.TemporaryDirectory() as folder:
        curves = {
            preset: curve(preset, Path(folder), int(sys.argv[2]) if compared else 1)
            for preset in (*PRESETS, *BY_ADAMW, *LARGER)
        }
    if compared:
        recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))
        for preset, tags in curves.items():
            for tag, values in tags.items():
                far = max(abs(a / b - 1) for a, b in zip(values, recorded[preset][tag], strict=True))
                print(f"{preset:<12} {tag:<16} {far:.1e}")
    else:
        GOLDEN.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
