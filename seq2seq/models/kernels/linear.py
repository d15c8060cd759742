"""The linear layer, with weights that are prepacked for oneDNN, or converted, once where they do not change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.models.kernels import is_plain

LEAST = {torch.float32: 2**17, torch.bfloat16: 0}
"""Weights with at most this many elements are not prepacked: packing costs more than it saves."""

Packed = dict[tuple[object, ...], tuple[Tensor, Tensor]]
"""From a key of ``_ready`` to the weight and what was made of it."""


class prepacked_weights:
    """A block in which no weight changes, as in a search: ``linear`` packs or converts each weight once.

    Nested blocks share the outermost block's weights, which are freed at its end.
    """

    packed: Packed | None = None  # of the outermost block

    def __enter__(self) -> None:
        self.outermost = prepacked_weights.packed is None
        if self.outermost:
            prepacked_weights.packed = {}

    def __exit__(self, *_: object) -> None:
        if self.outermost:
            prepacked_weights.packed = None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """xWᵀ + b, (…, I) to (…, O), as ``F.linear``; ``weight`` is a parameter or a part of one."""
    packed = prepacked_weights.packed
    if packed is None or torch.is_grad_enabled() or is_plain():
        return F.linear(x, weight, bias)
    converts = torch.is_autocast_enabled(x.device.type)
    type_ = torch.get_autocast_dtype(x.device.type) if converts else weight.dtype
    if _uses_onednn(x, weight, type_) and (converts or x.dtype == type_):
        # With the few rows of a decoding step, F.linear on an unpacked weight costs up to twice as much.
        prepacked = _ready(packed, weight, type_, True)
        bias = None if bias is None else _ready(packed, bias, type_)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(type_), prepacked, bias, "none", [], "")
        return product
    # Autocast caches a converted parameter, but not a converted slice of one.
    return F.linear(x, _ready(packed, weight, type_) if converts else weight, bias)


def _uses_onednn(x: Tensor, weight: Tensor, type_: torch.dtype) -> bool:
    if not x.is_cpu or type_ not in LEAST or weight.numel() <= LEAST[type_] or not torch.backends.mkldnn.is_available():
        return False
    return type_ == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _ready(packed: Packed, weight: Tensor, type_: torch.dtype, prepack: bool = False) -> Tensor:
    """The weight converted to a type, and prepacked for oneDNN if asked for; made at its first use."""
    # Not the tensor's identity: a slice is a new object at every step. The version changes when a weight is written to.
    key = (type_, prepack, weight.data_ptr(), weight.shape, weight.stride(), weight._version)
    if key not in packed:
        made = weight.to(type_)
        made = torch.ops.mkldnn._reorder_linear_weight(made, None) if prepack else made
        packed[key] = weight, made  # the weight too, so that its address is not given to another
    return packed[key][1]


class Linear(nn.Linear):
    """``nn.Linear`` computed by ``linear``.

    Attributes:
        parts: the dimension of the weight along which several matrices of equal shape lie in it, and their number.
            Their outputs or inputs differ in use, as those of heads do, and one product computes them all.
    """

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, output_parts: int = 1, input_parts: int = 1
    ) -> None:
        """Of ``output_parts`` and ``input_parts`` one may be given."""
        super().__init__(inputs, outputs, bias)
        self.parts = (1, input_parts) if input_parts > 1 else (0, output_parts)

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) to (…, O)."""
        return linear(x, self.weight, self.bias)
