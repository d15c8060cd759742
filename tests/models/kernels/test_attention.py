"""Attention with a backward of its own in bf16: as near to float32 as autograd's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seq2seq.models import kernels
from seq2seq.models.attention import scaled_dot_product_attention, split_heads
from seq2seq.models.positions import distance_bias

B, H, T, S, W = 3, 2, 7, 5, 12


def padding() -> Tensor:
    mask = torch.ones(B, 1, 1, S, dtype=torch.bool)
    mask[1, ..., -2:] = False
    return mask


def causal() -> Tensor:
    return torch.ones(S, S).tril().bool()


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("length", "mask"), [(T, padding), (S, padding), (S, causal)])
def test_outputs_and_gradients_are_at_least_as_near_to_float32_as_autograds(
    length: int, mask: Callable[[], Tensor], biased: bool, bf16: torch.dtype
) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(B, n, H * W).to(bf16).requires_grad_() for n in (length, S, S))
    of_y = torch.randn(B, H, length, W)
    bias = distance_bias(torch.arange(length), torch.arange(S), H) if biased else None

    def attended(fast: bool, type_: torch.dtype) -> list[Tensor]:
        heads = [split_heads(x.to(type_), H) for x in (query, key, value)]
        with torch.autocast("cpu", bf16, enabled=type_ == bf16):
            if fast:
                y, weights = scaled_dot_product_attention(*heads, mask(), bias=bias)
            else:
                with kernels.plain():
                    y, weights = scaled_dot_product_attention(*heads, mask(), bias=bias)
        assert weights is None and y.dtype == type_ and (y.grad_fn.name() == "_AttentionBackward") == fast
        return [y.float(), *(x.float() for x in torch.autograd.grad(y, [query, key, value], of_y.to(type_)))]

    exact, fast, plain = attended(False, torch.float32), attended(True, bf16), attended(False, bf16)
    for truth, one, other in zip(exact, fast, plain, strict=True):
        assert (one - truth).norm() < 1.3 * (other - truth).norm() < 0.02 * truth.norm()
