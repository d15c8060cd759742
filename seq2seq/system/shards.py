"""Tensors of which each process has some rows (``DTensor``, as ``fully_shard`` makes them)."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


def own_part(tensor: Tensor) -> Tensor:
    """The rows that this process has, in the same memory; a tensor that is no part is returned as it is."""
    if type(tensor) in (Tensor, nn.Parameter):  # before what takes half a second to import
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which each process may have a part alone, whole; then all processes call it at once.

    Not by ``DTensor.full_tensor``: its asynchronous form of the same call damaged the memory of the process over gloo,
    once in some hundred short trainings (torch 2.13).
    """
    part = own_part(tensor)
    if part is tensor:
        return tensor
    world = dist.get_world_size()
    padded = part.new_zeros(-(-len(tensor) // world), *tensor.shape[1:])
    padded[: len(part)] = part
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded)
    return torch.cat(parts)[: len(tensor)]


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of ``tensor``, which all have whole, cut as ``like`` is; scalars stay whole."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or not tensor.dim():
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def clip(gradients: list[Tensor], most: float) -> Tensor:
    """Scale ``gradients`` in place so that the norm of all together is ``most``, where it is longer.

    All processes call it at once, each with its parts.

    Returns:
        The norm before.
    """
    parts = [own_part(gradient) for gradient in gradients]
    squares = torch.nn.utils.get_total_norm(parts).double().square()
    dist.all_reduce(squares)
    norm = squares.sqrt().float()
    torch._foreach_mul_(parts, (most / (norm + 1e-6)).clamp(max=1))
    return norm
