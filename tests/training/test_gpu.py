"""Checks that need a CUDA device, skipped without one: make test ARGS=tests/training/test_gpu.py runs them alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data.encoded import prepare
from seq2seq.decoding.search import search
from seq2seq.models.build import build
from seq2seq.models.loss import sequence_loss
from seq2seq.runs.run import Run
from seq2seq.training.trainer import Trainer
from tests.training import test_ranks
from tests.training.test_trainer import metrics

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
MakeConfig = Callable[..., Config]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32 in cuDNN's recurrent layers, which take it in float32 unless told otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def trainer(config: Config, folder: Path) -> Trainer:
    corpus = prepare(config.data)
    torch.manual_seed(config.seed)
    return Trainer(config, corpus, build(config.model, *corpus.subwords.sizes), Run(folder), torch.device("cuda"))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_model_trains_on_the_gpu_and_goes_on(
    name: str, precision: str, toy_config: MakeConfig, tmp_path: Path
) -> None:
    config = toy_config(name, max_steps=4, valid_every=4, precision=precision)
    first = trainer(config, tmp_path)
    first.train()
    assert first.state.step == 4 and first.state.skipped < 4
    assert first.updater.scaler.is_enabled() == (precision != "fp32")
    config.trainer.max_steps = 6
    again = trainer(config, tmp_path)
    assert again.state.step == 4
    again.train()
    assert all(p.isfinite().all() for p in again.model.parameters())


def test_the_gpu_agrees_with_the_cpu(name: str, toy_config: MakeConfig, tmp_path: Path) -> None:
    config = toy_config(name, max_steps=1)
    corpus = prepare(config.data)
    model = build(config.model, *corpus.subwords.sizes).eval()
    src = torch.from_numpy(corpus.splits["train"].src[0].astype("int64"))[None]
    tgt = torch.from_numpy(corpus.splits["train"].tgt[0].astype("int64"))[None]
    options = DecodeConfig(beam=3, nbest=3)
    on_cpu, found = model(src, tgt).hidden, search([model], src, options)
    model.cuda()
    on_gpu, again = model(src.cuda(), tgt.cuda()).hidden, search([model], src.cuda(), options)
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-4)
    scores = [[hypothesis.score for hypothesis in hypotheses] for hypotheses in (found[0], again[0])]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)


def test_gradients_on_the_gpu_are_those_of_the_cpu(name: str, toy_config: MakeConfig, tmp_path: Path) -> None:
    """The scans and the fused loss, which are written by hand."""
    config = toy_config(name, max_steps=1)
    corpus = prepare(config.data)
    torch.manual_seed(1)
    model = build(config.model, *corpus.subwords.sizes).train()  # cuDNN's layers have no backward in evaluation
    assert config.model.dropout == 0
    src = torch.from_numpy(corpus.splits["train"].src[0].astype("int64"))[None]
    tgt = torch.from_numpy(corpus.splits["train"].tgt[0].astype("int64"))[None]
    found = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        hidden = model(src.to(device), tgt.to(device)).hidden
        sequence_loss(model, hidden, tgt.to(device), 0.1).loss.backward()
        found.append({name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", test_ranks.MODELS)
def test_a_compiled_training_is_the_plain_one(
    model: str, precision: str, toy_config: MakeConfig, tmp_path: Path
) -> None:
    """And goes on uncompiled, as a plain one goes on compiled."""
    stops = {"plain": (False, False), "compiled": (True, True), "then plain": (True, False), "then not": (False, True)}
    for name, ways in stops.items():
        for steps, compile in zip((3, 6), ways, strict=True):
            config, _, _ = test_ranks.job(toy_config, model, tmp_path, precision=precision, compile=compile)
            config.trainer.max_steps, config.trainer.accumulate = steps, 2
            trainer(config, tmp_path / name).train()
    tolerance = 3e-2 if precision == "bf16" else 1e-3
    for name in ("compiled", "then plain", "then not"):
        test_ranks.assert_close(tmp_path / name, tmp_path / "plain", tolerance, test_ranks.LEFT)


def test_the_load_of_the_gpu_is_a_curve(toy_config: MakeConfig, tmp_path: Path) -> None:
    pytest.importorskip("pynvml")
    trainer(toy_config("transformer", max_steps=2), tmp_path).train()
    assert all(0 <= point["train/gpu_busy"] <= 1 for point in metrics(tmp_path) if "train/loss" in point)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
@pytest.mark.parametrize(
    "options",
    [{}, {"shard": True}, {"precision": "bf16"}, {"precision": "bf16", "shard": True}, {"compile": True}],
)
def test_two_gpus_train_what_one_trains(options: dict[str, Any], toy_config: MakeConfig, tmp_path: Path) -> None:
    """Over NCCL."""
    for world in (1, 2):
        jobs = [
            test_ranks.job(toy_config, model, tmp_path / str(world) / model, **options) for model in test_ranks.MODELS
        ]
        for config, _, _ in jobs:
            config.device = "cuda"
            config.trainer.compile &= world > 1
        test_ranks.train(world, jobs)
    for model in test_ranks.MODELS:
        tolerance = 2e-2 if "precision" in options else 1e-4
        test_ranks.assert_close(tmp_path / "2" / model, tmp_path / "1" / model, tolerance, test_ranks.LEFT)
