"""Whether the two sides of a pair belong together: by words that occur together more often than by chance.

Learned from the corpus itself. Two words are associated if their Dice coefficient, 2 n(s, t) / (n(s) + n(t)) over the
pairs of a sample, is among the ``BEST`` of one of them. For each word, how often an associate is on the other side is
counted in the sample's pairs and in pairs put together at random; a pair's evidence is the sum over its words of the
log-ratio of the two rates (Naive Bayes). A corpus that is shifted as a whole is found by learning at several shifts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seq2seq.doctor import signs

SAMPLE, BLOCK = 20_000, 500  # pairs that are learned from, and how many of them are neighbours
FEWEST = 400  # pairs, of a corpus that anything is learned from
SHIFTS = (0, 1, -1, 2, -2, 3, -3)
BEST = 3  # associates of a word
RARE, FREQUENT = 3, 0.2  # pairs, and share of the pairs, that an associated word occurs in
WEAKEST = 0.1  # Dice coefficient
APART = 997  # pairs between the two halves of a random pair
CLEARER = 1.3  # times the separation at another shift to believe in it

Side = frozenset[str]
Pairs = Sequence[tuple[Side, Side]]


class Evidence(NamedTuple):
    """What a word tells: log-ratio of the rates, with and without an associate on the other side."""

    associates: Side
    met: float
    missed: float


class Fitting:
    """Word associations of a corpus, and whether they were found at another shift than 0."""

    def __init__(self, sides: tuple[Mapping[str, Evidence], Mapping[str, Evidence]], shift: int) -> None:
        self.sides, self.shift = sides, shift

    def evidence(self, src: Side, tgt: Side) -> float:
        """The log of how much likelier the pair is as a translation than as a pair put together at random."""
        total = 0.0
        for own, other, told in ((src, tgt, self.sides[0]), (tgt, src, self.sides[1])):
            for word in own:
                known = told.get(word)
                if known is not None:
                    total += known.missed if known.associates.isdisjoint(other) else known.met
        return total / 2  # both directions tell the same


def learn(blocks: Sequence[Sequence[tuple[str, str]]]) -> Fitting | None:
    """Learn from blocks of neighbouring pairs; None if they are too few or tell nothing."""
    sides = [[(frozenset(signs.words(src)), frozenset(signs.words(tgt))) for src, tgt in block] for block in blocks]
    if sum(map(len, sides)) < FEWEST:
        return None
    found = {shift: _associations(shifted(sides, shift)) for shift in SHIFTS}
    clarity = {shift: _clarity(found[shift], shifted(sides, shift)) for shift in SHIFTS}
    shift = max(SHIFTS, key=lambda shift: clarity[shift])
    if clarity[shift] < CLEARER * clarity[0]:
        shift = 0
    pairs = shifted(sides, shift)
    source, target = found[shift]
    if clarity[shift] <= 0:
        return None
    return Fitting((_rates(source, pairs, 0), _rates(target, pairs, 1)), shift)


def shifted(blocks: Sequence[Pairs], shift: int) -> Pairs:
    """The pairs of source n and target n + shift, within each block."""
    return [
        (block[n][0], block[n + shift][1]) for block in blocks for n in range(len(block)) if 0 <= n + shift < len(block)
    ]


def _associations(pairs: Pairs) -> tuple[dict[str, Side], dict[str, Side]]:
    """The associates of each word, learned from every other pair."""
    half = pairs[::2]
    counts = [Counter(word for pair in half for word in pair[side]) for side in (0, 1)]
    most = FREQUENT * len(half)
    known = [{word for word, count in counted.items() if RARE <= count <= most} for counted in counts]
    together: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for src, tgt in half:
        others = tgt & known[1]
        for word in src & known[0]:
            together[word].update(others)
    best: tuple[defaultdict[str, list[tuple[float, str]]], ...] = (defaultdict(list), defaultdict(list))
    for src_word, counted in together.items():
        for tgt_word, count in counted.items():
            dice = 2 * count / (counts[0][src_word] + counts[1][tgt_word])
            if dice >= WEAKEST and count >= RARE:
                best[0][src_word].append((dice, tgt_word))
                best[1][tgt_word].append((dice, src_word))
    found = [{word: frozenset(w for _, w in sorted(of)[-BEST:]) for word, of in side.items()} for side in best]
    return found[0], found[1]


def _clarity(found: tuple[Mapping[str, Side], Mapping[str, Side]], pairs: Pairs) -> float:
    """Words a pair that meet an associate, in the pairs that were not learned from, above those in random pairs."""
    other = pairs[1::2]
    if len(other) < 2:
        return 0.0
    return (_met(found[0], other, 0) - _met(found[0], other, APART)) / len(other)


def _met(associates: Mapping[str, Side], pairs: Pairs, apart: int) -> int:
    total = 0
    for n, (src, _) in enumerate(pairs):
        tgt = pairs[(n + apart) % len(pairs)][1]
        total += sum(word in associates and not associates[word].isdisjoint(tgt) for word in src)
    return total


def _rates(associates: Mapping[str, Side], pairs: Pairs, side: int) -> dict[str, Evidence]:
    other = pairs[1::2]
    seen, met, by_chance = Counter[str](), Counter[str](), Counter[str]()
    for n, pair in enumerate(other):
        random = other[(n + APART) % len(other)]
        for word in pair[side]:
            if word in associates:
                seen[word] += 1
                met[word] += not associates[word].isdisjoint(pair[1 - side])
                by_chance[word] += not associates[word].isdisjoint(random[1 - side])
    told = {}
    for word, count in seen.items():
        # Smoothed towards a half and towards a twentieth, so that few occurrences tell little.
        real, chance = (met[word] + 1) / (count + 2), (by_chance[word] + 0.1) / (count + 2)
        if real > chance:
            told[word] = Evidence(associates[word], math.log(real / chance), math.log((1 - real) / (1 - chance)))
    return told
