"""What every architecture offers to training and to search, and nothing about any of them.

Shapes: B sentences, S source positions, T target positions, K hypotheses of a sentence, D units, H attention maps,
V pieces. Masks are True at real positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn

from seq2seq.config.schema import PAD

State = dict[str, Tensor]
"""Per-hypothesis decoder state (hidden states or key/value caches): tensors (B, K, …), which a search can reorder.

A step may write into the state that it is given: continue from the state that it returns, or a reordered one.
"""


AttentionOverride = Callable[[Tensor, Tensor], Tensor]
"""An intervention: attention weights (B, …, S) and the mask (B, …, S) to the weights that are used instead."""


@dataclass(frozen=True)
class Memory:
    """What the decoder may know of the source. It depends on the sentence alone and is never repeated for the beam."""

    states: Tensor  # (B, S, D)
    mask: Tensor  # (B, S)
    sentence_vector: Tensor  # (B, D'): the whole sentence in one vector
    precomputed: tuple[Tensor, ...] = ()  # what a decoder has computed from the sentence once, each (B, …)
    attention_override: AttentionOverride | None = (
        None  # what stands in for the weights that attention has learned; None: nothing
    )

    def select(self, rows: Tensor) -> Memory:
        """The memory of some of the sentences, ``rows`` (B',)."""
        states, mask, sentence_vector, *precomputed = (
            part.index_select(0, rows) for part in (self.states, self.mask, self.sentence_vector, *self.precomputed)
        )
        return replace(self, states=states, mask=mask, sentence_vector=sentence_vector, precomputed=tuple(precomputed))

    def with_precomputed(self, *precomputed: Tensor) -> Memory:
        """The same memory with what the decoder computes once."""
        return replace(self, precomputed=precomputed)


def reorder_state(state: State, rows: Tensor, hypotheses: Tensor | None = None) -> State:
    """Keep the sentences ``rows`` (B',) and, of each, the hypotheses (B', K'), which may repeat."""
    if hypotheses is None:
        return {name: tensor.index_select(0, rows) for name, tensor in state.items()}
    selected = {}
    for name, tensor in state.items():  # by whole rows of memory, which copy fastest
        flat = (rows[:, None] * tensor.shape[1] + hypotheses).flatten()
        selected[name] = tensor.flatten(0, 1).index_select(0, flat).unflatten(0, hypotheses.shape)
    return selected


class DecoderOutput(NamedTuple):
    """Teacher forcing: ``hidden`` (B, T, D) before the output layer, ``attention`` (B, H, T, S) where asked for."""

    hidden: Tensor
    attention: Tensor | None


class Step(NamedTuple):
    """One token further: ``hidden`` (B, K, D), the new state, ``attention`` (B, K, H, S) or None."""

    hidden: Tensor
    state: State
    attention: Tensor | None


class Encoder(nn.Module, ABC):
    """Source ids to a memory."""

    @abstractmethod
    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        """``src`` (B, S) ids, ``src_mask`` (B, S)."""


class Decoder(nn.Module, ABC):
    """Memory and target ids to hidden states: the whole target at once or token by token, with the same result."""

    def precompute(self, memory: Memory) -> Memory:
        """Add to the memory what the decoder needs of the sentence alone."""
        return memory

    def bottleneck(self, memory: Memory) -> Tensor | None:
        """The one vector (B, C) through which everything must pass, of a prepared memory; None where there is none."""
        return None

    @abstractmethod
    def forward(self, memory: Memory, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        """Teacher forcing on ``tgt_in`` (B, T); attention maps are kept only when asked for."""

    @abstractmethod
    def init_state(self, memory: Memory) -> State:
        """The state before the first token, with one hypothesis a sentence (K = 1)."""

    @abstractmethod
    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        """Read ``token`` (B, K)."""


class Seq2Seq(nn.Module):
    """An encoder, a decoder and the output layer. Everything outside ``models/`` holds one of these."""

    attention_override: AttentionOverride | None = None  # set only while the effect of an intervention is measured

    def __init__(self, encoder: Encoder, decoder: Decoder, output: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.decoder, self.output = encoder, decoder, output

    def encode(self, src: Tensor) -> Memory:
        """``src`` (B, S) ids, PAD at the end, to the memory with all that depends on the sentence alone."""
        memory: Memory = self.decoder.precompute(self.encoder(src, src != PAD))
        return replace(memory, attention_override=self.attention_override)

    def forward(self, src: Tensor, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        """Teacher forcing: ``src`` (B, S), ``tgt_in`` (B, T) beginning with BOS."""
        output: DecoderOutput = self.decoder(self.encode(src), tgt_in, attention)
        return output

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, D) to (…, V)."""
        logits: Tensor = self.output(hidden)
        return logits
