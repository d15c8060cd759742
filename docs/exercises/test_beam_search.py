"""Exercise 4 against all translations there are, and against the project's own search."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from seq2seq.config.schema import AttentionDecoderConfig, DecodeConfig, ModelConfig, RecurrentEncoderConfig
from seq2seq.decoding.ensemble import teacher_forced_log_probs
from seq2seq.decoding.search import FORBIDDEN, search
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq

BOS, EOS = 2, 3
SRC = torch.tensor([[5, 4, 5, EOS]])


def tiny(seed: int, vocabulary: int) -> Seq2Seq:
    torch.manual_seed(seed)
    encoder, decoder = RecurrentEncoderConfig(width=6), AttentionDecoderConfig(width=10, attention_width=7)
    model = build(ModelConfig(name="tiny", embedding=8, encoder=encoder, decoder=decoder), vocabulary, vocabulary)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return model.eval()


def next_log_probs(model: Seq2Seq) -> Callable[[list[int]], list[float]]:
    def given(tokens: list[int]) -> list[float]:
        log_probs = teacher_forced_log_probs([model], SRC, torch.tensor([[BOS, *tokens]]))[0, -1]
        log_probs[FORBIDDEN] = float("-inf")
        return [float(each) for each in log_probs]

    return given


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [1, 2, 4])
def test_it_finds_what_the_projects_search_finds(width: int, seed: int, answer: ModuleType) -> None:
    model = tiny(seed, 12)
    options = DecodeConfig(beam=width, max_ratio=1e-6, max_extra=6)
    [[best]] = search([model], SRC, options)
    assert answer.beam_search(next_log_probs(model), width, 6) == best.ids


def test_a_beam_of_one_is_greedy(answer: ModuleType) -> None:
    given, tokens = next_log_probs(tiny(5, 12)), list[int]()
    while len(tokens) < 6:
        log_probs = given(tokens)
        token = log_probs.index(max(log_probs))
        if token == EOS:
            break
        tokens.append(token)
    assert answer.beam_search(given, 1, 6) == tokens


def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all(answer: ModuleType) -> None:
    """Tokens 4 and 5, at most three of them: fifteen translations."""
    given = next_log_probs(tiny(6, 6))

    def per_token(tokens: tuple[int, ...]) -> float:
        whole = [*tokens, EOS]
        return sum(given(whole[:n])[token] for n, token in enumerate(whole)) / len(whole)

    every = [tokens for n in range(4) for tokens in itertools.product((4, 5), repeat=n)]
    assert answer.beam_search(given, 50, 3) == list(max(every, key=per_token))
