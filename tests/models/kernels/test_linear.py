"""A product with a weight that is kept laid out or converted: the same product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq.config.schema import DecodeConfig
from seq2seq.decoding.search import search
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import LEAST, Linear, linear, prepacked_weights

INPUTS, OUTPUTS = 300, 500  # a weight worth laying out
assert LEAST[torch.float32] < INPUTS * OUTPUTS

close = torch.testing.assert_close
ROUNDING = {"rtol": 1e-5, "atol": 1e-4}  # of sums of 300 products

WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "whole": lambda weight: weight,
    "first columns": lambda weight: weight[:, :280],
    "last columns": lambda weight: weight[:, 20:],
    "some rows": lambda weight: weight[30:],
    "small": lambda weight: weight[:7, :11],
    "of no columns": lambda weight: weight[:, :0],
}


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(OUTPUTS, INPUTS)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("shape", [(1,), (64,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("part", WEIGHTS)
@torch.no_grad()
def test_it_is_torchs(weight: Tensor, part: str, shape: tuple[int, ...], biased: bool) -> None:
    weight = WEIGHTS[part](weight)
    bias = torch.randn(len(weight)) if biased else None
    x = torch.randn(*shape, weight.shape[1])
    with prepacked_weights():
        first, second = linear(x, weight, bias), linear(x, weight, bias)
    close(first, F.linear(x, weight, bias), **ROUNDING)
    assert torch.equal(first, second)


@torch.no_grad()
def test_of_inputs_that_do_not_lie_side_by_side(weight: Tensor) -> None:
    x = torch.randn(6, 2, INPUTS).transpose(0, 1)
    with prepacked_weights():
        close(linear(x, weight), F.linear(x, weight), **ROUNDING)
        close(linear(x[:1].expand(3, -1, -1), weight), F.linear(x[:1].expand(3, -1, -1), weight), **ROUNDING)


@torch.no_grad()
def test_in_float64_it_is_torchs_to_the_bit(weight: Tensor) -> None:
    x, weight = torch.randn(4, INPUTS, dtype=torch.float64), weight.double()
    with prepacked_weights():
        assert torch.equal(linear(x, weight), F.linear(x, weight))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
@pytest.mark.parametrize("part", WEIGHTS)
@torch.no_grad()
def test_under_autocast_it_is_what_autocast_makes_of_torchs(
    weight: Tensor, part: str, shape: tuple[int, ...], biased: bool
) -> None:
    weight = WEIGHTS[part](weight)
    x, bias = torch.randn(*shape, weight.shape[1]), torch.randn(len(weight)) if biased else None
    with torch.autocast("cpu", torch.bfloat16), prepacked_weights():
        expected, found = F.linear(x, weight, bias), linear(x, weight, bias)
        assert found.dtype == torch.bfloat16 and torch.equal(found, expected)
        assert torch.equal(linear(x, weight, bias), expected)


class Layouts(TorchDispatchMode):
    """Counts how often weights are laid out, and what is multiplied with them."""

    def __init__(self) -> None:
        super().__init__()
        self.made = self.used = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.made += function.overloadpacket is torch.ops.mkldnn._reorder_linear_weight
        self.used += function.overloadpacket is torch.ops.mkldnn._linear_pointwise
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("part", ["whole", "last columns", "small"])
@torch.no_grad()
def test_in_bf16_every_weight_is_laid_out_once(weight: Tensor, part: str, bf16: torch.dtype) -> None:
    x = torch.randn(4, INPUTS)
    with torch.autocast("cpu", bf16), prepacked_weights(), Layouts() as layouts:
        for _ in range(3):
            of_part = WEIGHTS[part](weight)
            linear(x[:, : of_part.shape[1]], of_part)
    assert (layouts.made, layouts.used) == (1, 3)


@torch.no_grad()
def test_in_float32_only_a_large_weight_is_laid_out(weight: Tensor) -> None:
    with prepacked_weights(), Layouts() as layouts:
        for part in (weight, weight[:7]):
            linear(torch.randn(4, INPUTS), part)
    assert (layouts.made, layouts.used) == (1, 1)


@torch.no_grad()
def test_what_was_made_of_a_weight_ends_with_the_block(weight: Tensor) -> None:
    x = torch.randn(4, INPUTS)
    for _ in range(3):
        with prepacked_weights():
            with prepacked_weights():  # ends nothing
                before = linear(x, weight)
            close(linear(x, weight), before, rtol=0, atol=0)
        weight.add_(1)
        with prepacked_weights():
            close(linear(x, weight), F.linear(x, weight), **ROUNDING)


@torch.no_grad()
def test_it_ends_when_the_block_fails(weight: Tensor) -> None:
    x = torch.randn(4, INPUTS)
    with pytest.raises(RuntimeError, match="stop"), prepacked_weights():
        linear(x, weight)
        raise RuntimeError("stop")
    weight.add_(1)
    with prepacked_weights():
        close(linear(x, weight), F.linear(x, weight), **ROUNDING)


@torch.no_grad()
def test_weights_that_come_to_lie_where_another_was_are_not_taken_for_it() -> None:
    x = torch.randn(4, INPUTS)
    with prepacked_weights():
        for n in range(8):
            weight = torch.full((OUTPUTS, INPUTS), float(n))
            close(linear(x, weight), F.linear(x, weight), **ROUNDING)
            del weight


@torch.no_grad()
def test_a_weight_that_is_changed_all_the_same_is_seen(weight: Tensor) -> None:
    x = torch.randn(4, INPUTS)
    with prepacked_weights():
        linear(x, weight[20:])
        weight.add_(1)
        close(linear(x, weight[20:]), F.linear(x, weight[20:]), **ROUNDING)


def test_gradients_go_through_it() -> None:
    layer, x = Linear(INPUTS, OUTPUTS), torch.randn(4, INPUTS)
    with prepacked_weights():
        layer(x).sum().backward()
    assert layer.weight.grad is not None
    close(layer.weight.grad, x.sum(0).expand(OUTPUTS, -1))


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("type_", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("part", ["whole", "first columns", "last columns", "small"])
def test_in_bf16_training_it_is_autocasts_product_with_autocasts_gradients(
    weight: Tensor, part: str, type_: torch.dtype, biased: bool, activation: str, bf16: torch.dtype
) -> None:
    weight.requires_grad_()
    bias = torch.randn(len(WEIGHTS[part](weight)), requires_grad=True) if biased else None
    x = torch.randn(2, 9, WEIGHTS[part](weight).shape[1]).to(type_).requires_grad_()
    learned = [x, weight, bias] if bias is not None else [x, weight]
    with torch.autocast("cpu", bf16), Layouts() as layouts:
        found = linear(x, WEIGHTS[part](weight), bias, activation)
        expected = F.linear(x, WEIGHTS[part](weight), bias)
        expected = expected.relu() if activation == "relu" else expected
    assert found.dtype == bf16 and torch.equal(found, expected) and layouts.used == 1
    of_y = torch.randn(found.shape).to(bf16)
    for one, other in zip(
        torch.autograd.grad(found, learned, of_y), torch.autograd.grad(expected, learned, of_y), strict=True
    ):
        assert one.dtype == other.dtype
        close(one, other, rtol=0.02, atol=0.02)


def test_in_bf16_training_nothing_is_computed_for_frozen_weights(weight: Tensor, bf16: torch.dtype) -> None:
    x, bias = torch.randn(4, INPUTS, requires_grad=True), torch.randn(OUTPUTS, requires_grad=True)
    with torch.autocast("cpu", bf16):
        linear(x, weight, bias).sum().backward()
        linear(x.detach(), weight, bias).sum().backward()
    assert weight.grad is None and x.grad is not None
    close(bias.grad, torch.full((OUTPUTS,), 8.0))


@pytest.mark.parametrize("grad", [True, False])
def test_relu_of_the_product_in_any_precision(weight: Tensor, grad: bool) -> None:
    x, bias = torch.randn(4, INPUTS), torch.randn(OUTPUTS)
    with torch.set_grad_enabled(grad), prepacked_weights():
        close(linear(x, weight, bias, "relu"), F.linear(x, weight, bias).relu(), **ROUNDING)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(linear(x, weight, bias, "relu"), F.linear(x, weight, bias).relu())


def test_a_search_sees_weights_that_training_has_changed(model: Seq2Seq, sentences: Callable[..., Tensor]) -> None:
    src = sentences([6, 3, 5])
    model.eval()
    options = DecodeConfig(beam=1, max_extra=4, max_ratio=0)
    with prepacked_weights():
        before = search([model], src, options)
    with torch.no_grad():
        model.output.bias[7] += 50  # whatever was likely
        model.output.weight.mul_(1e-3)
    with prepacked_weights():
        after = search([model], src, options)
    assert before != after
    assert all(set(found[0].ids) == {7} for found in after)
