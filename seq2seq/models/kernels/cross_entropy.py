"""Cross-entropy of an output layer with label smoothing, and the un-smoothed likelihood beside it.

Output layer, softmax and both gradients are computed in one go, a block of rows at a time, so that the (tokens ×
vocabulary) matrix is never held beyond a block. What smoothing adds to the gradients is known without it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seq2seq.models.kernels import is_plain
from seq2seq.models.kernels.scan import product_type

BLOCK = {"cpu": 1 << 24, "cuda": 1 << 27}
"""Logits computed at once, on a CPU 64 MB: every block costs a pass over the gradient of the whole weight."""
ROWS = 64
"""Products of 16 bits are of multiples of so many rows, filled up with zeros: each number needs kernels of its own."""


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sums over N tokens, in nats: the smoothed cross-entropy and, without a gradient, the negative log-likelihood.

    Args:
        hidden: (N, D).
        weight, bias: (V, D) and (V), of the output layer.
        target: (N) ids.
        smoothing: share of the target's probability that is spread evenly over the vocabulary.
    """
    if is_plain():
        logits = F.linear(hidden, weight, bias)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = F.cross_entropy(logits, target, reduction="sum", label_smoothing=smoothing)
        return loss, F.cross_entropy(logits.detach(), target, reduction="sum")
    found: tuple[Tensor, Tensor] = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, target, smoothing
    )
    return found


class _LinearCrossEntropy(torch.autograd.Function):
    """Of ``hidden`` (N, D), the output layer's weight (V, D) and bias (V), and the targets (N)."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        low = product_type(weight)
        with torch.autocast(weight.device.type, enabled=False):
            rows, table, offset = hidden.to(low), weight.to(low), bias.to(low)
            count, places = len(rows), target
            size = max(BLOCK.get(weight.device.type, BLOCK["cpu"]) // len(weight), 1)
            if low.itemsize == 2:
                rows, places = F.pad(rows, (0, 0, 0, -count % ROWS)), F.pad(target, (0, -count % ROWS))
                size -= size % ROWS if size > ROWS else 0
            of_rows = torch.empty_like(rows, dtype=weight.dtype)
            of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
            likelihoods, at_target = weight.new_empty(len(rows)), weight.new_empty(len(rows))
            for start in range(0, count, size):
                here = slice(start, start + size)
                # The probabilities, which are also the gradient of the logits but for the target's own.
                logits = torch.addmm(offset, rows[here], table.t())
                predicted = logits.softmax(-1, torch.float32 if low == torch.float16 else low)  # fp16 ends at 6e-8
                of_target = predicted.gather(-1, places[here, None])[:, 0].to(weight.dtype)
                # That one is p - 1: where p is near 1, in bf16 only the sum of all others still says how near.
                predicted = predicted.scatter_(-1, places[here, None], 0).to(low)
                others = predicted.sum(-1).to(weight.dtype)
                unlikely = of_target.clamp_(min=torch.finfo(torch.float32).tiny).log_()
                likelihoods[here] = torch.where(others < 0.5, torch.log1p(-others), unlikely)
                at_target[here] = smoothing - others  # p - (1 - smoothing)
                of_rows[here] = predicted @ table
                of_weight += predicted.t() @ rows[here]
                of_bias += predicted[: count - start].sum(0)
            of_rows, at_target, nll = of_rows[:count], at_target[:count], -likelihoods[:count].sum()
            right = weight[target]
            of_rows += at_target[:, None] * right
            of_weight.index_add_(0, target, at_target[:, None] * hidden)
            of_bias.index_add_(0, target, at_target)
            loss = nll.clone()
            if smoothing:
                # The smoothed part pulls every logit up by the same amount, so that sums over rows and pieces do.
                all_rows, mean = hidden.sum(0, dtype=weight.dtype), weight.mean(0)
                of_rows -= smoothing * mean
                of_weight -= smoothing / len(weight) * all_rows
                of_bias -= smoothing / len(weight) * count
                of_targets = (hidden * right).sum() + bias[target].sum()
                loss += smoothing * (of_targets - (all_rows @ mean + count * bias.mean()))
        ctx.save_for_backward(of_rows, of_weight, of_bias)
        ctx.kind = hidden.dtype
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        of_rows, of_weight, of_bias = ctx.saved_tensors
        return (of_rows * scale).to(ctx.kind), of_weight * scale, of_bias * scale, None, None
