"""Fault 3: attention is computed after the step, and the decoder's state never learns what was attended to.

In Bahdanau et al. (2014, section 3.1) the state s_{i-1}, which has not read y_{i-1} yet, chooses the context c_i, and
the cell reads it: s_i = cell(y_{i-1}, c_i ; s_{i-1}). Here the cell runs first, without a context, and c_i is chosen by
s_i and read by the output layer alone. The order by itself is sound: Luong et al. (2015) attend after the step too, but
feed what was attended to into the next step (section 3.3, input feeding). ``FedBack`` is that order, for comparison.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

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


class FedBack(RecurrentDecoder):
    """s_i = cell(y_{i-1}, c_{i-1} ; s_{i-1}), c_i chosen by s_i: after the step, and sound. One layer of LSTM."""

    def __init__(self, options: AttentionDecoderConfig, embedding: Embedding, memory: int, dropout: float) -> None:
        super().__init__(options, embedding, attentive_context(options, memory), dropout)

    def init_state(self, memory: Memory) -> State:
        nothing = memory.states.new_zeros(len(memory.states), 1, self.context.width)
        return {**super().init_state(memory), "context": nothing}

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        embedded = self.embedding(token)
        state, weights = self._attend(self._embedded_gates(embedded), state, memory)
        hidden = self._read_out(state["h0"], embedded, state["context"], None)
        return Step(hidden, state, weights[:, :, None])

    def _forward_steps(self, embedded: Tensor, memory: Memory) -> Attended:
        state, states, contexts, maps = self.init_state(memory), [], [], []
        for gates in self._embedded_gates(embedded):
            state, weights = self._attend(gates[:, None], state, memory)
            states.append(state["h0"][:, 0])
            contexts.append(state["context"][:, 0])
            maps.append(weights[:, 0])
        return Attended(torch.stack(states), torch.stack(contexts), torch.stack(maps))

    def _attend(self, gates: Tensor, state: State, memory: Memory) -> tuple[State, Tensor]:
        """The step with the last context, then the new context by the new state."""
        _, reading = self._of_context(matrices_of(self.layers[0])[0])
        new = self._advance(gates + F.linear(state["context"], reading), state)
        context, weights = self.context(new["h0"], memory)
        return {**new, "context": context}, weights


def applied(kind: type[RecurrentDecoder] = AttentionAfterTheStep) -> AbstractContextManager[None]:
    """Inside, every decoder with attention that is built is of this kind."""
    return replaced(build, "DECODERS", {**build.DECODERS, AttentionDecoderConfig: kind})


fed_back = partial(applied, FedBack)
"""Inside, every decoder with attention that is built attends after the step and feeds the context back."""
