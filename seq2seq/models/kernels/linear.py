"""A product with a weight: as torch has it, and faster for as long as the weight is known not to change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.models.kernels import is_plain

LEAST = {torch.float32: 2**17, torch.bfloat16: 0}
"""Numbers in a weight, up to which a laid-out one costs more to multiply with than it saves."""

Kept = dict[tuple[object, ...], tuple[Tensor, Tensor]]


class prepacked_weights:
    """Within it no weight changes, as in a search: what ``linear`` makes of one is kept until it ends.

    A block within another is part of it.
    """

    kept: Kept | None = None  # of the outermost block

    def __enter__(self) -> None:
        self.outermost = prepacked_weights.kept is None
        if self.outermost:
            prepacked_weights.kept = {}

    def __exit__(self, *_: object) -> None:
        if self.outermost:
            prepacked_weights.kept = None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """xWᵀ + b, (…, I) to (…, O), as ``F.linear``; ``weight`` is a parameter or a part of one."""
    kept = prepacked_weights.kept
    if kept is None or torch.is_grad_enabled() or is_plain():
        return F.linear(x, weight, bias)
    converts = torch.is_autocast_enabled(x.device.type)
    type_ = torch.get_autocast_dtype(x.device.type) if converts else weight.dtype
    if _is_onednns(x, weight, type_) and (converts or x.dtype == type_):
        # torch's own product reads the weight as it lies, which for the few rows of a step costs up to twice as much.
        laid_out = _ready(kept, weight, type_, True)
        bias = None if bias is None else _ready(kept, bias, type_)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(type_), laid_out, bias, "none", [], "")
        return product
    # Autocast itself keeps a whole weight that it has converted, but never a part of one.
    return F.linear(x, _ready(kept, weight, type_) if converts else weight, bias)


def _is_onednns(x: Tensor, weight: Tensor, type_: torch.dtype) -> bool:
    if not x.is_cpu or type_ not in LEAST or weight.numel() <= LEAST[type_] or not torch.backends.mkldnn.is_available():
        return False
    return type_ == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _ready(kept: Kept, weight: Tensor, type_: torch.dtype, laid_out: bool = False) -> Tensor:
    """The weight in a type, as it lies or laid out for oneDNN; made at its first use."""
    # A part is a new tensor at every step. The version tells what another thread has changed meanwhile.
    key = (type_, laid_out, weight.data_ptr(), weight.shape, weight.stride(), weight._version)
    if key not in kept:
        made = weight.to(type_)
        made = torch.ops.mkldnn._reorder_linear_weight(made, None) if laid_out else made
        kept[key] = weight, made  # with the weight itself, so that no other comes to lie where it does
    return kept[key][1]


class Linear(nn.Linear):
    """``nn.Linear`` by ``linear``."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) to (…, O)."""
        return linear(x, self.weight, self.bias)
