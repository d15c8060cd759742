"""A model as one process of a group trains it: a whole copy (DDP), or a part of every layer (FSDP)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seq2seq.models.interface import DecoderOutput, Seq2Seq
from seq2seq.system.processes import Group
from seq2seq.training.compiling import compiled, told_of_failure

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule


class Replica:
    """Calls the model, and averages its gradients over the processes of the group. Alone it is the model itself."""

    def __init__(self, model: Seq2Seq, group: Group, shard: bool = False, compile: bool = False) -> None:
        """Join the group, all processes at once, with the same weights in each.

        Args:
            shard: keep only a part of the weights, gradients and moments of every layer, and gather a layer when it is
                computed (Zhao et al. 2023, FSDP). ``model`` is changed in place.
            compile: call a compiled form of the model.
        """
        self.model, self.sharded, self.compiled = model, shard, compile
        self.forward: nn.Module = compiled(model) if compile else model
        if shard:
            shard_by_layer(model)
        elif group.world > 1:
            self.forward = nn.parallel.DistributedDataParallel(self.forward, gradient_as_bucket_view=True)

    def __call__(self, src: Tensor, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        """Teacher forcing; ``attention`` asks for the attention maps."""
        output: DecoderOutput = self.forward(src, tgt_in, **({"attention": True} if attention else {}))
        return output

    @contextmanager
    def synchronising(self, last: bool) -> Iterator[None]:
        """The context of a batch: gradients are averaged over processes only in the ``last`` batch of an update."""
        if self.sharded:
            self.forward.set_requires_gradient_sync(last)  # type: ignore[operator]  # fully_shard adds the method
        ddp = self.forward if isinstance(self.forward, nn.parallel.DistributedDataParallel) else None
        with (
            told_of_failure() if self.compiled else nullcontext(),
            ddp.no_sync() if ddp and not last else nullcontext(),
        ):
            yield


def shard_by_layer(model: Seq2Seq) -> FSDPModule:
    """FSDP (torch's ``fully_shard``): each layer that can be alone is a group of parameters, the rest is another."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    for layer, methods in model.layer_methods().items():
        fully_shard(layer, mesh=mesh)
        for method in methods:
            register_fsdp_forward_method(layer, method)
    return fully_shard(model, mesh=mesh)
