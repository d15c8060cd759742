"""Dropout: its share, its randomness, its gradient, and torch's own under the switch to plain kernels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from seq2seq.models import kernels
from seq2seq.models.kernels.dropout import Dropout

close = torch.testing.assert_close


def test_dropout_drops_its_share_and_scales_the_rest() -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.25)(torch.ones(1_000_000))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.002)
    close(dropped.unique(), torch.tensor([0, 1 / 0.75]))


def test_dropout_is_off_in_evaluation_and_at_zero() -> None:
    x = torch.randn(50)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_dropout_repeats_under_a_seed_and_differs_between_calls() -> None:
    x, dropout = torch.ones(4, 50), Dropout(0.5)
    torch.manual_seed(7)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(7)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


def test_dropout_treats_units_apart() -> None:
    """One random number serves eight units: they must not fall together."""
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(20_000, 8)) == 0).float()
    correlation = torch.corrcoef(dropped.T) - torch.eye(8)
    assert correlation.abs().max() < 0.05


@pytest.mark.parametrize("type_", [torch.float32, torch.bfloat16, torch.float16])
def test_dropout_keeps_the_mean_of_values_and_gradients_in_every_precision(type_: torch.dtype) -> None:
    """A mask in bfloat16 cannot hold 256/230: the scale would be 0.3 % too small."""
    torch.manual_seed(0)
    x = (1 + torch.rand(1 << 20)).to(type_).requires_grad_()
    slope = (1 + torch.rand(1 << 20)).to(type_)
    y = Dropout(0.1)(x)
    y.backward(slope)
    kept = y != 0
    assert torch.equal(kept, x.grad != 0)
    for found, given in ((y, x), (x.grad, slope)):
        scale = found[kept].double().sum() / given[kept].double().sum()
        assert scale.item() == pytest.approx(256 / 230, rel=2e-4)


def test_dropout_passes_the_gradient_of_what_is_kept() -> None:
    torch.manual_seed(0)
    x = torch.ones(64, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y)


def test_plain_dropout_is_torchs() -> None:
    x = torch.ones(1_000)
    torch.manual_seed(0)
    expected = F.dropout(x, 0.25)
    torch.manual_seed(0)
    with kernels.plain():
        assert torch.equal(Dropout(0.25)(x), expected)
