"""One or several models as one: all read the same tokens, and their probabilities are averaged.

Knows token ids and the interface of models; knows no search and no text. Shapes as in ``models.interface``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.models.interface import Seq2Seq, reorder_state

LOGITS = 1 << 25  # that are computed at once for given targets: 128 MiB in float32, a few times over


class Ensemble:
    """Models of one vocabulary, with their encoded sentences and decoder states during a search."""

    def __init__(self, models: Sequence[Seq2Seq], src: Tensor, mean: bool = False) -> None:
        """Encode ``src`` (B, S); ``mean``: whether a step gives the mean of its attention maps alone (H = 1)."""
        self.models, self.mean = models, mean
        self.memories = [model.encode(src) for model in models]
        self.states = [m.decoder.init_state(memory) for m, memory in zip(models, self.memories, strict=True)]

    def step(self, token: Tensor) -> tuple[Tensor, Tensor | None]:
        """Read ``token`` (B, K); return log-probabilities (B, K, V) of the next token, and attention (B, K, H, S).

        The attention is that of the first model that has any; None if no model has.
        """
        log_probs, attention = [], None
        for n, model in enumerate(self.models):
            hidden, self.states[n], weights = model.decoder.step(token, self.states[n], self.memories[n])
            log_probs.append(model.logits(hidden).float().log_softmax(-1))
            attention = weights if attention is None else attention
        if self.mean and attention is not None:
            attention = attention.float().mean(2, keepdim=True)
        return average(log_probs), attention

    def select(self, rows: Tensor, hypotheses: Tensor, left: bool) -> None:
        """Keep the sentences ``rows`` (B',) and of each the ``hypotheses`` (B', K'), which may repeat.

        ``left``: whether a sentence was dropped; only then do the encoded sentences change.
        """
        self.states = [reorder_state(state, rows, hypotheses) for state in self.states]
        if left:
            self.memories = [memory.select(rows) for memory in self.memories]


def average(log_probs: list[Tensor]) -> Tensor:
    """The logarithm of the models' mean probability."""
    if len(log_probs) == 1:
        return log_probs[0]
    return torch.stack(log_probs).logsumexp(0) - torch.tensor(float(len(log_probs))).log()


@torch.no_grad()
def teacher_forced_log_probs(models: Sequence[Seq2Seq], src: Tensor, tgt_in: Tensor) -> Tensor:
    """Log-probabilities (B, T, V) of the next token after every prefix of given targets.

    Args:
        src: (B, S) token ids.
        tgt_in: (B, T) token ids, BOS first.
    """
    return _log_probs(models, [model(src, tgt_in).hidden for model in models])


@torch.no_grad()
def score_targets(
    models: Sequence[Seq2Seq], src: Tensor, tgt_in: Tensor, tgt_out: Tensor, vocabulary: int
) -> tuple[Tensor, Tensor]:
    """Of given targets the log-probability of each token after its prefix, and whether it is the likeliest: (B, T).

    Args:
        src: (B, S) token ids.
        tgt_in: (B, T) token ids, BOS first.
        tgt_out: (B, T) token ids, the next of each prefix.
        vocabulary: V; the logits of as many sentences are computed at once as ``LOGITS`` can hold.
    """
    hidden = [model(src, tgt_in).hidden for model in models]
    rows = max(LOGITS // (tgt_out.shape[1] * vocabulary), 1)
    scores, likeliest = [], []
    for *parts, tokens in zip(*(each.split(rows) for each in (*hidden, tgt_out)), strict=True):
        predicted = _log_probs(models, parts)
        scores.append(predicted.gather(-1, tokens[..., None]).squeeze(-1))
        likeliest.append(predicted.argmax(-1) == tokens)
    return torch.cat(scores), torch.cat(likeliest)


def _log_probs(models: Sequence[Seq2Seq], hidden: Sequence[Tensor]) -> Tensor:
    """The ensemble's log-probabilities (…, V) from the hidden states (…, D) of each model."""
    outputs = zip(models, hidden, strict=True)
    return average([model.logits(each).float().log_softmax(-1) for model, each in outputs])
