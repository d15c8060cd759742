"""Fault 3: attention is computed after the step, and the decoder's state never learns what was attended to.

In Bahdanau et al. (2014, section 3.1) the state s_{i-1}, which has not read y_{i-1} yet, chooses the context c_i, and
the cell reads it: s_i = cell(y_{i-1}, c_i ; s_{i-1}). Here the cell runs first, without a context, and c_i is chosen by
s_i and read by the output layer alone. The order by itself is sound: Luong et al. (2015) attend after the step too, but
feed what was attended to into the next step (section 3.3, input feeding), as ``model.decoder.order=after`` does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn import functional as F

from scripts.faults.replacing import replaced
from seq2seq.config.schema import AttentionDecoderConfig
from seq2seq.models import build
from seq2seq.models.bahdanau import attentive_context
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Memory, State, Step
from seq2seq.models.kernels.scan import Attended
from seq2seq.models.recurrent import RecurrentDecoder, matrices_of, recurrent_layer


class AttentionAfterTheStep(RecurrentDecoder):
    """s_i = cell(y_{i-1} ; s_{i-1}), c_i chosen by s_i: no state depends on any context. One layer of LSTM."""

    def __init__(self, options: AttentionDecoderConfig, embedding: Embedding, memory: int, dropout: float) -> None:
        super().__init__(options, embedding, attentive_context(options, memory), dropout)
        self.layers[0] = recurrent_layer(options.cell, embedding.embedding_dim, options.width)  # reads no context

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        embedded = self.embedding(token)
        state = self._advance(self._gates(embedded), state)
        context, weights = self.context(state["h0"], memory)
        return Step(self._read_out(state["h0"], embedded, context, None), state, weights[:, :, None])

    def _forward_steps(self, embedded: Tensor, memory: Memory) -> Attended:
        """No state needs a context, so all are known before any attention, which is computed for all steps at once."""
        state, states = self.init_state(memory), []
        for gates in self._gates(embedded):
            state = self._advance(gates[:, None], state)
            states.append(state["h0"][:, 0])
        contexts, weights = self.context(torch.stack(states, 1), memory)
        return Attended(torch.stack(states), contexts.transpose(0, 1), weights.transpose(0, 1))

    def _gates(self, embedded: Tensor) -> Tensor:
        weight, _, bias, _ = matrices_of(self.layers[0])
        return F.linear(embedded, weight, bias)


def applied() -> AbstractContextManager[None]:
    """Inside, every decoder with attention that is built is of this kind."""
    return replaced(build, "DECODERS", {**build.DECODERS, AttentionDecoderConfig: AttentionAfterTheStep})
