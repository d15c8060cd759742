"""Loss against torch's cross-entropy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.config import PAD
from seq2seq.models import loss
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import sequence_loss


@pytest.fixture
def output() -> Seq2Seq:
    """An output layer; the loss needs no more of a model."""
    torch.manual_seed(0)
    return Seq2Seq(nn.Identity(), nn.Identity(), nn.Linear(8, 20))  # type: ignore[arg-type]


@pytest.fixture
def target(sentences: Callable[..., Tensor]) -> Tensor:
    return sentences([6, 3, 1])


@pytest.fixture
def hidden() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 6, 8, requires_grad=True)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_is_torchs_cross_entropy(
    smoothing: float, large: bool, output: Seq2Seq, hidden: Tensor, target: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "LARGE_VOCABULARY", 10 if large else 1_000)
    found = sequence_loss(output, hidden, target, smoothing)
    logits = output.logits(hidden).flatten(0, 1)
    options = {"ignore_index": PAD, "reduction": "sum"}
    expected = F.cross_entropy(logits, target.flatten(), label_smoothing=smoothing, **options)
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(found.nll, F.cross_entropy(logits, target.flatten(), **options))
    gradient = torch.autograd.grad(found.loss, hidden, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, hidden))


def test_large_vocabularies_are_projected_at_targets_alone(
    output: Seq2Seq, hidden: Tensor, target: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    output.output.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
    sequence_loss(output, hidden, target, 0.0)
    monkeypatch.setattr(loss, "LARGE_VOCABULARY", 20)
    sequence_loss(output, hidden, target, 0.0)
    assert shapes == [(3, 6, 8), (10, 8)]


def test_perplexity_does_not_depend_on_smoothing(output: Seq2Seq, hidden: Tensor, target: Tensor) -> None:
    found = [sequence_loss(output, hidden, target, smoothing) for smoothing in (0.0, 0.1, 0.9)]
    assert found[0].nll == found[1].nll == found[2].nll
    assert found[0].loss != found[1].loss
    assert not any(f.nll.requires_grad for f in found)


def test_what_stands_at_padding_counts_nothing(output: Seq2Seq, hidden: Tensor, target: Tensor) -> None:
    before = sequence_loss(output, hidden, target, 0.1)
    after = sequence_loss(output, torch.where((target == PAD)[..., None], 50.0, hidden), target, 0.1)
    torch.testing.assert_close(after.loss, before.loss)


def test_loss_is_in_float32_whatever_the_products_are(output: Seq2Seq, hidden: Tensor, target: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert sequence_loss(output, hidden, target, 0.1).loss.dtype == torch.float32
