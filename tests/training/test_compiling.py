"""``trainer.compile``, tried on a CPU: the same numbers, few graphs, the same names in a checkpoint.

Dynamo and AOTAutograd trace the step as for a GPU; "aot_eager" then runs the graphs by torch's own kernels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import sequence_loss
from seq2seq.system.processes import ALONE
from seq2seq.training import compiling, following
from seq2seq.training.replica import Replica
from seq2seq.training.trainer import Stopped, Trainer
from tests.training import test_ranks
from tests.training.test_trainer import metrics, stop_after, tensors

MODELS = ["lstm", "bahdanau", "transformer", "hybrid"]
SHAPES = [(4, 8, 12), (4, 8, 8), (8, 8, 8), (4, 4, 8), (1, 12, 4), (12, 4, 16), (3, 16, 12), (2, 20, 20), (16, 16, 32)]
"""(B, S, T): lengths in fours, as on a GPU; sides and batch of one size, and of different ones."""
NAMES = ("bahdanau", "lstm", "transformer", "hybrid")
MakeConfig = Callable[..., Config]
Start = Callable[[Config, Path], Trainer]


class Counted:
    """A backend that counts the graphs it is given."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, inputs: Any) -> Any:
        from torch._dynamo.backends.registry import lookup_backend

        self.graphs += 1
        return lookup_backend("aot_eager")(graph, inputs)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    counted = Counted()
    monkeypatch.setattr(compiling, "BACKEND", counted)
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)  # else every graph is written for pytest
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield counted


def gradients(call: Callable[[Tensor, Tensor], Any], model: Seq2Seq, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """The loss of a random batch, and all gradients."""
    sentences, src, tgt = shape
    generator = torch.Generator().manual_seed(sum(shape))
    ids = torch.randint(4, 20, (sentences, src + 2 * tgt), generator=generator)
    ids[1:, src - 2 : src] = 0  # padding, as behind all sentences but the longest
    ids[1:, -1] = 0
    model.zero_grad()
    hidden = call(ids[:, :src], ids[:, src : src + tgt]).hidden
    loss = sequence_loss(model, hidden, ids[:, src + tgt :], 0.1).loss
    loss.backward()
    return {"": loss.detach()} | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_those_of_the_plain_model(
    name: str, backend: Counted, build_tiny: Callable[..., Seq2Seq]
) -> None:
    """In one piece, but for loops over positions and cuDNN; compiled for a few kinds of shapes, not for each."""
    model, plain = build_tiny(name).train(), build_tiny(name).train()
    replica = Replica(model, ALONE, compile=True)
    found = []
    for shape in SHAPES:
        ours, theirs = gradients(replica, model, shape), gradients(plain, plain, shape)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        found.append(backend.graphs)
    breaks = list(torch._dynamo.utils.counters["graph_break"])
    assert all(each.startswith("Skip calling `torch.compiler.disable()`d function") for each in breaks)
    assert bool(breaks) == (name != "transformer")
    assert found[-1] <= 14, found


def options(make: MakeConfig, name: str, **more: Any) -> Config:
    given = {"max_steps": 6, "valid_every": 3, "save_every": 2, "accumulate": 2, "ema": 0.5, "lr": 0.01}
    config = make(name, **{**given, "warmup_steps": 2, "label_smoothing": 0.1, **more})
    config.model.dropout = 0.0
    return config


def train(start: Start, config: Config, folder: Path, stop: int | None = None) -> None:
    trainer = start(config, folder)
    if stop is None:
        trainer.train()
        return
    stop_after(trainer, stop)
    with pytest.raises(Stopped):
        trainer.train()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_training_gives_the_run_of_a_plain_one(
    name: str, backend: Counted, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    """Curves, scores, and a checkpoint with the same names; each goes on where the other has stopped."""
    plain, compiled = options(toy_config, name), options(toy_config, name, compile=True)
    train(start, plain, tmp_path / "plain")
    assert not backend.graphs
    train(start, compiled, tmp_path / "compiled")
    assert backend.graphs
    for ways in ((plain, compiled), (compiled, plain)):
        folder = tmp_path / f"stopped-{ways[0].trainer.compile}"
        train(start, ways[0], folder, stop=3)
        train(start, ways[1], folder)
    for folder in (tmp_path / "compiled", tmp_path / "stopped-True", tmp_path / "stopped-False"):
        assert tensors(folder).keys() == tensors(tmp_path / "plain").keys()
        test_ranks.assert_close(folder, tmp_path / "plain", 1e-4)


@pytest.mark.slow
def test_only_the_training_step_is_compiled(
    backend: Counted, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    """Validation and translation of the very weights that are trained run as ever."""
    trainer = start(options(toy_config, "transformer", compile=True, ema=0.0), tmp_path)
    trainer.train()
    graphs = backend.graphs
    trainer.translator.translate(["the dog sees"], trainer.config.decode)
    assert trainer.eval_model is trainer.model
    assert backend.graphs == graphs
    assert len(metrics(tmp_path)) > 3


@pytest.mark.slow
def test_what_the_compiler_lacks_is_one_line(
    monkeypatch: pytest.MonkeyPatch, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "BACKEND", broken)
    with pytest.raises(UserError, match=r"torch.compile has failed \(RuntimeError: Failed to find C compiler.\): inst"):
        start(options(toy_config, "transformer", compile=True), tmp_path).train()


def work(rank: int, world: int, ports: list[int], jobs: list[test_ranks.Job]) -> None:
    compiling.BACKEND = "aot_eager"
    following.check_compiled_on = lambda *_: None  # type: ignore[attr-defined]  # which refuses a CPU
    test_ranks.work(rank, world, ports, jobs)


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")
def test_two_processes_compile_inside_ddp(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    jobs = [(options(toy_config, name, compile=True), tmp_path / "2" / name, None) for name in MODELS]
    multiprocessing.spawn(work, (2, [test_ranks.free_port() for _ in jobs], jobs), nprocs=2)
    for name in MODELS:
        train(start, options(toy_config, name), tmp_path / "1" / name)
        test_ranks.assert_close(tmp_path / "2" / name, tmp_path / "1" / name, 2e-5)
