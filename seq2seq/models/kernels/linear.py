"""The linear layer, with weights that are prepacked for oneDNN, or converted, once where they do not change."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
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


def product_type(x: Tensor) -> torch.dtype:
    """The type of matrix products: autocast's where it is on, else the tensor's own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """xWᵀ + b, (…, I) to (…, O), as ``F.linear``; ``weight`` is a parameter or a part of one.

    Args:
        activation: "relu" for max(0, xWᵀ + b), else "none".
    """
    if trains_bf16(weight):
        y: Tensor = _Linear.apply(x, weight, bias, activation)  # type: ignore[no-untyped-call]
        return y
    packed = prepacked_weights.packed  # once: another thread may end its block
    if not torch.is_grad_enabled() and packed is not None and not is_plain():
        return _of_ready_weight(packed, x, weight, bias, activation)
    return activated(F.linear(x, weight, bias), activation)


def activated(y: Tensor, activation: str) -> Tensor:
    return y.relu() if activation == "relu" else y


def trains_bf16(x: Tensor) -> bool:
    """Whether ``x`` is on a CPU that multiplies it in bf16, with gradients: there our own backward is faster."""
    if not x.is_cpu or x.dtype == torch.float64 or is_plain() or torch.compiler.is_compiling():
        return False
    return torch.is_grad_enabled() and product_type(x) == torch.bfloat16 and _multiplies_bf16()


class _Linear(torch.autograd.Function):
    """The layer in bf16 on a CPU: y = xWᵀ + b with b, and perhaps relu, added to the product before it is rounded.

    Autograd's own backward, dx = dy W, dW = dyᵀ x, db = Σ dy, after dy ← dy [y > 0] for relu.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
        low = torch.bfloat16
        rows = x.to(low).reshape(x.shape[:-1].numel(), x.shape[-1])
        matrix = weight.to(low)
        y = product(rows, matrix, None if bias is None else bias.to(low), activation)
        ctx.save_for_backward(rows, matrix, *([y] if activation == "relu" else []))
        ctx.shape, ctx.types = x.shape, (x.dtype, weight.dtype)
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        rows, matrix, *y = ctx.saved_tensors
        grad_y = grad_y.reshape(-1, grad_y.shape[-1])
        if y:
            grad_y = torch.ops.aten.threshold_backward(grad_y, y[0], 0)
        needs = ctx.needs_input_grad
        grad_x = (grad_y @ matrix).view(ctx.shape).to(ctx.types[0]) if needs[0] else None
        grad_weight = (grad_y.t() @ rows).to(ctx.types[1]) if needs[1] else None
        return grad_x, grad_weight, grad_y.sum(0).to(ctx.types[1]) if needs[2] else None, None


def _of_ready_weight(packed: Packed, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    converts = torch.is_autocast_enabled(x.device.type)
    type_ = torch.get_autocast_dtype(x.device.type) if converts else weight.dtype
    if _uses_onednn(x, weight, type_) and (converts or x.dtype == type_):
        # With the few rows of a decoding step, F.linear on an unpacked weight costs up to twice as much.
        prepacked = _ready(packed, weight, type_, True)
        bias = None if bias is None else _ready(packed, bias, type_)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(type_), prepacked, bias, activation, [], "")
        return y
    # Autocast caches a converted parameter, but not a converted slice of one.
    return activated(F.linear(x, _ready(packed, weight, type_) if converts else weight, bias), activation)


def _uses_onednn(x: Tensor, weight: Tensor, type_: torch.dtype) -> bool:
    if not x.is_cpu or type_ not in LEAST or weight.numel() <= LEAST[type_] or not torch.backends.mkldnn.is_available():
        return False
    return type_ == torch.float32 or _multiplies_bf16()


def _multiplies_bf16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _ready(packed: Packed, weight: Tensor, type_: torch.dtype, prepack: bool = False) -> Tensor:
    """The weight converted to a type, and prepacked for oneDNN if asked for; made at its first use."""
    # Not the tensor's identity: a slice is a new object at every step. The version changes when a weight is written to.
    key = (type_, prepack, weight.data_ptr(), weight.shape, weight.stride(), weight._version)
    if key not in packed:
        made = weight.to(type_)
        made = torch.ops.mkldnn._reorder_linear_weight(made, None) if prepack else made
        packed[key] = weight, made  # the weight too, so that its address is not given to another
    return packed[key][1]


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """xWᵀ + b of tensors (N, I), (O, I), (O) of one type, and perhaps relu of it, inside another kernel's forward.

    In bf16 on a CPU ``F.linear`` would first copy the bias into the output; oneDNN adds it to the product, but takes no
    weight without elements, as that of a context of no units.
    """
    if x.is_cpu and x.dtype == torch.bfloat16 and weight.numel() and _multiplies_bf16():
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "")
        return y
    return activated(F.linear(x, weight, bias), activation)


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

    def forward(self, x: Tensor, activation: str = "none") -> Tensor:
        """(…, I) to (…, O), and perhaps ``linear``'s activation."""
        return linear(x, self.weight, self.bias, activation)
