"""Two processes over gloo: sharding by layer, and data parallelism, give the loss and gradients of one process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from seq2seq.config.schema import ModelConfig
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import sequence_loss
from tests.processes import SERVER

NAMES = ["lstm", "final-states", "bahdanau", "transformer", "hybrid"]
PROCESSES = 2
Found = tuple[Tensor, dict[str, Tensor]]


def made(options: ModelConfig) -> Seq2Seq:
    torch.manual_seed(0)
    return build(options, 20, 20)


def gradients(model: Seq2Seq, forward: Callable[..., Any], src: Tensor, tgt: Tensor) -> Found:
    """The loss of a batch and the gradient of every parameter, whole."""
    loss = sequence_loss(model, forward(src, tgt).hidden, tgt, 0.1).loss
    loss.backward()
    whole = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), {n: g.full_tensor() if isinstance(g, DTensor) else g.clone() for n, g in whole.items()}


def sharded(model: Seq2Seq) -> nn.Module:
    """The model in groups of parameters: one for each layer that can be alone, one for the rest."""
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for layer, methods in model.layer_methods().items():
        fully_shard(layer, mesh=mesh)
        for method in methods:
            register_fsdp_forward_method(layer, method)
    return fully_shard(model, mesh=mesh)


def work(rank: int, meeting: Path, models: dict[str, ModelConfig], src: Tensor, tgt: Tensor) -> None:
    """One process: its share of the sentences, sharded and by data parallelism, against all of them here alone."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{meeting}", timedelta(seconds=50), world_size=PROCESSES, rank=rank, device_id=None
    )
    for options in models.values():
        model = made(options)
        loss, expected = gradients(model, model, src, tgt)
        for distributed in (sharded, DistributedDataParallel):
            model = made(options)
            forward = distributed(model)
            share, found = gradients(model, forward, src[rank::PROCESSES], tgt[rank::PROCESSES])
            dist.all_reduce(share)
            torch.testing.assert_close(share, loss, rtol=1e-6, atol=1e-6)
            assert found.keys() == expected.keys()
            for name, gradient in found.items():  # the mean of the processes' sums
                torch.testing.assert_close(PROCESSES * gradient, expected[name], rtol=1e-6, atol=1e-6)
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")
def test_two_processes_give_the_loss_and_gradients_of_one(
    tmp_path: Path, tiny_models: dict[str, ModelConfig], sentences: Callable[..., Tensor]
) -> None:
    src, tgt = sentences([6, 3, 5, 4]), sentences([4, 7, 2, 5], seed=1)
    models = {name: tiny_models[name] for name in NAMES}
    given = tmp_path / "meeting", models, src, tgt
    multiprocessing.start_processes(work, given, nprocs=PROCESSES, start_method=SERVER)
