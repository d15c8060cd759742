"""Exercise 2 against torch's own masks, loss and packed sequences."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

IDS = torch.tensor([[5, 7, 4, 3], [6, 3, 0, 0], [9, 8, 3, 0]])
REAL = torch.tensor([[True, True, True, True], [True, True, False, False], [True, True, True, False]])


def test_the_padding_mask_is_true_at_tokens(answer: ModuleType) -> None:
    assert torch.equal(answer.padding_mask(IDS), REAL)


def test_the_causal_mask_hides_the_future(answer: ModuleType) -> None:
    hidden = nn.Transformer.generate_square_subsequent_mask(5)
    assert torch.equal(answer.causal_mask(5), hidden == 0)


def test_the_loss_counts_no_padding(answer: ModuleType) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 10, requires_grad=True)
    loss = answer.mean_loss(logits, IDS)
    torch.testing.assert_close(loss, F.cross_entropy(logits.flatten(0, 1), IDS.flatten(), ignore_index=0))
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[~REAL] == 0).all()


def test_more_padding_changes_nothing(answer: ModuleType) -> None:
    torch.manual_seed(1)
    logits = torch.randn(3, 9, 10)
    longer = F.pad(IDS, (0, 5))
    torch.testing.assert_close(answer.mean_loss(logits, longer), answer.mean_loss(logits[:, :4], IDS))
    states = torch.randn(3, 9, 6)
    torch.testing.assert_close(answer.last_states(states, longer != 0), answer.last_states(states[:, :4], REAL))


def test_the_last_states_are_those_of_packed_sequences(answer: ModuleType) -> None:
    torch.manual_seed(2)
    rnn, x = nn.GRU(5, 6, batch_first=True), torch.randn(3, 4, 5)
    packed = pack_padded_sequence(x, REAL.sum(1), batch_first=True, enforce_sorted=False)
    states, _ = rnn(x)
    torch.testing.assert_close(answer.last_states(states, REAL), rnn(packed)[1][0])
