"""The losses of a batch, summed over the target tokens without their padding: of words, and of attention."""

from __future__ import annotations

from torch import Tensor

from seq2seq.config.schema import PAD
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.cross_entropy import Loss, linear_cross_entropy

LEAST = 1e-7  # attention weights are raised to this before their logarithm; those below have no gradient


def sequence_loss(model: Seq2Seq, hidden: Tensor, target: Tensor, smoothing: float) -> Loss:
    """Loss of ``hidden`` (B, T, D) against ``target`` (B, T) ids, of which PAD is left out.

    ``smoothing`` is label smoothing (Szegedy et al. 2016, section 7). Perplexity is exp(nll / tokens), without it.
    """
    real = (target != PAD).nonzero(as_tuple=True)  # looked up once, because a GPU waits for it
    output = model.output
    return linear_cross_entropy(hidden[real], output.weight, output.bias, target[real], smoothing)


def attention_loss(attention: Tensor, links: Tensor) -> Tensor:
    """-Σ_t Σ_s g_ts log α_ts: the cross-entropy of attention against gold links (Liu et al. 2016, Garg et al. 2019).

    Args:
        attention: α (B, T, S), the weights from which each target token is predicted.
        links: g (B, T, S), the shares of the source tokens that are linked with it; all zero where none is.
    """
    return -(links * attention.float().clamp(min=LEAST).log()).sum()
