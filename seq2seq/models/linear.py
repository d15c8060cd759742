"""A product with a weight: as torch has it, and faster for as long as the weight is known not to change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST = 2**17  # numbers in a weight, below which oneDNN's product costs more to call than it saves

Kept = dict[tuple[object, ...], tuple[Tensor, Tensor]]


class unchanging_weights:
    """Within it no weight changes, as in a search: what ``linear`` makes of one is kept until it ends.

    A block within another is part of it.
    """

    kept: Kept | None = None  # of the outermost block

    def __enter__(self) -> None:
        self.outermost = unchanging_weights.kept is None
        if self.outermost:
            unchanging_weights.kept = {}

    def __exit__(self, *_: object) -> None:
        if self.outermost:
            unchanging_weights.kept = None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """xWᵀ + b, (…, I) to (…, O), as ``F.linear``; ``weight`` is a parameter or a part of one."""
    kept = unchanging_weights.kept
    if kept is None or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    if torch.is_autocast_enabled(x.device.type):  # which itself keeps a whole weight converted, but never a part
        return F.linear(x, _ready(kept, weight, torch.get_autocast_dtype(x.device.type)), bias)
    if weight.numel() <= LEAST or not _is_onednns(x, weight):
        return F.linear(x, weight, bias)
    # torch's own product reads the weight as it lies, which for the few rows of a step costs up to twice as much.
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, _ready(kept, weight, None), bias, "none", [], "")
    return product


def _is_onednns(x: Tensor, weight: Tensor) -> bool:
    return x.is_cpu and x.dtype == weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def _ready(kept: Kept, weight: Tensor, type_: torch.dtype | None) -> Tensor:
    """The weight in another type, or (None) laid out for oneDNN; made at its first use."""
    # A part is a new tensor at every step. The version tells what another thread has changed meanwhile.
    key = (type_, weight.data_ptr(), weight.shape, weight.stride(), weight._version)
    if key not in kept:
        made = torch.ops.mkldnn._reorder_linear_weight(weight, None) if type_ is None else weight.to(type_)
        kept[key] = weight, made  # with the weight itself, so that no other comes to lie where it does
    return kept[key][1]


class Linear(nn.Linear):
    """``nn.Linear`` by ``linear``."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) to (…, O)."""
        return linear(x, self.weight, self.bias)
