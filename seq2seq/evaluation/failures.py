"""Failures of translations that show in the text alone, as metrics: repetition, omission, names not copied.

Knows words. Each metric is a rate: how often something went wrong, of how often it could have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from seq2seq.evaluation.metrics import TextMetric, ratio

NGRAM = 3  # words that are repeated together
SHORT = 0.8  # of the reference's words: below it something was left out
SIGN = r"[\w\p{M}\u200c\u200d]"  # marks and joiners belong to the letters before them, which `re` does not know
words = regex.compile(rf"{SIGN}+(?:[-'’.,]{SIGN}+)*").findall
"""The words of a line without the punctuation around them; numbers keep their points and commas."""


def repeats(hypothesis: str, reference: str) -> bool:
    """Whether some three words come twice or more in the translation, and more often than in the reference."""
    found, allowed = _ngrams(hypothesis), _ngrams(reference)
    return any(count > max(allowed[ngram], 1) for ngram, count in found.items())


def _ngrams(line: str) -> Counter[tuple[str, ...]]:
    own = [word.lower() for word in words(line)]
    return Counter(tuple(own[n : n + NGRAM]) for n in range(len(own) - NGRAM + 1))


def too_short(hypothesis: str, reference: str) -> bool:
    """Whether the translation has fewer than four fifths of the reference's words."""
    return len(words(hypothesis)) < SHORT * len(words(reference))


def left_out(hypothesis: str, reference: str) -> tuple[int, int]:
    """Words of the reference that the translation lacks, and words of the reference."""
    own, wanted = Counter(map(str.lower, words(hypothesis))), Counter(map(str.lower, words(reference)))
    return sum((wanted - own).values()), sum(wanted.values())


def not_copied(src: str, hypothesis: str, reference: str) -> tuple[int, int]:
    """Names and numbers that the reference copies from the source: those the translation lacks, and all.

    A number has a digit; a name begins with a capital and stands the same in source and reference.
    """
    same = Counter(words(src)) & Counter(words(reference))
    wanted = Counter({word: count for word, count in same.items() if word[0].isupper() or regex.search(r"\d", word)})
    return sum((wanted - Counter(words(hypothesis))).values()), sum(wanted.values())


@dataclass(frozen=True, kw_only=True)
class FailureRate(TextMetric):
    """The share of occasions on which a translation fails in one way."""

    count: Callable[[str, str, str], tuple[int, int]]  # source, hypothesis, reference to failures and occasions

    def rows(
        self, hypotheses: Sequence[str], references: Sequence[str], language: str, src: Sequence[str] | None
    ) -> Sequence[tuple[int, int]]:
        """Failures and occasions in each sentence."""
        assert src is not None or not self.needs_source
        sources = [""] * len(references) if src is None else src
        return [self.count(*sentence) for sentence in zip(sources, hypotheses, references, strict=True)]


def _rate(
    key: str, label: str, count: Callable[[str, str, str], tuple[int, int]], needs_source: bool = False
) -> FailureRate:
    return FailureRate(key, label, ratio, high=1.0, higher_is_better=False, needs_source=needs_source, count=count)


FAILURES = (
    _rate("repeats", "repeats three words", lambda _, own, reference: (repeats(own, reference), 1)),
    _rate("short", "less than 80 % of the length", lambda _, own, reference: (too_short(own, reference), 1)),
    _rate("left_out", "reference's words missing", lambda _, own, reference: left_out(own, reference)),
    _rate("not_copied", "names and numbers not copied", not_copied, needs_source=True),
)
