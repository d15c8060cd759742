"""The minimal GRU: all steps at once give what one step after the other gives, gradients too."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from seq2seq.models.kernels import plain
from seq2seq.models.mingru import MinGRU, linear_recurrence, positive


def step_by_step(keep: Tensor, add: Tensor) -> Tensor:
    state, states = torch.zeros_like(keep[:, 0]), []
    for t in range(keep.shape[1]):
        state = keep[:, t] * state + add[:, t]
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("by", [nullcontext, plain])
@pytest.mark.parametrize("length", [1, 2, 3, 8, 13])
def test_the_scan_is_the_recurrence_and_has_its_gradients(length: int, by: type[nullcontext[None]]) -> None:
    torch.manual_seed(0)
    keep = torch.rand(2, length, 3).double().requires_grad_()
    add = torch.randn(2, length, 3).double().requires_grad_()
    of_states = torch.randn(2, length, 3).double()
    expected = step_by_step(keep, add)
    with by():
        found = linear_recurrence(keep, add)
    torch.testing.assert_close(found, expected)
    wanted, gradients = (
        torch.autograd.grad(states, [keep, add], of_states, materialize_grads=True) for states in (expected, found)
    )
    torch.testing.assert_close(gradients, wanted)


@pytest.mark.parametrize("length", [300])
def test_long_sequences_of_closed_and_open_gates_stay_exact(length: int) -> None:
    """Cumulative products underflow here, and their logarithms lose digits."""
    torch.manual_seed(0)
    keep, add = torch.sigmoid(20 * torch.randn(1, length, 4)), torch.rand(1, length, 4)
    exact = step_by_step(keep.double(), add.double())
    torch.testing.assert_close(linear_recurrence(keep, add).double(), exact, rtol=1e-5, atol=1e-6)


def test_the_activation_is_the_papers() -> None:
    x = torch.linspace(-6, 6, 49).double()
    torch.testing.assert_close(positive(x), torch.where(x >= 0, x + 0.5, x.sigmoid()))


def test_a_layer_is_the_papers_equations() -> None:
    torch.manual_seed(0)
    layer, x = MinGRU(5, 4).double(), torch.randn(2, 7, 5).double()
    states, nothing = layer(x)
    update, candidate = (x @ layer.gates.weight.T + layer.gates.bias).chunk(2, -1)
    state = torch.zeros(2, 4).double()
    for t in range(7):
        z = update[:, t].sigmoid()
        proposal = torch.where(candidate[:, t] >= 0, candidate[:, t] + 0.5, candidate[:, t].sigmoid())
        state = (1 - z) * state + z * proposal
        torch.testing.assert_close(states[:, t], state)
    assert nothing is None
