"""``torch.export``: one program encodes, one decodes a token, for every batch, length and position."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.export._patches import register_gru_while_loop_decomposition, register_lstm_while_loop_decomposition

from seq2seq.config.schema import BOS, EOS
from seq2seq.models import kernels
from seq2seq.models.interface import Memory, Seq2Seq, State, Step

NAMES = ["bahdanau", "transformer-rotary"]
SLOW = [
    "lstm",
    "mingru",
    "transformer",
    "gru",
    "bahdanau-gru",
    "hybrid",
    "recurrent-transformer",
    "transformer-learned",
    "transformer-alibi",
]
TOKENS = 12  # length of a search


class Encode(nn.Module):
    """``Seq2Seq.encode`` as a forward, which is what an export takes."""

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = model

    def forward(self, src: Tensor) -> Memory:
        return self.model.encode(src)


class DecodeToken(nn.Module):
    """A decoder step and the output layer as a forward."""

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = model

    def forward(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        step: Step = self.model.decoder.step(token, state, memory)
        return self.model.logits(step.hidden), step.state


def exported(model: Seq2Seq, src: Tensor) -> tuple[ExportedProgram, ExportedProgram]:
    """The two programs, from an example of three sentences at the third position; every size is left open."""
    with (
        torch.no_grad(),
        kernels.plain(),
        register_lstm_while_loop_decomposition(),
        register_gru_while_loop_decomposition(),
    ):
        encode = export(Encode(model), (src,), dynamic_shapes=({0: Dim("batch"), 1: Dim("source")},))
        memory = model.encode(src)
        state, token = model.decoder.init_state(memory), torch.full((len(src), 1), BOS)
        for _ in range(2):
            state = model.decoder.step(token, state, memory).state
        open_sizes = torch.utils._pytree.tree_map(
            lambda part: dict.fromkeys(range(part.dim()), Dim.AUTO),
            (token, state, memory),
        )
        decode = export(DecodeToken(model), (token, state, memory), dynamic_shapes=open_sizes)
    return encode, decode


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_exported_programs_search_as_the_model_does(
    name: str, build_tiny: Callable[..., Seq2Seq], sentences: Callable[..., Tensor]
) -> None:
    model = build_tiny(name)
    encode, decode = (program.module() for program in exported(model, sentences([5, 3, 4])))
    for lengths in ([9, 2], [11, 3, 7, 8], [6]):
        src = sentences(lengths, seed=3)
        with torch.no_grad():
            memory, expected_memory = encode(src), model.encode(src)
            torch.testing.assert_close(memory, expected_memory, rtol=1e-5, atol=1e-5)
            state = expected_state = model.decoder.init_state(expected_memory)
            token = torch.full((len(src), 1), BOS)
            for _ in range(TOKENS):
                logits, state = decode(token, state, memory)
                step = model.decoder.step(token, expected_state, expected_memory)
                expected_state = step.state
                torch.testing.assert_close(logits, model.logits(step.hidden), rtol=1e-5, atol=1e-5)
                logits[..., EOS] = -torch.inf
                token = logits.argmax(-1)
