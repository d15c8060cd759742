"""The switch to plain kernels: what it turns off, and that nothing changes but rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq.models import kernels
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.models.loss import sequence_loss


def test_blocks_may_be_nested_and_end_with_an_error() -> None:
    assert not kernels.is_plain()
    with pytest.raises(RuntimeError, match="stop"), kernels.plain():
        with kernels.plain():
            assert kernels.is_plain()
        assert kernels.is_plain()
        raise RuntimeError("stop")
    assert not kernels.is_plain()


def test_a_training_step_by_plain_kernels_is_the_same(
    model: Seq2Seq, sentences: Callable[..., Tensor], shift: Callable[[Tensor], Tensor]
) -> None:
    model.double()
    src, tgt = sentences([7, 4, 2]), sentences([5, 6, 1], seed=1)
    found = []
    for plain in (False, True):
        model.zero_grad()
        with kernels.plain() if plain else prepacked_weights():
            summed = sequence_loss(model, model(src, shift(tgt)).hidden, tgt, 0.1)
        summed.loss.backward()
        found.append((summed, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(*found)


class Names(TorchDispatchMode):
    """Names of the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(str(function.overloadpacket))
        return function(*args, **kwargs or {})


@torch.no_grad()
def test_plain_products_are_torchs_own_in_a_search_too(build_tiny: Callable[..., Seq2Seq], bf16: torch.dtype) -> None:
    model, x = build_tiny("transformer"), torch.randn(3, 8)
    for block, prepacks in ((prepacked_weights, True), (kernels.plain, False)):
        with torch.autocast("cpu", bf16), prepacked_weights(), block(), Names() as names:
            model.logits(x)
        assert ("mkldnn._linear_pointwise" in names.seen) == prepacks
