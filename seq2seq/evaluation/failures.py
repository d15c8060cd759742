"""What goes wrong in translations, seen by the text alone: repetition, omission, names and numbers not copied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

NGRAM = 3  # words that are repeated together
SHORT = 0.8  # of the reference's words: below it something was left out
WORD = re.compile(r"\w+(?:[-'’.,]\w+)*")


def words(line: str) -> list[str]:
    """The words of a line without the punctuation around them; numbers keep their points and commas."""
    return WORD.findall(line)


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
    wanted = Counter({word: count for word, count in same.items() if word[0].isupper() or re.search(r"\d", word)})
    return sum((wanted - Counter(words(hypothesis))).values()), sum(wanted.values())


def counts(
    src: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]
) -> dict[str, list[tuple[int, int]]]:
    """For each kind of failure and each sentence: how often it happened, and how often it could have."""
    triples = list(zip(src, hypotheses, references, strict=True))
    return {
        "repeats three words": [(int(repeats(hyp, ref)), 1) for _, hyp, ref in triples],
        "less than 80 % of the length": [(int(too_short(hyp, ref)), 1) for _, hyp, ref in triples],
        "reference's words missing": [left_out(hyp, ref) for _, hyp, ref in triples],
        "names and numbers not copied": [not_copied(*triple) for triple in triples],
    }
