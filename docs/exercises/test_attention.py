"""Exercise 1 against torch's own attention and the project's ``bahdanau``."""

from __future__ import annotations

from types import ModuleType

import torch
from torch.nn import functional as F

from seq2seq.config.schema import AttentionDecoderConfig
from seq2seq.models.bahdanau import AttentiveContext
from seq2seq.models.interface import Memory

MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])


def test_dot_product_attention_is_torchs(answer: ModuleType) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 6), torch.randn(2, 4, 6), torch.randn(2, 4, 5)
    context, weights = answer.dot_product_attention(query, key, value, MASK)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=MASK[:, None].expand(2, 3, 4))
    torch.testing.assert_close(context, expected)
    torch.testing.assert_close(weights @ value, expected)


def test_weights_are_zero_at_padding_and_sum_to_one(answer: ModuleType) -> None:
    torch.manual_seed(1)
    query, key = 10 * torch.randn(2, 3, 6), 10 * torch.randn(2, 4, 6)
    _, weights = answer.dot_product_attention(query, key, torch.randn(2, 4, 5), MASK)
    assert (weights[1, :, 2:] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


def test_additive_energies_are_bahdanaus(answer: ModuleType) -> None:
    torch.manual_seed(2)
    context = AttentiveContext(AttentionDecoderConfig(width=6, attention_width=7), 5)
    states, queries = torch.randn(2, 4, 5), torch.randn(2, 3, 6)
    memory = context.precompute(Memory(states, MASK, states[:, 0]))
    with torch.no_grad():
        _, expected = context(queries, memory)
        energies = answer.additive_energies(context.query(queries), context.key(states), context.energy)
    weights = energies.masked_fill(~MASK[:, None], float("-inf")).softmax(-1)
    torch.testing.assert_close(weights, expected)
