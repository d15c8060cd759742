"""The tutorial's models: what they are asked to be, so that a comparison with them is one of like with like."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.bench.figures import checked
from scripts.bench.worker import Row, start
from scripts.bench.workers import tutorial_models

COMMAND = [sys.executable, "-m", "scripts.bench.workers.tutorial"]
SIZES = {
    "transformer": {"embedding": 16, "width": 16, "layers": 2, "heads": 2, "feed_forward": 32},
    "bahdanau": {"embedding": 16, "encoder": 8, "decoder": 16, "attention": 8},
    "lstm": {"embedding": 16, "encoder": 8, "decoder": 16, "attention": 8},
}


@pytest.mark.parametrize("name", SIZES)
def test_step_by_step_is_teacher_forcing(name: str) -> None:
    torch.manual_seed(0)
    model = tutorial_models.build(name, 20, SIZES[name], 0.1).eval()
    src = torch.tensor([[5, 6, 7, 3], [8, 3, 0, 0]])
    tgt_in = torch.tensor([[2, 9, 10, 11, 12], [2, 13, 14, 15, 16]])
    with torch.no_grad():
        whole = model(src, tgt_in)
        state = model.init_state(*model.encode(src))
        for t in range(tgt_in.shape[1]):
            logits, state = model.step(tgt_in[:, t], state)
            torch.testing.assert_close(logits, whole[:, t], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SIZES)
def test_padding_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    model = tutorial_models.build(name, 20, SIZES[name], 0.0).eval()
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 9, 10]])
    with torch.no_grad():
        padded = model(torch.tensor([[5, 6, 3, 0, 0]]), torch.tensor([[2, 9, 10, 0]]))[:, :3]
        torch.testing.assert_close(padded, model(src, tgt_in), atol=1e-5, rtol=1e-4)


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, 40)
    rows = [[*rng.integers(4, 20, length - 1), 3] for length in lengths]
    flat, offsets = np.concatenate(rows).astype(np.int64), np.cumsum([0, *lengths])
    np.savez(folder / "train.ids.npz", src=flat, src_offsets=offsets, tgt=flat, tgt_offsets=offsets)
    (folder / "vocab.txt").write_text("".join(f"p{n}\n" for n in range(20)), encoding="utf-8")
    (folder / "test.tokens.src").write_text("p4 p5\np6\n" * 4, encoding="utf-8")


def spec_of(name: str, folder: Path, task: str) -> dict[str, object]:
    about = {"model": name, "size": SIZES[name], "data": str(folder), "task": task, "precision": "fp32"}
    rates = {"lr": 1e-3, "warmup": 10, "dropout": 0.0, "label_smoothing": 0.0, "clip_norm": 1.0, "batch_tokens": 60}
    decoding = {"beam": 5, "batch": 4, "length": 6}
    return {**about, **rates, "device": "cpu", "threads": 1, "seed": 1, "decode": decoding, "vocabulary": 20}


def test_the_worker_learns_is_checked_and_translates(tmp_path: Path) -> None:
    write_data(tmp_path)
    row = Row("tutorial", "fp32", COMMAND, spec_of("bahdanau", tmp_path, "train"), tmp_path / "work")
    worker = start(row)
    before = checked(worker.ask({"check": True}, 60))
    assert worker.ask({"seconds": 1.0}, 60)["tokens"] > 0
    after = checked(worker.ask({"check": True}, 60))
    assert after["own"] < before["own"] and before["same"] is after["same"] is True
    assert len(worker.ask({"translate": [["p4", "p5"], ["p6"]]}, 60)["translate"]) == 2
    worker.stop()


@pytest.mark.slow
def test_the_worker_decodes_hypotheses_of_the_length_asked_for(tmp_path: Path) -> None:
    write_data(tmp_path)
    row = Row("tutorial", "fp32", COMMAND, spec_of("transformer", tmp_path, "decode"), tmp_path / "work")
    worker = start(row)
    answer = worker.ask({"seconds": 0.1}, 60)
    assert answer["tokens"] == answer["updates"] * 4 * 6
    worker.stop()
    assert json.loads((tmp_path / "work" / "spec.json").read_text())["scratch"] == str(tmp_path / "work")
