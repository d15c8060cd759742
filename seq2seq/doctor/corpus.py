"""Reads a corpus once more before training and finds what is wrong with it, by number of the pair.

Streams every split; 28 bytes of each pair are kept, and the text of ``fitting.SAMPLE``
pairs. Knows splits and pairs; ``signs``, ``line_languages`` and ``fitting`` judge a pair, ``findings`` the whole.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.config.schema import DataConfig
from seq2seq.data.blank import is_blank
from seq2seq.data.files import Pair
from seq2seq.data.languages import IN_WORDS, Language
from seq2seq.data.lengths import WORDS, Unit, unit_of
from seq2seq.data.sources import SPLITS, TextCorpus, open_source
from seq2seq.doctor import fitting, signs
from seq2seq.doctor.fitting import Fitting
from seq2seq.doctor.line_languages import Identify, other_language, swapped
from seq2seq.doctor.unequal import CommonLines, Unequal

EDGES = (5, 10, 15, 20, 30, 40, 60, 100)  # of the histogram of lengths, in words; see ``edges``
TOLD_BY = 1_000  # pairs by which the unit of lengths is decided
UNLIKELY = 8.0  # evidence of a pair against its being a translation: about 3,000 times likelier at random, exp(8)
AROUND = 5  # pairs on either side whose evidence counts with a pair's own
SMOOTH, TIMES = 10, 3.0  # characters added to both lengths; how far a ratio may be from the corpus's median
MOST = 0.5  # of the pairs of a split; if more are swapped, the sides of the whole split are
READ = 1_000  # characters of a line from which words are learned
ARRAYS = {"exact": "q", "near": "q", "src": "I", "tgt": "I", "evidence": "f"}
"""What is kept of each pair, with its type: hashes of its text and of its folded text, characters, evidence."""
Held = dict[int, list[tuple[str, int]]]
"""Splits and numbers of the held-out pairs, by the hash of their folded text."""


def edges(unit: Unit) -> list[int]:
    """Upper ends of the histogram's bars in a unit of length."""
    return [edge * unit.per_word for edge in EDGES]


@dataclass
class Split:
    """What was found in one split, by kind: the numbers of the pairs, from 1, in growing order."""

    name: str
    size: int = 0
    found: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    lengths: Counter[int] = field(default_factory=Counter)  # of the sources, in ``unit``, by the index in EDGES
    unit: Unit = WORDS
    others: Counter[str] = field(default_factory=Counter)  # other languages, by name
    shifts: Counter[int] = field(default_factory=Counter)  # lines by which pairs that do not fit would
    evidence: Any = ()  # of each pair that it is a translation

    @property
    def is_swapped(self) -> bool:
        """Whether the sides of the whole split are swapped."""
        return len(self.found.get("swapped", ())) > MOST * self.size


@dataclass(frozen=True)
class Examination:
    """All splits of a corpus, and how they were examined."""

    splits: dict[str, Split]
    source: TextCorpus
    shift: int | None  # at which the words of the sides fit, over the whole corpus; None: nothing could be learned
    identified: bool  # whether py3langid looked at the lines
    data: DataConfig
    unequal: list[Unequal]


def examine(
    data: DataConfig, identify: Identify | None, say: Callable[[str], object] = lambda line: None
) -> Examination:
    """Examine training, validation and test, and the further test sets. Raises ``UserError`` as ``open_source``."""
    data = replace(data, join=None)  # findings are numbered by the lines of the files
    texts = CommonLines()
    source = open_source(data, open_texts=texts.open)
    say(f"examining {sum(part.size for part in source.parts('train')):,} training pairs")
    known = learn(source)
    names = [*SPLITS[1:], *data.tests]
    held: Held = defaultdict(list)
    splits, parts = {}, {"train": source.parts("train")}
    for name in names:
        corpus = open_source(data, name, texts.open) if name in data.tests else source
        parts[name] = corpus.parts(name)
        splits[name] = _examine(name, corpus.pairs(name), data, known, identify)
        if not parts[name]:
            splits[name].found.clear()  # it is held out of training, among whose pairs they are numbered
        else:
            for number, (src, tgt) in enumerate(corpus.pairs(name), start=1):
                if any(near := signs.near(src, tgt)):
                    held[hash(near)].append((name, number))
    pairs = chain.from_iterable(part.pairs() for part in source.parts("train"))
    leaked: list[int] = []
    train = _examine("train", _leaks(pairs, held, splits, leaked), data, known, identify)
    train.found["in a test"] = leaked
    shift = None if known is None else known.shift
    splits = {"train": train, **splits}
    unequal = [each for name in splits for each in texts.unequal(name, parts[name], splits[name].evidence)]
    return Examination(splits, source, shift, identify is not None, data, unequal)


