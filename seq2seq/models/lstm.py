"""The fixed context: a single vector of the whole sentence, whatever its length (Cho et al. 2014).

Or the encoder's last states, in which the decoder's layers begin (Sutskever et al. 2014).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq.config.schema import FixedContextDecoderConfig
from seq2seq.models.interface import Memory
from seq2seq.models.recurrent import Context


def fixed_context(options: FixedContextDecoderConfig, vector_width: int) -> Context:
    """The context of a decoder that reads a sentence vector of ``vector_width`` units."""
    return FinalStates() if options.needs_final_states else FixedContext(options, vector_width)


class FixedContext(Context):
    """c = tanh(V h), read at every step (Cho et al. 2014) or only by the first state."""

    changes = False

    def __init__(self, options: FixedContextDecoderConfig, vector_width: int) -> None:
        super().__init__()
        self.every_step = options.context == "every_step"
        self.width = options.context_width if self.every_step else 0
        self.first_width = options.context_width
        self.compress = nn.Linear(vector_width, options.context_width)

    def precompute(self, memory: Memory) -> Memory:
        return memory._replace(precomputed=(torch.tanh(self.compress(memory.sentence_vector)),))

    def first(self, memory: Memory) -> Tensor:
        return memory.precomputed[0]

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, None]:
        return memory.precomputed[0][:, None, : self.width], None


class FinalStates(Context):
    """No context but the first states: those in which the encoder's layers end (Sutskever et al. 2014, section 2)."""

    changes = False
    width = first_width = 0

    def precompute(self, memory: Memory) -> Memory:
        return memory

    def first(self, memory: Memory) -> Tensor:
        return memory.sentence_vector

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, None]:
        return memory.sentence_vector[:, None, :0], None
