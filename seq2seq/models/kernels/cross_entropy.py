"""An output layer and its cross-entropy with label smoothing in one autograd function, and the plain likelihood.

Output layer, softmax and both gradients are computed in the forward, a block of rows at a time, so that no more than a
block of the (tokens × vocabulary) matrix is ever held.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seq2seq.models.kernels import is_plain
from seq2seq.models.kernels.linear import product, product_type

BLOCK = {"cpu": 1 << 24, "cuda": 1 << 27}
"""Logits in a block (64 MB on a CPU). Each block costs a pass over the gradient of the whole weight."""
ROWS = 64
"""Round the row count up to this in bf16 and fp16 (with zero rows): each distinct count compiles a kernel."""


class Loss(NamedTuple):
    """Sums over the target tokens, in nats: the smoothed cross-entropy, and the NLL, which has no gradient."""

    loss: Tensor
    nll: Tensor


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float) -> Loss:
    """The loss of an output layer's logits over N tokens.

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
        return Loss(loss, F.cross_entropy(logits.detach(), target, reduction="sum"))
    return Loss(*_LinearCrossEntropy.apply(hidden, weight, bias, target, smoothing))  # type: ignore[no-untyped-call]


class _LinearCrossEntropy(torch.autograd.Function):
    """For a token with hidden state h, target y, logits z = W h + b, p = softmax(z) and smoothing ε:

        q_v = (1 - ε)[v = y] + ε/V            the smoothed target distribution
        nll = -log p_y
        loss = -Σ_v q_v log p_v = nll + ε (z_y - mean_v z_v)

    The second form holds because -log p_v = log Σ exp z - z_v, and it needs no sum over log-probabilities: z_y is
    h·W_y + b_y and mean_v z_v is h·mean_v W_v + mean_v b_v. The gradient of the logits is dz = p - q, in three parts:

        dz_v = p_v [v ≠ y] + (p_y - (1 - ε)) [v = y] - ε/V
        p_y - (1 - ε) = ε - Σ_{v≠y} p_v       exact in bf16 too, where p_y near 1 would be rounded to 1

    and so, with Σ over the tokens n, p' for p with p_y set to 0, and t = ε - Σ_{v≠y} p_v,

        dh = p' W + t W_y - ε mean_v W_v
        dW_v = Σ_n p'_v h + Σ_{n: y=v} t h - ε/V Σ_n h
        db_v = Σ_n p'_v + Σ_{n: y=v} t - ε/V N
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        low = product_type(weight)
        with torch.autocast(weight.device.type, enabled=False):
            rows, table, offset = hidden.to(low), weight.to(low), bias.to(low)
            wide = torch.float32 if low == torch.float16 else low  # fp16's smallest number is 6e-8
            count, places = len(rows), target
            size = max(BLOCK.get(weight.device.type, BLOCK["cpu"]) // len(weight), 1)
            if low.itemsize == 2:
                rows, places = F.pad(rows, (0, 0, 0, -count % ROWS)), F.pad(target, (0, -count % ROWS))
                size -= size % ROWS if size > ROWS else 0
            grad_rows = torch.empty_like(rows, dtype=weight.dtype)
            grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
            index = torch.arange(min(size, len(rows)), device=rows.device)
            likelihoods, at_target = weight.new_empty(len(rows)), weight.new_empty(len(rows))
            for start in range(0, count, size):
                here = slice(start, start + size)
                predicted = _softmax_(product(rows[here], table, offset), wide)
                at = index[: len(predicted)], places[here]
                of_target = predicted[at].to(weight.dtype)
                predicted[at] = 0  # scatter_ would copy the block twice in bf16
                predicted = predicted.to(low)  # p'
                others = predicted.sum(-1).to(weight.dtype)
                unlikely = of_target.clamp_(min=torch.finfo(torch.float32).tiny).log_()
                likelihoods[here] = torch.where(others < 0.5, torch.log1p(-others), unlikely)
                at_target[here] = smoothing - others  # t
                grad_rows[here] = predicted @ table
                grad_weight += predicted.t() @ rows[here]
                grad_bias += predicted[: count - start].sum(0)
            grad_rows, at_target, nll = grad_rows[:count], at_target[:count], -likelihoods[:count].sum()
            right = weight[target]
            grad_rows += at_target[:, None] * right
            grad_weight.index_add_(0, target, at_target[:, None] * hidden)
            grad_bias.index_add_(0, target, at_target)
            loss = nll.clone()
            if smoothing:
                all_rows, mean = hidden.sum(0, dtype=weight.dtype), weight.mean(0)
                grad_rows -= smoothing * mean
                grad_weight -= smoothing / len(weight) * all_rows
                grad_bias -= smoothing / len(weight) * count
                of_targets = (hidden * right).sum() + bias[target].sum()
                loss += smoothing * (of_targets - (all_rows @ mean + count * bias.mean()))
        ctx.save_for_backward(grad_rows, grad_weight, grad_bias)
        ctx.kind = hidden.dtype
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_rows, grad_weight, grad_bias = ctx.saved_tensors
        return (grad_rows * scale).to(ctx.kind), grad_weight * scale, grad_bias * scale, None, None


def _softmax_(logits: Tensor, type_: torch.dtype) -> Tensor:
    """Softmax over the last dimension in ``type_``; on a CPU it overwrites ``logits`` where the type stays."""
    if logits.is_cpu and logits.dtype == type_:
        return torch.softmax(logits, -1, out=logits)
    return logits.softmax(-1, type_)
