"""Exercise 3: the LSTM cell (Hochreiter and Schmidhuber 1997; with the forget gate of Gers et al. 2000).

Shapes: B sentences, S positions, I units of the input, D of the state. The weights hold the four gates one below the
other, in torch's order: input i, forget f, candidate g, output o.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Weights(NamedTuple):
    """The parameters of a cell."""

    of_input: Tensor  # (4D, I)
    of_state: Tensor  # (4D, D)
    bias: Tensor  # (4D)


def lstm_step(x: Tensor, state: Tensor, cell: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """One step: the new state and the new cell, (B, D) each.

        i = σ(a_i)   f = σ(a_f)   g = tanh(a_g)   o = σ(a_o)     with a = W x + U h + b, cut into four
        c' = f ⊙ c + i ⊙ g
        h' = o ⊙ tanh(c')

    Why can a gradient reach further back through c than through h?

    Args:
        x: (B, I).
        state, cell: h and c of the step before, (B, D).
    """
    raise NotImplementedError("lstm_step in docs/exercises/lstm_cell.py")


def lstm(x: Tensor, weights: Weights) -> Tensor:
    """The states (B, S, D) of all steps over ``x`` (B, S, I), from a state and a cell of zeros."""
    raise NotImplementedError("lstm in docs/exercises/lstm_cell.py")