def learn(source: TextCorpus) -> Fitting | None:
    """Learn from blocks of neighbours, spread over the training files."""
    size = sum(part.size for part in source.parts("train"))
    stride = max(fitting.BLOCK, size * fitting.BLOCK // fitting.SAMPLE)
    blocks: list[list[Pair]] = []
    for n, pair in enumerate(chain.from_iterable(part.pairs() for part in source.parts("train"))):
        if n % stride == 0:
            blocks.append([])
        if n % stride < fitting.BLOCK:
            blocks[-1].append((pair[0][:READ], pair[1][:READ]))
    return fitting.learn(blocks)


def _leaks(pairs: Iterable[Pair], held: Held, splits: dict[str, Split], leaked: list[int]) -> Iterator[Pair]:
    """The training pairs as they are; the numbers of those that are also held out go into ``leaked``."""
    for number, (src, tgt) in enumerate(pairs, start=1):
        if held and (places := held.get(hash(signs.near(src, tgt)))):
            leaked.append(number)
            for name, place in places:
                splits[name].found["in training"].append(place)
        yield src, tgt
    for split in splits.values():
        split.found["in training"] = sorted(set(split.found["in training"]))


def _examine(
    name: str, pairs: Iterable[Pair], data: DataConfig, known: Fitting | None, identify: Identify | None
) -> Split:
    """One split, in one pass."""
    split = Split(name)
    arrays: dict[str, Any] = {kind: array(code) for kind, code in ARRAYS.items()}
    around, pairs = _Around(known, split), iter(pairs)
    first = list(islice(pairs, TOLD_BY))
    split.unit = unit_of([src for src, _ in first])
    upper = edges(split.unit)
    for number, (src, tgt) in enumerate(chain(first, pairs), start=1):
        words = signs.words(src), signs.words(tgt)
        for kind in _kinds(src, tgt, words, data, identify, split):
            split.found[kind].append(number)
        split.lengths[bisect_left(upper, len(split.unit.split(src)))] += 1
        arrays["exact"].append(hash((src.strip(), tgt.strip())))
        near = signs.near(src, tgt)
        arrays["near"].append(hash(near) if any(near) else number)
        arrays["src"].append(len(src))
        arrays["tgt"].append(len(tgt))
        arrays["evidence"].append(around.evidence(number, frozenset(words[0]), frozenset(words[1])))
        split.size = number
    _whole(split, {kind: np.asarray(values) for kind, values in arrays.items()})
    if split.is_swapped:
        for other in chain.from_iterable(map(_called, data.codes)):
            del split.others[other]
    split.shifts = around.shifts_of(split.found["misaligned"])
    return split


def _kinds(
    src: str, tgt: str, words: tuple[list[str], list[str]], data: DataConfig, identify: Identify | None, split: Split
) -> Iterator[str]:
    """What is wrong with a pair as such."""
    if is_blank(src) or is_blank(tgt):
        yield "empty"
        return
    if signs.is_copy(src, tgt):
        yield "copy"
    else:
        codes = [code and Language.of(code).code for code in data.codes]
        if swapped(*words, (codes[0], codes[1])):
            yield "swapped"
        else:
            others = [
                code and other_language(text, code, found, identify)
                for text, code, found in zip((src, tgt), codes, words, strict=True)
            ]
            if any(others):
                yield "crossed" if _crossed(others, codes) else "language"
                split.others.update(other for other in others if other)
    if signs.numbers_disagree(src, tgt):
        yield "numbers"
    if signs.is_odd(src) or signs.is_odd(tgt):
        yield "signs"
    if "\r" in src or "\r" in tgt:
        yield "carriage return"
    if max(map(len, words)) > data.filters.max_length:
        yield "too long"


def _crossed(others: Sequence[str | None], codes: Sequence[str | None]) -> bool:
    """Whether the sides that are in another language are in that of the other side."""
    return all(other is None or other in _called(code) for other, code in zip(others, reversed(codes), strict=True))


def _called(code: str | None) -> set[str]:
    """What a language may be called in ``others``: by its code, or by its script."""
    return {Language.of(code).code, IN_WORDS.get(Language.of(code).script, "")} if code else set()


class _Around:
    """The evidence of each pair, and of the lines beside it for the pairs that do not fit."""

    def __init__(self, known: Fitting | None, split: Split) -> None:
        self.known, self.split = known, split
        self.recent: list[tuple[frozenset[str], frozenset[str]]] = []
        self.fits: dict[int, int] = {}  # number of a pair: the shift at which its source fits

    def evidence(self, number: int, src: frozenset[str], tgt: frozenset[str]) -> float:
        """The evidence that the pair is a translation, 0 where nothing was learned."""
        if self.known is None:
            return 0.0
        told = self.known.evidence(src, tgt)
        reach = max(fitting.SHIFTS)
        for back in range(1, min(reach, len(self.recent)) + 1):  # the sources before with this target, and so on
            if told < 0 or number - back in self.fits:
                before_src, before_tgt = self.recent[-back]
                if told < 0 and self.known.evidence(src, before_tgt) > UNLIKELY / 2:
                    self.fits.setdefault(number, -back)
                if self.known.evidence(before_src, tgt) > UNLIKELY / 2:
                    self.fits.setdefault(number - back, back)
        self.recent = [*self.recent[-reach + 1 :], (src, tgt)]
        return told

    def shifts_of(self, numbers: Iterable[int]) -> Counter[int]:
        """How many of these pairs fit at which shift."""
        return Counter(self.fits[number] for number in numbers if number in self.fits)


def _whole(split: Split, arrays: dict[str, NDArray[np.generic]]) -> None:
    """What only the whole split tells: repetitions, odd ratios, pairs that do not fit, and sides that are swapped."""
    split.evidence = arrays["evidence"]
    crossed = split.found.pop("crossed", [])
    if not split.size:
        return
    kind = "swapped" if split.is_swapped else "language"
    split.found[kind] = sorted([*split.found[kind], *crossed])
    exact, near = _repeated(arrays["exact"]), _repeated(arrays["near"])
    empty = set(split.found["empty"])
    split.found["duplicate"] = [number for number in exact if number not in empty]
    split.found["near-duplicate"] = sorted(set(near) - set(exact) - empty)
    ratios = np.log((arrays["src"].astype(float) + SMOOTH) / (arrays["tgt"].astype(float) + SMOOTH))
    far = np.abs(ratios - np.median(ratios)) > np.log(TIMES)
    split.found["ratio"] = [int(n) + 1 for n in np.flatnonzero(far) if int(n) + 1 not in empty]
    evidence = arrays["evidence"].astype(float)
    sums = np.convolve(evidence, np.ones(2 * AROUND + 1), "same")[: len(evidence)]
    unlikely = (evidence < -UNLIKELY) | ((sums < -UNLIKELY) & (evidence < 0))
    marked = empty | set(split.found["copy"]) | set(split.found["swapped"]) | set(split.found["language"])
    split.found["misaligned"] = [int(n) + 1 for n in np.flatnonzero(unlikely) if int(n) + 1 not in marked]


def _repeated(hashes: NDArray[np.generic]) -> list[int]:
    """The numbers of the pairs that repeat an earlier one."""
    order = np.argsort(hashes, kind="stable")
    again = hashes[order][1:] == hashes[order][:-1]
    return sorted(int(n) + 1 for n in order[1:][again])
