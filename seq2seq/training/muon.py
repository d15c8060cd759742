"""Muon, which moves a matrix by an orthogonal one. Knows parameters and how they are stacked; no model.

The momentum of a matrix's gradients is M = U S Vᵀ; the step is U Vᵀ, in which all directions weigh the same (Jordan et
al. 2024, "Muon: an optimizer for hidden layers"). Times 0.2 √(longer side), its elements are as large as AdamW's
usually are, so that both take one learning rate (Liu et al. 2025, "Muon is scalable for LLM training", equation 4).

U Vᵀ comes from products alone. X ← (a + b X Xᵀ + c (X Xᵀ)²) X maps each singular value s to a s + b s³ + c s⁵, and a
few such steps bring all of them near 1, with the coefficients that are best for an interval of singular values (Amsel
et al. 2025, "The Polar Express").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95  # with Nesterov's look ahead, as Jordan et al.
TINY = 1e-6
RMS = 0.2  # of an element of AdamW's steps, at a learning rate of 1
STEPS = (
    (8.0132, -22.9258, 16.5994),
    (3.6070, -2.6486, 0.5119),
    (2.6802, -1.9980, 0.4572),
)
"""a, b, c of each step: those of Amsel et al. for singular values from ``LEAST`` to 1, with a margin of 1 %."""
LEAST, BAND = 0.01, 0.28  # the steps bring singular values from LEAST to 1 within BAND of 1


class Muon(torch.optim.Optimizer):
    """Muon for matrices, AdamW for all other parameters; their states and groups are one."""

    def __init__(
        self,
        matrices: Mapping[nn.Parameter, int],
        adamw: torch.optim.AdamW,
        lr: float,
        weight_decay: float,
        precision: torch.dtype,
    ) -> None:
        """Take ``matrices`` over, each with the number of matrices that lie one below the other in it."""
        super().__init__([{"params": list(matrices)}], {"lr": lr, "weight_decay": weight_decay})
        self.adamw, self.stacked = adamw, dict(matrices)
        self.precision = precision if precision == torch.bfloat16 else torch.float32
        self.param_groups += adamw.param_groups
        adamw.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        assert closure is None
        self.adamw.step()
        group = self.param_groups[0]
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        gradients = [weight.grad for weight in weights]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        directions = torch._foreach_lerp(gradients, momenta, MOMENTUM)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        self._move(weights, list(directions), group["lr"])

    def _move(self, weights: list[nn.Parameter], directions: list[Tensor], rate: float) -> None:
        """Orthogonalise all blocks of a shape at once."""
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for weight, direction in zip(weights, directions, strict=True):
            pairs = [blocks(each, self.stacked[weight]) for each in (weight, direction)]
            by_shape.setdefault(tuple(pairs[0].shape[1:]), []).append((pairs[0], pairs[1]))
        for shape, pairs_of_shape in by_shape.items():
            moved = orthogonalised(torch.cat([direction for _, direction in pairs_of_shape]), self.precision)
            parts = moved.split([len(weight) for weight, _ in pairs_of_shape])
            for (moving, _), part in zip(pairs_of_shape, parts, strict=True):
                moving.add_(part, alpha=-rate * RMS * max(shape) ** 0.5)


def blocks(weight: Tensor, stacked: int) -> Tensor:
    """The matrices (N, R, C) that lie one below the other in ``weight``, transposed where they are tall."""
    matrices = weight.detach().flatten(1).unflatten(0, (stacked, -1))
    return matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices


def orthogonalised(x: Tensor, precision: torch.dtype) -> Tensor:
    """U Vᵀ of each matrix U S Vᵀ of (N, R, C), R ≤ C, but for singular values within ``BAND`` of 1.

    Matrices are divided by a bound on their largest singular value, (Σ s⁸)^⅛, the norm of (X Xᵀ)², which the first step
    has (Grishina et al. 2025). It is 1 to R^⅛ times the largest; Frobenius's norm is 1 to √R times, worth another step.
    """
    x = (x / x.norm(dim=(1, 2), keepdim=True).clamp(min=TINY**2)).to(precision)
    for number, (a, b, c) in enumerate(STEPS):
        gram = x @ x.mT
        if number == 0:
            square = gram @ gram
            bound = square.float().norm(dim=(1, 2), keepdim=True).sqrt().clamp(min=TINY)
            factor = (b / bound * gram + c / bound**2 * square).to(precision)
            x = bound.rsqrt().to(precision) * torch.baddbmm(x, factor, x, beta=a)
        else:
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
