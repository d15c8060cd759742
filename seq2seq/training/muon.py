"""Muon: a matrix is updated by its orthogonalised momentum. Knows parameters and how they are stacked; no model.

The momentum of a matrix's gradients is M = U S Vᵀ; the step is U Vᵀ, in which all directions weigh the same (Jordan et
al. 2024, "Muon: an optimizer for hidden layers"). Times 0.2 √(longer side), its elements are as large as AdamW's
usually are, so that both take one learning rate (Liu et al. 2025, "Muon is scalable for LLM training", equation 4).
Unlike theirs, this one moves matrices at every second update, twice as far, which takes half of the products
(docs/performance-notes.md has what it costs in quality).

U Vᵀ comes from products alone. X ← (a + b X Xᵀ + c (X Xᵀ)²) X maps each singular value s to a s + b s³ + c s⁵, and a
few such steps bring all of them near 1, with the coefficients that are best for an interval of singular values (Amsel
et al. 2025, "The Polar Express").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.models.matrices import Parts

MOMENTUM = 0.95  # with Nesterov's look ahead, as Jordan et al.
EVERY = 2  # updates: momentum takes in each gradient, a matrix moves at the last of them, as far as in all
RMS = 0.2  # of an element of AdamW's steps, at a learning rate of 1
STEPS = (
    (8.0132, -22.9258, 16.5994),
    (3.6070, -2.6486, 0.5119),
    (2.6802, -1.9980, 0.4572),
)
"""a, b, c of each step: those of Amsel et al. for singular values from ``LEAST`` to 1, with a margin of 1 %."""
LEAST, BAND = 0.01, 0.28  # the steps bring singular values from LEAST to 1 within BAND of 1
TINY = 1e-30  # a gradient of zeros is divided by this


class Muon(torch.optim.Optimizer):
    """Muon for matrices, AdamW for all other parameters; their states and groups are one."""

    def __init__(
        self,
        matrices: Mapping[nn.Parameter, Parts],
        adamw: torch.optim.AdamW,
        lr: float,
        weight_decay: float,
        precision: torch.dtype,
    ) -> None:
        """``matrices``: weights that Muon trains, each with how it parts into matrices; ``adamw`` has all others."""
        super().__init__([{"params": list(matrices)}], {"lr": lr, "weight_decay": weight_decay, "step": 0})
        self.adamw = adamw
        self.parts: dict[Tensor, Parts] = {}
        self.precision = precision if precision == torch.bfloat16 else torch.float32
        self.param_groups += adamw.param_groups
        adamw.state = self.state
        self.by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for weight, parts in matrices.items():
            self.parts[weight] = parts
            self.by_shape.setdefault(tuple(blocks(weight, parts).shape[1:]), []).append(weight)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of both. The number of the update, from 0, is the groups' ``step``, and the rate their ``lr``."""
        assert closure is None
        self.adamw.step()
        for shape, weights in self.by_shape.items():
            moved = [weight for weight in weights if weight.grad is not None]
            if not moved:
                continue
            gradients = [weight.grad for weight in moved if weight.grad is not None]
            momenta = [self._momentum(weight) for weight in moved]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            if self.param_groups[0]["step"] % EVERY == EVERY - 1:
                self._move(moved, torch._foreach_lerp(gradients, momenta, MOMENTUM), shape)

    def _momentum(self, weight: Tensor) -> Tensor:
        if "momentum_buffer" not in self.state[weight]:
            self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = self.state[weight]["momentum_buffer"]
        return momentum

    def _move(self, weights: list[Tensor], directions: Sequence[Tensor], shape: tuple[int, ...]) -> None:
        """Move weights whose matrices have one shape; each product is one call for all of them."""
        parts = [blocks(each, self.parts[weight]) for weight, each in zip(weights, directions, strict=True)]
        numbers = [len(part) for part in parts]
        stack = parts[0].new_empty((sum(numbers), *shape), dtype=self.precision)
        moves = orthogonalised(torch.cat(parts, out=stack)).split(numbers)
        rate = EVERY * self.param_groups[0]["lr"]
        if decay := self.param_groups[0]["weight_decay"]:
            torch._foreach_mul_(weights, 1 - rate * decay)
        for weight, move in zip(weights, moves, strict=True):
            blocks(weight, self.parts[weight]).add_(move, alpha=-rate * RMS * max(shape) ** 0.5)


def blocks(weight: Tensor, parts: Parts) -> Tensor:
    """The matrices (N, R, C) that lie in ``weight``, transposed where they are tall; a view."""
    dimension, number = parts
    matrices = weight.detach().flatten(1).unflatten(dimension, (number, -1)).movedim(dimension, 0)
    return matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices


def orthogonalised(x: Tensor) -> Tensor:
    """U Vᵀ of each matrix U S Vᵀ of (N, R, C), R ≤ C, but for singular values within ``BAND`` of 1, or less.

    They are less where a singular value of the matrix is below ``LEAST`` of the largest: 0.38 at half of it.

    Matrices are divided by a bound on their largest singular value, (Σ s⁸)^⅛, which (X Xᵀ)² of the first step gives
    (Grishina et al. 2025). Measured on momenta it is 1.02 times the largest, where Frobenius's norm is twice.

    Each further step is a factor F of X Xᵀ: X ← F X, and so X Xᵀ ← F X Xᵀ F. The product of all factors is multiplied
    with X at the end (Zhang et al. 2026, "Gram Newton-Schulz"); not that of the first step, because the rounding of
    bf16 makes small eigenvalues of X Xᵀ negative, which later steps would enlarge.
    """
    gram = x @ x.mT
    size = gram.diagonal(dim1=1, dim2=2).sum(1, dtype=torch.float32).clamp(min=TINY)  # Σ s²
    size = size.log2().round().exp2()[:, None, None]  # division by a power of two rounds nothing
    gram /= size
    square = gram @ gram
    bound = square.flatten(1).norm(dim=1, dtype=torch.float32).sqrt().clamp(min=1e-6)[:, None, None]  # (Σ s⁸)^¼ / size
    a, b, c = STEPS[0]
    factor = (b / bound * gram).addcmul_(c / bound**2, square)
    factor.diagonal(dim1=1, dim2=2).add_(a)
    x = factor.mul_((size * bound).rsqrt()).to(x.dtype) @ x
    gram = x @ x.mT
    whole = factor = _factor(gram, *STEPS[1])
    for step in STEPS[2:]:
        gram = factor @ (gram @ factor)
        factor = _factor(gram, *step)
        whole = whole @ factor
    return whole @ x


def _factor(gram: Tensor, a: float, b: float, c: float) -> Tensor:
    """a + b X Xᵀ + c (X Xᵀ)²."""
    factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal(dim1=1, dim2=2).add_(a)
    return factor
