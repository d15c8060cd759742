"""The minimal GRU, whose gates do not read the previous state: all steps are computed at once (Feng et al. 2024).

Shapes as in ``interface``; ``recurrent`` has the encoder whose cell this is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq.models.kernels import is_plain
from seq2seq.models.kernels.linear import Linear

DOUBLINGS = 20  # enough for 2^20 positions, the longest line that is ever read


class MinGRU(nn.Module):
    """One layer in one direction ("Were RNNs All We Needed?", section 3.1, with g of appendix B).

    z_t = σ(W_z x_t + b_z)                    g(v) = v + 1/2 for v ≥ 0, σ(v) below
    h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ g(W_h x_t + b_h)        h_0 = 0
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gates = Linear(inputs, 2 * width, output_parts=2)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """``x`` (B, S, I) to the states (B, S, D), and None where torch's layers give the last one."""
        gates: Tensor = self.gates(x)
        update, candidate = gates.to(torch.promote_types(gates.dtype, torch.float32)).chunk(2, -1)
        return linear_recurrence(torch.sigmoid(-update), torch.sigmoid(update) * positive(candidate)).to(x.dtype), None


def positive(x: Tensor) -> Tensor:
    """g of appendix B: x + 1/2 for x ≥ 0, σ(x) below."""
    return x.relu() + torch.sigmoid(-(-x).relu())


def linear_recurrence(keep: Tensor, add: Tensor) -> Tensor:
    """h_t = keep_t ⊙ h_{t-1} + add_t with h_0 = 0, for all t at once; (B, S, D) each.

    A parallel scan by doubling (Hillis and Steele 1986). A step is the map h → keep h + add, and the map of two
    stretches of steps, one after the other, has keep₂ keep₁ and keep₂ add₁ + add₂; after n rounds each position has
    the map of the 2^n steps that end there. With keep in [0, 1] nothing grows beyond the states themselves, so that no
    logarithms are needed, as they are where cumulative products are divided (appendix B of Feng et al.).
    """
    if is_plain():
        return _of_any_length(keep, add)
    reach = 1
    while reach < keep.shape[1]:
        later = keep[:, reach:]
        add = torch.cat([add[:, :reach], torch.addcmul(add[:, reach:], later, add[:, :-reach])], 1)
        keep = torch.cat([keep[:, :reach], later * keep[:, :-reach]], 1)
        reach *= 2
    return add


def _of_any_length(keep: Tensor, add: Tensor) -> Tensor:
    """The same in a fixed number of rounds, so that a graph traced from one length holds for others."""
    places = torch.arange(keep.shape[1], device=keep.device)
    for reach in (1 << n for n in range(DOUBLINGS)):
        earlier = (places - reach).clamp(min=0)
        is_there = (places - reach + 1).clamp(0, 1).to(keep.dtype)[:, None]
        add = add + keep * is_there * add.index_select(1, earlier)
        keep = keep * is_there * keep.index_select(1, earlier)
    return add
