"""Solution of exercise 4: beam search."""

from __future__ import annotations

from collections.abc import Callable

EOS = 3
NextLogProbs = Callable[[list[int]], list[float]]
"""From the tokens so far to the log-probability of each token of the vocabulary as the next one."""


def beam_search(next_log_probs: NextLogProbs, width: int, longest: int) -> list[int]:
    """The best translation found, as token ids without EOS.

    Every token adds a negative number to the log-probability, so of two translations the shorter tends to have the
    higher sum, and a wide beam finds it.
    """
    opened: list[tuple[float, list[int]]] = [(0.0, [])]
    finished: list[tuple[float, list[int]]] = []
    while opened and len(finished) < width:
        candidates = [
            (score + log_prob, [*tokens, token])
            for score, tokens in opened
            for token, log_prob in enumerate(next_log_probs(tokens))
            if log_prob > float("-inf") and (len(tokens) < longest or token == EOS)
        ]
        best = sorted(candidates, key=lambda candidate: -candidate[0])[: 2 * width]
        finished += [(score / len(tokens), tokens[:-1]) for score, tokens in best[:width] if tokens[-1] == EOS]
        opened = [candidate for candidate in best if candidate[1][-1] != EOS][:width]
    return max(finished, key=lambda candidate: candidate[0])[1]
