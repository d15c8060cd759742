"""Slots: the source as k vectors, however long it is, by attention of k learned queries to the states of any encoder.

Pooling by multi-head attention (Lee et al. 2019, Set Transformer, section 3.2), without its feed-forward layer. Shapes
as in ``interface``; k slots.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from seq2seq.models.attention import CrossAttention
from seq2seq.models.interface import Encoder, Memory

HEADS = 4  # of the queries; fewer where these do not divide the width


class SlotEncoder(Encoder):
    """An encoder whose memory holds k slots z_1, …, z_k in place of the states h_1, …, h_S, and nothing else of them:

        z_n = LayerNorm(q_n + MultiHead(q_n, h, h))
        sentence vector = (z_1 + … + z_k) / k

    The queries q_n are learned and the same for all sentences.
    """

    def __init__(self, encoder: Encoder, slots: int, width: int) -> None:
        """``encoder`` has states of ``width`` units."""
        super().__init__()
        self.encoder = encoder
        self.queries = nn.Embedding(slots, width)  # a table, as learned positions are: no matrix of a product
        self.attention = CrossAttention(width, math.gcd(HEADS, width), width)
        self.norm = nn.LayerNorm(width)

    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        """``src`` (B, S') ids, ``src_mask`` (B, S'), to a memory of k states with the mean of the heads' weights."""
        states, mask, *_ = self.encoder(src, src_mask)
        queries = self.queries.weight.expand(len(src), -1, -1)
        mixed, weights = self.attention(queries, *self.attention.precompute(states), mask, weights=True)
        slots = self.norm(queries + mixed)
        every = mask.new_ones(slots.shape[:2])
        return Memory(slots, every, slots.mean(1), pooling=(weights.detach().mean(1),))

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        return self.encoder.layer_methods()

    def uncompiled_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        return self.encoder.uncompiled_methods()
