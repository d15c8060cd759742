"""Scaled dot-product attention in bf16 on a CPU as one autograd function with its own backward.

Autograd would keep and copy a dozen tensors for it; here queries, keys and values are laid out once, and scale and mask
are added in the pass that makes the energies float32. On short rows softmax in bf16 costs five times as much as in
float32, and two products are faster than torch's fused kernel (8 times at 16 positions; also at 1,024).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(QKᵀ/√W + bias)V in bf16: queries (B, H, T, W), keys and values (B, H, S, W) to (B, H, T, W).

    Args:
        mask: broadcastable to (B, H, T, S), True where attention is allowed.
        bias: broadcastable to (B, H, T, S), in float32; it gets no gradient.
    """
    y: Tensor = _Attention.apply(query, key, value, mask, bias)  # type: ignore[no-untyped-call]
    return y


class _Attention(torch.autograd.Function):
    """With E = QKᵀ/√W + M, where M is the bias, or 0, where attention is allowed, else -inf, P = softmax(E), Y = PV:

    dV = Pᵀ dY                          dP = dY Vᵀ
    dE_ts = P_ts (dP_ts - Σ_r P_tr dP_tr)
    dQ = dE K / √W                      dK = dEᵀ Q / √W
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None) -> Tensor:
        low = torch.bfloat16
        queries, keys, values = (x.to(low).reshape(-1, *x.shape[2:]) for x in (query, key, value))
        with torch.autocast(query.device.type, enabled=False):
            padding = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf"))
            if bias is not None:
                padding = padding + bias
            products = torch.bmm(queries, keys.transpose(1, 2)).view(*query.shape[:3], -1)
            energies = torch.add(padding, products, alpha=1 / math.sqrt(query.shape[-1]))
            weights = energies.softmax(-1).flatten(0, 1)
            y = torch.bmm(weights.to(low), values)
        ctx.save_for_backward(queries, keys, values, weights)
        return y.view_as(query)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, weights = ctx.saved_tensors
        low, sizes = queries.dtype, grad_y.shape[:2]
        grad_y = grad_y.reshape(-1, *grad_y.shape[2:])
        grad_values = torch.bmm(weights.to(low).transpose(1, 2), grad_y)
        grad_weights = torch.bmm(grad_y, values.transpose(1, 2)).float()
        grad_energies = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_energies = grad_energies.div_(math.sqrt(queries.shape[-1])).to(low)
        grad_queries = torch.bmm(grad_energies, keys)
        grad_keys = torch.bmm(grad_energies.transpose(1, 2), queries)
        return *(x.view(*sizes, *x.shape[1:]) for x in (grad_queries, grad_keys, grad_values)), None, None
