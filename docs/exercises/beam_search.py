"""Exercise 4: beam search.

Greedy search takes the likeliest token at each step and cannot take it back. A beam keeps the ``width`` likeliest
beginnings of a translation instead.
"""

from __future__ import annotations

from collections.abc import Callable

EOS = 3
NextLogProbs = Callable[[list[int]], list[float]]
"""From the tokens so far to the log-probability of each token of the vocabulary as the next one."""


def beam_search(next_log_probs: NextLogProbs, width: int, longest: int) -> list[int]:
    """The best translation found, as token ids without EOS.

    1. Begin with one open hypothesis, the empty one, of log-probability 0.
    2. Continue every open hypothesis by every token: its log-probability is the sum over its tokens. A hypothesis of
       ``longest`` tokens can only be continued by EOS.
    3. Take the 2 · ``width`` likeliest continuations of all, the best first.
    4. Those among the first ``width`` that end with EOS are finished.
    5. Of those that do not end, the first ``width`` are the open hypotheses of the next step. (2 · ``width`` are taken
       so that there are enough of them even if ``width`` end.)
    6. Stop when at least ``width`` hypotheses are finished, or when none is open.

    The best is the finished hypothesis with the highest log-probability *per token*, EOS counted. (Without the division
    a beam prefers translations that are too short: why?)
    """
    raise NotImplementedError("beam_search in docs/exercises/beam_search.py")
