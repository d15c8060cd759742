"""Solution of exercise 3: the LSTM cell."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Weights(NamedTuple):
    """The parameters of a cell."""

    of_input: Tensor  # (4D, I)
    of_state: Tensor  # (4D, D)
    bias: Tensor  # (4D)


def lstm_step(x: Tensor, state: Tensor, cell: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """One step: the new state and the new cell.

    From c' to c a gradient is multiplied by f alone, which may be near 1; from h' to h by weights and by derivatives of
    sigmoids, which are a quarter at most.
    """
    sums = x @ weights.of_input.T + state @ weights.of_state.T + weights.bias
    input_, forget, candidate, output = sums.chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(input_) * torch.tanh(candidate)
    return torch.sigmoid(output) * torch.tanh(cell), cell


def lstm(x: Tensor, weights: Weights) -> Tensor:
    """The states of all steps, one after the other."""
    state = cell = x.new_zeros(len(x), weights.of_state.shape[1])
    states = []
    for position in x.unbind(1):
        state, cell = lstm_step(position, state, cell, weights)
        states.append(state)
    return torch.stack(states, 1)
