"""The loss of a batch: cross-entropy with label smoothing, summed over the target tokens, without their padding."""

from __future__ import annotations

from torch import Tensor

from seq2seq.config.schema import PAD
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.cross_entropy import Loss, linear_cross_entropy


def sequence_loss(model: Seq2Seq, hidden: Tensor, target: Tensor, smoothing: float) -> Loss:
    """Loss of ``hidden`` (B, T, D) against ``target`` (B, T) ids, of which PAD is left out.

    Perplexity is exp(nll / tokens): it does not depend on the smoothing (Szegedy et al. 2016, section 7).
    """
    real = (target != PAD).nonzero(as_tuple=True)  # looked up once, because a GPU waits for it
    output = model.output
    return linear_cross_entropy(hidden[real], output.weight, output.bias, target[real], smoothing)
