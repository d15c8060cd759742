"""One or several models as one: all read the same tokens, and their probabilities are averaged.

Knows token ids and the interface of models; knows no search and no text. Shapes as in ``models.interface``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.models.interface import Seq2Seq, reorder_state


class Ensemble:
    """Models of one vocabulary, with their encoded sentences and decoder states during a search."""

    def __init__(self, models: Sequence[Seq2Seq], src: Tensor) -> None:
        self.models = models
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
    return average([model.logits(model(src, tgt_in).hidden).float().log_softmax(-1) for model in models])
