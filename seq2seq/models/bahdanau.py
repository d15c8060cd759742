"""The attentive context: the mean of the source states, weighted by relevance at each step (Bahdanau et al. 2014).

The scores dot and general of Luong et al. 2015, and their order, are options. Shapes as in ``interface``; A units of
the additive score.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.config.schema import AttentionDecoderConfig
from seq2seq.models.interface import Memory, SourceAttention
from seq2seq.models.kernels import is_plain
from seq2seq.models.kernels.linear import Linear
from seq2seq.models.kernels.scan import Attended, attentive_scan
from seq2seq.models.recurrent import Context


def attentive_context(options: AttentionDecoderConfig, memory_width: int) -> Context:
    """The context of a decoder with attention, by its score function."""
    kind = UniformContext if options.score == "uniform" else AttentiveContext
    return kind(options, memory_width)


class AttentiveContext(Context, SourceAttention):
    """c_i = Σ_j α_ij h_j, where α_i is the softmax over the source of the energies e_ij (section 3.1).

    ``after`` the step s_i stands for s_{i-1} (Luong et al. 2015, section 3).
    """

    changes = True

    def __init__(self, options: AttentionDecoderConfig, memory_width: int) -> None:
        super().__init__()
        self.width = self.first_width = memory_width
        self.score, self.after = options.score, options.order == "after"
        if options.score == "additive":  # e_ij = v·tanh(W s_{i-1} + U h_j), appendix A.1.2
            self.query = Linear(options.width, options.attention_width, bias=False)
            self.key = Linear(memory_width, options.attention_width)
            self.energy = nn.Parameter(torch.empty(options.attention_width))
            nn.init.uniform_(self.energy, -(options.attention_width**-0.5), options.attention_width**-0.5)
        elif options.score == "general":  # e_ij = s_{i-1}·(U h_j)
            self.key = Linear(memory_width, options.width, bias=False)

    def precompute(self, memory: Memory) -> Memory:
        """Add the keys U h_j (B, S, A) and the padding (B, 1, S), -inf at padded positions, else 0."""
        keys = memory.states if self.score == "dot" else self.key(memory.states)
        padding = torch.zeros_like(memory.mask, dtype=torch.float32).masked_fill_(~memory.mask, float("-inf"))
        return memory._replace(precomputed=(keys, padding[:, None]))

    def first(self, memory: Memory) -> Tensor:
        return memory.sentence_vector

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Queries (B, K, D) of all hypotheses against the same keys (B, S, A), which are never repeated."""
        keys, padding = memory.precomputed
        if self.score == "additive" and is_plain():
            mixed = torch.tanh(self.query(query)[:, :, None] + keys[:, None])  # (B, K, S, A)
            energies = F.linear(mixed, self.energy[None]).squeeze(-1)
        elif self.score == "additive":
            # v·tanh x = 2v·σ(2x) - Σv: a third of the cost, and softmax does not change by the constant.
            mixed = torch.sigmoid(2 * self.query(query)[:, :, None] + 2 * keys[:, None])
            energies = F.linear(mixed, 2 * self.energy[None]).squeeze(-1)
        else:
            energies = query @ keys.transpose(1, 2)
        weights = torch.softmax(energies + padding, -1)
        if self.attention_override is not None:
            weights = self.attention_override(weights, memory.mask[:, None])
        return weights.to(memory.states.dtype) @ memory.states, weights

    def scan(
        self, gates: Tensor, reading: Tensor, recurrent: Tensor, state: Tensor, cell: Tensor, memory: Memory
    ) -> Attended | None:
        if self.score != "additive" or self.attention_override is not None:
            return None
        keys, padding = memory.precomputed
        weights = (recurrent, reading, self.query.weight, self.energy)
        return attentive_scan(gates, weights, (keys, memory.states, padding[:, 0]), state, cell, self.after)


class UniformContext(Context):
    """c_i = Σ_j h_j / S for every i: attention without a choice, which has no queries and no keys."""

    changes = False

    def __init__(self, options: AttentionDecoderConfig, memory_width: int) -> None:
        super().__init__()
        self.width = self.first_width = memory_width

    def precompute(self, memory: Memory) -> Memory:
        """Add the mean of the states (B, C), padding left out."""
        share = memory.mask / memory.mask.sum(1, keepdim=True)
        return memory._replace(precomputed=((memory.states * share[..., None]).sum(1),))

    def first(self, memory: Memory) -> Tensor:
        return memory.sentence_vector

    def bottleneck(self, memory: Memory) -> Tensor:
        return torch.cat([memory.precomputed[0], memory.sentence_vector], -1)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, None]:
        return memory.precomputed[0][:, None], None
