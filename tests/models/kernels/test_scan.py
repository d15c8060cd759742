"""All steps at once against one step after another: the same states, and the same gradients of everything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq.models import kernels
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.scan import attentive_scan, lstm_scan
from seq2seq.models.loss import sequence_loss
from seq2seq.models.recurrent import RecurrentDecoder

Make = Callable[..., Seq2Seq]
T, B, S, D, C, A = 4, 3, 5, 6, 4, 3


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    """Random float64 inputs of a scan, the last sentence two positions shorter than the others."""
    torch.manual_seed(0)
    shapes = {
        "gates": (T, B, 4 * D),
        "recurrent": (4 * D, D),
        "reading": (4 * D, C),
        "query": (A, D),
        "energy": (A,),
        "keys": (B, S, A),
        "memory": (B, S, C),
        "state": (B, D),
        "cell": (B, D),
    }
    made = {name: torch.randn(shape, dtype=torch.float64, requires_grad=True) for name, shape in shapes.items()}
    padding = torch.zeros(B, S, dtype=torch.float64)
    padding[-1, -2:] = float("-inf")
    return {**made, "padding": padding}


def test_lstm_scan_is_torchs_lstm(inputs: dict[str, Tensor]) -> None:
    layer = nn.LSTM(2, D).double()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(inputs["recurrent"])
    x = torch.randn(T, B, 2, dtype=torch.float64)
    expected, _ = layer(x, (inputs["state"][None], inputs["cell"][None]))
    gates = nn.functional.linear(x, layer.weight_ih_l0, layer.bias_ih_l0 + layer.bias_hh_l0)
    found = lstm_scan(gates, layer.weight_hh_l0, inputs["state"], inputs["cell"])
    torch.testing.assert_close(found, expected)
    learned = (*layer.parameters(), inputs["state"], inputs["cell"])
    weight = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), learned), torch.autograd.grad((expected * weight).sum(), learned)
    )


def test_gradients_of_the_lstm_scan_are_those_of_finite_differences(inputs: dict[str, Tensor]) -> None:
    assert torch.autograd.gradcheck(lstm_scan, [inputs[name] for name in ("gates", "recurrent", "state", "cell")])


@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_of_the_attentive_scan_are_those_of_finite_differences(
    inputs: dict[str, Tensor], after: bool
) -> None:
    names = [name for name in inputs if name != "padding"]

    def scan(*given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = dict(zip(names, given, strict=True))
        weights = (x["recurrent"], x["reading"], x["query"], x["energy"])
        memory = (x["keys"], x["memory"], inputs["padding"])
        found = attentive_scan(x["gates"], weights, memory, x["state"], x["cell"], after)
        assert found.contexts is not None and found.weights is not None
        return found.states, found.contexts, found.weights

    assert torch.autograd.gradcheck(scan, [inputs[name] for name in names])


class Largest(TorchDispatchMode):
    """Numbers in the largest tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


def test_without_gradients_no_step_is_kept(inputs: dict[str, Tensor]) -> None:
    """A line of a thousand tokens has a thousand times a thousand energies, each of as many units."""
    x = inputs
    wide = x["keys"].repeat(1, 1, 40), x["memory"], x["padding"]
    weights = x["recurrent"], x["reading"], x["query"].repeat(40, 1), x["energy"].repeat(40)
    expected = attentive_scan(x["gates"], weights, wide, x["state"], x["cell"])
    with Largest() as largest, torch.no_grad():
        found = attentive_scan(x["gates"], weights, wide, x["state"], x["cell"])
    torch.testing.assert_close(found, expected)
    assert largest.numbers == wide[0].numel()


@pytest.fixture(params=["lstm", "bahdanau", "bahdanau-after"])
def model(request: pytest.FixtureRequest, build_tiny: Make) -> Seq2Seq:
    made = build_tiny(request.param)
    assert isinstance(made.decoder, RecurrentDecoder)
    return made


def trained_on(
    model: Seq2Seq, src: Tensor, tgt: Tensor, plain: bool = False
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Hidden states of a batch, its loss, and the gradient of every parameter."""
    model.zero_grad()
    with kernels.plain() if plain else contextlib.nullcontext():
        hidden = model(src, tgt).hidden
    loss, _ = sequence_loss(model, hidden, tgt, 0.1)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return hidden.detach(), loss.detach(), gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_training_step_is_the_step_by_step_ones(
    model: Seq2Seq, dtype: torch.dtype, sentences: Callable[..., Tensor]
) -> None:
    model.to(dtype)
    src, tgt = sentences([7, 4, 2]), sentences([5, 6, 1])
    fast = trained_on(model, src, tgt)
    torch.testing.assert_close(fast, trained_on(model, src, tgt, plain=True))


def test_in_bf16_it_strays_no_further_than_the_steps_do(
    model: Seq2Seq, sentences: Callable[..., Tensor], bf16: torch.dtype
) -> None:
    src, tgt = sentences([7, 4, 2]), sentences([5, 6, 1])
    _, _, exact = trained_on(model, src, tgt)
    with torch.autocast("cpu", bf16):
        _, loss, fast = trained_on(model, src, tgt)
        _, plain_loss, slow = trained_on(model, src, tgt, plain=True)
    assert fast.keys() == slow.keys() == exact.keys()
    torch.testing.assert_close(loss, plain_loss, rtol=0.01, atol=0)
    whole = sum(float((gradient**2).sum()) for gradient in exact.values()) ** 0.5
    for gradients in (fast, slow):
        off = sum(float(((gradients[n] - exact[n]) ** 2).sum()) for n in exact) ** 0.5
        assert off < 0.02 * whole


def test_attention_maps_of_the_scan_are_the_steps(build_tiny: Make, sentences: Callable[..., Tensor]) -> None:
    model = build_tiny("bahdanau").eval()
    src, tgt = sentences([7, 4, 2]), sentences([5, 6, 1])
    fast = model(src, tgt, attention=True).attention
    with kernels.plain():
        torch.testing.assert_close(fast, model(src, tgt, attention=True).attention)
