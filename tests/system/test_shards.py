"""Parts of tensors over three processes of gloo: cut, gathered and clipped as whole ones are."""

from __future__ import annotations

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from seq2seq.system.shards import clip, own_part, placed, whole
from tests.processes import SERVER
from tests.training.test_ranks import free_port

SIZES = [(1, 4), (2,), (3, 2), (4, 1, 2), (7, 3), (64,)]

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")


def work(rank: int, world: int, port: int) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (world,))
    torch.manual_seed(1)
    tensors = [torch.randn(size) for size in SIZES]
    parts = [placed(tensor, distribute_tensor(torch.zeros_like(tensor), mesh, [Shard(0)])) for tensor in tensors]
    for tensor, part in zip(tensors, parts, strict=True):
        assert len(own_part(part)) <= -(-len(tensor) // world)
        assert whole(part).equal(tensor)
    assert whole(tensors[0]) is tensors[0]
    assert placed(torch.ones(()), parts[0]).equal(torch.ones(()))
    parameters = [torch.nn.Parameter(torch.zeros_like(tensor)) for tensor in tensors]
    for most in (1e9, 0.5):
        for parameter, tensor in zip(parameters, tensors, strict=True):
            parameter.grad = tensor.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, most)
        torch.testing.assert_close(clip(parts, most), norm)
        for parameter, part in zip(parameters, parts, strict=True):
            torch.testing.assert_close(whole(part), parameter.grad)
    dist.destroy_process_group()


def test_parts_are_what_the_whole_is() -> None:
    multiprocessing.start_processes(work, (3, free_port()), nprocs=3, start_method=SERVER)
