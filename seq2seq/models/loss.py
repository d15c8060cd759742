"""Cross-entropy with label smoothing, and the un-smoothed likelihood beside it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.config import PAD
from seq2seq.models.interface import Seq2Seq

LARGE_VOCABULARY = 3_000
"""From here on only the positions with a target are projected: saving products then outweighs the varying shapes."""


class Loss(NamedTuple):
    """Sums over the target tokens, in nats: what is minimised, and the negative log-likelihood."""

    loss: Tensor
    nll: Tensor


def sequence_loss(model: Seq2Seq, hidden: Tensor, target: Tensor, smoothing: float) -> Loss:
    """Loss of ``hidden`` (B, T, D) against ``target`` (B, T), whose PAD counts nothing.

    Perplexity is exp(nll / tokens): it does not depend on the smoothing (Szegedy et al. 2016, section 7).
    """
    real = target != PAD
    if model.output.out_features >= LARGE_VOCABULARY:
        hidden, target, real = hidden[real], target[real], real[real]
    logits = model.logits(hidden).float()
    normaliser = torch.logsumexp(logits, -1)
    nll = ((normaliser - logits.gather(-1, target[..., None]).squeeze(-1)) * real).sum()
    if smoothing == 0:
        return Loss(nll, nll.detach())
    uniform = ((normaliser - logits.mean(-1)) * real).sum()
    return Loss((1 - smoothing) * nll + smoothing * uniform, nll.detach())
