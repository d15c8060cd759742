"""A product with a weight: as torch has it, and faster for as long as the weight is known not to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST = 2**17  # numbers in a weight, below which oneDNN's product costs more to call than it saves

Kept = dict[tuple[object, ...], tuple[Tensor, Tensor]]
_kept: ContextVar[Kept | None] = ContextVar("what has been made of weights", default=None)


@contextmanager
def unchanging_weights() -> Iterator[None]:
    """Within it no weight changes, as in a search: what ``linear`` makes of one is kept until it ends.

    A block within another is part of it.
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """xWᵀ + b, (…, I) to (…, O), as ``F.linear``; ``weight`` is a parameter or a part of one."""
    if _kept.get() is None or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    if torch.is_autocast_enabled(x.device.type):  # which itself keeps a whole weight converted, but never a part
        return F.linear(x, _ready(weight, torch.get_autocast_dtype(x.device.type)), bias)
    if weight.numel() <= LEAST or not _is_onednns(x, weight):
        return F.linear(x, weight, bias)
    # torch's own product reads the weight as it lies, which for the few rows of a step costs up to twice as much.
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, _ready(weight, None), bias, "none", [], "")
    return product


def _is_onednns(x: Tensor, weight: Tensor) -> bool:
    return x.is_cpu and x.dtype == weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def _ready(weight: Tensor, type_: torch.dtype | None) -> Tensor:
    """The weight in another type, or (None) laid out for oneDNN; made at its first use."""
    kept = _kept.get()
    assert kept is not None
    key = (type_, weight.data_ptr(), weight.shape, weight.stride())  # a part is a new tensor at every step
    if key not in kept:
        made = torch.ops.mkldnn._reorder_linear_weight(weight, None) if type_ is None else weight.to(type_)
        kept[key] = weight, made  # with the weight itself, so that no other comes to lie where it does
    return kept[key][1]


class Linear(nn.Linear):
    """``nn.Linear`` by ``linear``."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) to (…, O)."""
        return linear(x, self.weight, self.bias)
