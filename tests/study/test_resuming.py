"""Trainings that are killed go on to the same bits; and the comparison sees it where they do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from seq2seq.runs import checkpoint
from seq2seq.runs.run import LOCK, Run
from seq2seq.study.resuming import differences, prove
from seq2seq.system.files import UNFINISHED
from tests.processes import start_server

MODELS = ("lstm", "bahdanau", "transformer")


def test_a_kill_changes_nothing(tmp_path: Path) -> None:
    start_server()
    proof = prove("transformer", 1, tmp_path, seed=1, say=print)
    assert proof.kills == 1
    assert proof.finished
    assert proof.differences == []


@pytest.mark.slow
@pytest.mark.parametrize(("model", "segmentation"), [*((name, "bpe") for name in MODELS), ("transformer", "unigram")])
def test_twenty_kills_change_nothing(model: str, segmentation: str, tmp_path: Path) -> None:
    proof = prove(model, 20, tmp_path, seed=2, say=print, more=[f"data.subwords.type={segmentation}"])
    print(proof)
    assert proof.kills == 20
    assert proof.differences == []


@pytest.fixture
def two(tmp_path: Path) -> tuple[Run, Run]:
    """Two finished runs with the same content."""
    one, other = Run(tmp_path / "one"), Run(tmp_path / "other")
    checkpoint.save_weights(one.checkpoint("best"), {"weight": torch.arange(6.0)}, {"step": 3, "seconds": 1.0})
    one.metrics_file.write_text('{"step": 1, "train/loss": 2.5, "train/seconds": 1.0}\n')
    one.save_summary({"steps": 3, "seconds": 1.0})
    shutil.copytree(one.folder, other.folder)
    return one, other


def test_clocks_are_no_difference(two: tuple[Run, Run]) -> None:
    two[1].metrics_file.write_text('{"step": 1, "train/loss": 2.5, "train/seconds": 7.0}\n')
    two[1].save_summary({"steps": 3, "seconds": 7.0})
    checkpoint.save_weights(two[1].checkpoint("best"), {"weight": torch.arange(6.0)}, {"step": 3, "seconds": 7.0})
    assert differences(*two) == []


def test_every_difference_is_named(two: tuple[Run, Run]) -> None:
    other = two[1]
    weight = torch.arange(6.0)
    weight[3] = torch.nextafter(weight[3], weight[4])
    checkpoint.save_weights(other.checkpoint("best"), {"weight": weight}, {"step": 3})
    other.metrics_file.write_text(other.metrics_file.read_text() * 2)
    (other.folder / LOCK).write_text("")
    (other.folder / f"checkpoints/.best{UNFINISHED}").write_text("")
    found = differences(*two)
    assert "checkpoints/best.safetensors differs" in found
    assert "metrics.jsonl differs" in found
    assert f"only one run has leftover {LOCK}" in found
    assert len(found) >= 4
