"""Exercise 3 against torch's own LSTM and the project's cell."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn

from seq2seq.models.recurrent import lstm_cell


def test_a_step_is_torchs_and_the_projects(answer: ModuleType) -> None:
    torch.manual_seed(0)
    own = nn.LSTMCell(5, 4)
    weights = answer.Weights(own.weight_ih, own.weight_hh, own.bias_ih + own.bias_hh)
    x, state, cell = torch.randn(3, 5), torch.randn(3, 4), torch.randn(3, 4)
    found = answer.lstm_step(x, state, cell, weights)
    torch.testing.assert_close(found, own(x, (state, cell)))
    sums = x @ own.weight_ih.T + state @ own.weight_hh.T + own.bias_ih + own.bias_hh
    torch.testing.assert_close(found, lstm_cell(sums, cell))


def test_all_steps_are_torchs_with_their_gradients(answer: ModuleType) -> None:
    torch.manual_seed(1)
    own = nn.LSTM(5, 4, batch_first=True)
    x = torch.randn(3, 7, 5, requires_grad=True)
    weights = answer.Weights(own.weight_ih_l0, own.weight_hh_l0, own.bias_ih_l0 + own.bias_hh_l0)
    states, expected = answer.lstm(x, weights), own(x)[0]
    torch.testing.assert_close(states, expected)
    gradients = [torch.autograd.grad(each.square().sum(), (x, own.weight_hh_l0)) for each in (states, expected)]
    torch.testing.assert_close(gradients[0], gradients[1])
