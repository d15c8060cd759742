"""The interface of all architectures, through which training and search use them. Knows none of them.

Shapes: B sentences, S source positions, T target positions, K hypotheses of a sentence, D units, H attention maps,
V tokens of the vocabulary. Masks are True at real positions. The states of a memory are one for each source position,
unless its encoder pools them into slots: to the decoder S is then the number of slots, and S' that of the positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.config.schema import PAD

State = dict[str, Tensor]
"""Per-hypothesis decoder state (hidden states or key/value caches): tensors (B, K, …), which a search can reorder.

A step may write into the state that it is given: continue from the state that it returns, or a reordered one.
"""


class Memory(NamedTuple):
    """The encoded source: tensors that depend on the sentence alone and are never repeated for the beam."""

    states: Tensor  # (B, S, D)
    mask: Tensor  # (B, S)
    sentence_vector: Tensor  # (B, D'): the whole sentence as one vector
    precomputed: tuple[Tensor, ...] = ()  # computed by the decoder once a sentence (keys, values, …), each (B, …)
    pooling: tuple[Tensor, ...] = ()  # one (B, S, S'), the share of each position in each state, where states are slots

    def select(self, rows: Tensor) -> Memory:
        """The memory of the sentences ``rows`` (B',)."""
        states, mask, vector = (part.index_select(0, rows) for part in (self.states, self.mask, self.sentence_vector))
        precomputed, pooling = (
            tuple(part.index_select(0, rows) for part in parts) for parts in (self.precomputed, self.pooling)
        )
        return Memory(states, mask, vector, precomputed, pooling)

    def over_positions(self, weights: Tensor | None) -> Tensor | None:
        """Attention weights over the states (B, …, S) as weights over source positions (B, …, S').

        Weights over slots are multiplied by the slots' own weights, a matrix product. None where there are no weights,
        and where the states do not depend on the source (S' = 0).
        """
        if weights is None or not self.pooling:
            return weights
        [pooling] = self.pooling
        if not pooling.shape[-1]:
            return None
        return (weights.flatten(1, -2).to(pooling.dtype) @ pooling).unflatten(1, weights.shape[1:-1])


def reorder_state(state: State, rows: Tensor, hypotheses: Tensor | None = None) -> State:
    """Keep the sentences ``rows`` (B',) and, of each, the hypotheses (B', K'), which may repeat."""
    if hypotheses is None:
        return {name: tensor.index_select(0, rows) for name, tensor in state.items()}
    selected = {}
    for name, tensor in state.items():  # flattened, so that whole rows are copied, which is fastest
        flat = (rows[:, None] * tensor.shape[1] + hypotheses).flatten()
        selected[name] = tensor.flatten(0, 1).index_select(0, flat).unflatten(0, hypotheses.shape)
    return selected


class DecoderOutput(NamedTuple):
    """Result of teacher forcing: ``hidden`` (B, T, D) before the output layer, ``attention`` (B, H, T, S) or None."""

    hidden: Tensor
    attention: Tensor | None


class Step(NamedTuple):
    """Result of reading a token: ``hidden`` (B, K, D), the new state, ``attention`` (B, K, H, S) or None."""

    hidden: Tensor
    state: State
    attention: Tensor | None


class Encoder(nn.Module, ABC):
    """Maps source ids to a memory."""

    @abstractmethod
    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        """``src`` (B, S) ids, ``src_mask`` (B, S)."""

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        """As ``Seq2Seq.layer_methods``, of the encoder."""
        return {}

    def uncompiled_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        """As ``Seq2Seq.uncompiled_methods``, of the encoder."""
        return {}


class Decoder(nn.Module, ABC):
    """Maps a memory and target ids to hidden states: all positions at once, or token by token, with the same result."""

    def precompute(self, memory: Memory) -> Memory:
        """Add to the memory what depends on the sentence alone, so that no step computes it again."""
        return memory

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        """As ``Seq2Seq.layer_methods``, of the decoder."""
        return {}

    def uncompiled_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        """As ``Seq2Seq.uncompiled_methods``, of the decoder."""
        return {}

    def bottleneck(self, memory: Memory) -> Tensor | None:
        """The single vector (B, C) of a precomputed memory that is all the decoder reads of the source, or None."""
        alone = memory.pooling and memory.pooling[0].shape[1] == 1 and memory.pooling[0].shape[2]
        return memory.states[:, 0] if alone else None

    @abstractmethod
    def forward(self, memory: Memory, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        """Teacher forcing on ``tgt_in`` (B, T) ids; ``attention`` asks for the attention maps."""

    @abstractmethod
    def init_state(self, memory: Memory) -> State:
        """The state before the first token, with one hypothesis a sentence (K = 1)."""

    @abstractmethod
    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        """Read ``token`` (B, K) ids after the hypotheses of ``state``."""


AttentionOverride = Callable[[Tensor, Tensor], Tensor]
"""Maps attention weights (B, …, S) and the mask (B, …, S) to the weights that are used instead."""


class SourceAttention(nn.Module):
    """Base of the modules that attend to the source. They use the weights of ``attention_override``, if it is set."""

    attention_override: AttentionOverride | None = None


class Seq2Seq(nn.Module):
    """An encoder, a decoder and the output layer: the one model class that code outside ``models/`` uses."""

    def __init__(self, encoder: Encoder, decoder: Decoder, output: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.decoder, self.output = encoder, decoder, output

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        """Layers whose parameters only they use, each with the names of the methods, beside ``forward``, that do.

        In sharded training each can be a group of its own, its methods registered by ``register_fsdp_forward_method``;
        all other parameters belong to the model's group.
        """
        return {**self.encoder.layer_methods(), **self.decoder.layer_methods()}

    def uncompiled_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        """Methods that ``torch.compile`` leaves as they are, by module: cuDNN's layers and loops over positions.

        A loop would be compiled anew, step by step, for each number of positions.
        """
        return {**self.encoder.uncompiled_methods(), **self.decoder.uncompiled_methods()}

    def leave_uncompiled(self) -> None:
        """Have ``torch.compile`` leave ``uncompiled_methods`` as they are, in this model alone."""
        for module, methods in self.uncompiled_methods().items():
            for method in methods:
                setattr(module, method, torch.compiler.disable(getattr(module, method)))

    def encode(self, src: Tensor) -> Memory:
        """The memory of ``src`` (B, S) ids, PAD at the end, with everything precomputed."""
        return self.decoder.precompute(self.encoder(src, src != PAD))

    def forward(self, src: Tensor, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        """Teacher forcing on ``src`` (B, S) ids and ``tgt_in`` (B, T) ids, which begin with BOS."""
        output: DecoderOutput = self.decoder(self.encode(src), tgt_in, attention)
        return output

    def logits(self, hidden: Tensor) -> Tensor:
        """The output layer: hidden states (…, D) to logits (…, V)."""
        logits: Tensor = self.output(hidden)
        return logits

    @contextmanager
    def overridden_attention(self, override: AttentionOverride | None) -> Iterator[None]:
        """Inside, ``override`` replaces the weights of each attention over the source; None: the trained weights.

        Blocks may be nested.
        """
        earlier = [(part, part.attention_override) for part in self.modules() if isinstance(part, SourceAttention)]
        for part, _ in earlier:
            part.attention_override = override
        try:
            yield
        finally:
            for part, before in earlier:
                part.attention_override = before
