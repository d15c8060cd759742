"""Fault 2: padding is counted in the loss.

The mean of the cross-entropy goes over all positions of the target, padding too. The model learns to write padding
after the end, and a sentence weighs less the more padding stands in its batch. The loss that is printed is too low,
since padding is soon predicted with certainty.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch import Tensor

from scripts.faults.replacing import replaced
from seq2seq.config.schema import PAD
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.cross_entropy import Loss, linear_cross_entropy
from seq2seq.training import update


def loss_with_padding(model: Seq2Seq, hidden: Tensor, target: Tensor, smoothing: float) -> Loss:
    """As ``sequence_loss``, but of every position; divided by the number of tokens it is the mean over positions."""
    output = model.output
    sums = linear_cross_entropy(hidden.flatten(0, 1), output.weight, output.bias, target.flatten(), smoothing)
    share = (target != PAD).sum() / target.numel()
    return Loss(sums.loss * share, sums.nll * share)


def applied() -> AbstractContextManager[None]:
    """Inside, trainings descend the faulty loss; validation and test stay as they are."""
    return replaced(update, "sequence_loss", loss_with_padding)
