"""Failures of translations that show in the text alone, as metrics: repetition, omission, names not copied.

Knows words. Each metric is a rate: how often something went wrong, of how often it could have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from seq2seq.data.lengths import WORDS, Unit, characters, unit_of
from seq2seq.evaluation.metrics import TextMetric, ratio

NGRAM = 3  # words that are repeated together
SHORT = 0.8  # of the reference's words: below it something was left out
SIGN = r"[\w\p{M}\u200c\u200d]"  # marks and joiners belong to the letters before them, which `re` does not know
FOREIGN = r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{M}\p{N}]"
words = regex.compile(rf"{SIGN}+(?:[-'’.,]{SIGN}+)*").findall
"""The words of a line without the punctuation around them; numbers keep their points and commas."""
foreign = regex.compile(rf"{FOREIGN}+(?:[-'’.,]{FOREIGN}+)*").findall
"""Words in other letters and numbers, in a text that is written without spaces between words."""
Split = Callable[[str], list[str]]


def signs(line: str) -> list[str]:
    """The characters of a line that is written without spaces between words, without punctuation."""
    return [sign for sign in characters(line) if sign[0].isalnum()]


def repeats(hypothesis: str, reference: str, split: Split = words, number: int = NGRAM) -> bool:
    """Whether some ``number`` words come twice or more in the translation, and more often than in the reference."""
    found, allowed = _ngrams(split(hypothesis), number), _ngrams(split(reference), number)
    return any(count > max(allowed[ngram], 1) for ngram, count in found.items())


def _ngrams(line: list[str], number: int) -> Counter[tuple[str, ...]]:
    own = [word.lower() for word in line]
    return Counter(tuple(own[n : n + number]) for n in range(len(own) - number + 1))


def too_short(hypothesis: str, reference: str, split: Split = words) -> bool:
    """Whether the translation has fewer than four fifths of the reference's words."""
    return len(split(hypothesis)) < SHORT * len(split(reference))


def left_out(hypothesis: str, reference: str, split: Split = words) -> tuple[int, int]:
    """Words of the reference that the translation lacks, and words of the reference."""
    own, wanted = Counter(map(str.lower, split(hypothesis))), Counter(map(str.lower, split(reference)))
    return sum((wanted - own).values()), sum(wanted.values())


def not_copied(src: str, hypothesis: str, reference: str, split: Split = words) -> tuple[int, int]:
    """Names and numbers that the reference copies from the source: those the translation lacks, and all.

    A number has a digit; a name begins with a capital and stands the same in source and reference.
    """
    same = Counter(split(src)) & Counter(split(reference))
    wanted = Counter({word: count for word, count in same.items() if word[0].isupper() or regex.search(r"\d", word)})
    return sum((wanted - Counter(split(hypothesis))).values()), sum(wanted.values())


Count = Callable[[str, str, str, Unit], tuple[int, int]]
"""Source, translation, reference and the unit of the reference, to failures and occasions."""


@dataclass(frozen=True, kw_only=True)
class FailureRate(TextMetric):
    """The share of occasions on which a translation fails in one way.

    Words are characters where the references are written without spaces between words, and as many more are counted.
    """

    count: Count

    def rows(
        self, hypotheses: Sequence[str], references: Sequence[str], language: str, src: Sequence[str] | None
    ) -> Sequence[tuple[int, int]]:
        """Failures and occasions in each sentence."""
        assert src is not None or not self.needs_source
        sources = [""] * len(references) if src is None else src
        unit = unit_of(references)
        return [self.count(*sentence, unit) for sentence in zip(sources, hypotheses, references, strict=True)]


def _rate(key: str, label: str, count: Count, needs_source: bool = False) -> FailureRate:
    return FailureRate(key, label, ratio, high=1.0, higher_is_better=False, needs_source=needs_source, count=count)


def _by(unit: Unit) -> Split:
    return words if unit == WORDS else signs


FAILURES = (
    _rate("repeats", "repeats three words", lambda _, own, ref, u: (repeats(own, ref, _by(u), NGRAM * u.per_word), 1)),
    _rate("short", "less than 80 % of the length", lambda _, own, ref, u: (too_short(own, ref, _by(u)), 1)),
    _rate("left_out", "reference's words missing", lambda _, own, ref, u: left_out(own, ref, _by(u))),
    _rate(
        "not_copied",
        "names and numbers not copied",
        lambda src, own, ref, u: not_copied(src, own, ref, words if u == WORDS else foreign),
        needs_source=True,
    ),
)
