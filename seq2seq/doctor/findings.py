"""From what was found in the splits to findings for people: how bad, where, what to do; and to the filter file.

Knows the kinds of faults and files; reads no text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, TypedDict

from seq2seq.config.schema import DataConfig
from seq2seq.data.files import Part
from seq2seq.doctor.corpus import EDGES, Examination, Split, edges
from seq2seq.doctor.unequal import Unequal
from seq2seq.evaluation.statistics import SMALL

SHOWN = 5  # places of a finding
LONG = (20, 30)  # source words beyond which a fixed context shows its limits, and shows them clearly


class Kind(NamedTuple):
    """A kind of fault."""

    what: str
    serious: float  # share of the pairs from which on training should not begin
    cure: str


NEVER = 2.0  # a share that none is
LEAVE = "leave them out: --drop FILE, then data.filters.drop=FILE"
MEND = "mend these lines, or take them out of the file: validation and test are never filtered"
KINDS = {
    "unequal": Kind("one file is longer", 0, "look for a line that is missing or broken in two"),
    "empty": Kind("a side is empty", 0.05, "training leaves them out; look whether lines are missing"),
    "misaligned": Kind("the words of the sides do not fit", 0.01, f"look for a missing line before; {LEAVE}"),
    "swapped": Kind("the sides are swapped", 0.01, LEAVE),
    "language": Kind("a side is in another language", 0.05, f"check data.src and data.tgt; {LEAVE}"),
    "copy": Kind("both sides are the same text", 0.05, LEAVE),
    "in a test": Kind("also in validation or a test set (near-duplicates)", 0.01, LEAVE),
    "in training": Kind("also in training (near-duplicates)", 0.01, "scores are too good: leave them out of training"),
    "duplicate": Kind("repeats an earlier pair", 0.2, "data.filters.deduplicate=true, or --drop FILE"),
    "near-duplicate": Kind("an earlier pair but for case, punctuation, numbers", 0.2, LEAVE),
    "numbers": Kind("each side has a number that the other lacks", 0.05, LEAVE),
    "ratio": Kind("one side is 3 times longer than usual", 0.05, LEAVE),
    "too long": Kind("longer than data.filters.max_length", 0.1, "training leaves them out: split them"),
    "signs": Kind("control characters or a wrong encoding", 0.01, f"convert the text again; {LEAVE}"),
    "carriage return": Kind(
        "a carriage return (CR) in the text", NEVER, "it is read as text: tr -d '\\r' takes it out"
    ),
}
"""In the order in which they are told."""
DROPPED = tuple(
    kind for kind in KINDS if kind not in ("unequal", "empty", "in training", "too long", "carriage return")
)
EVERYWHERE = ("in training", "carriage return")
"""Kinds whose cure is the same in each split."""


class Finding(TypedDict):
    """One kind of fault in one split."""

    split: str
    kind: str
    count: int
    share: float
    serious: bool
    first: list[str]  # places of the first few
    todo: str


def findings(examined: Examination) -> Iterator[Finding]:
    """Every kind of fault in every split that has it."""
    for name, split in examined.splits.items():
        yield from (_unequal(each, examined) for each in examined.unequal if each.split == name)
        places = Places(examined.source.parts(name)) if name in ("train", "valid", "test") else Places(())
        for kind, told in KINDS.items():
            numbers = split.found.get(kind, [])
            if numbers:
                share = len(numbers) / max(split.size, 1)
                first = [places.name(number) for number in numbers[:SHOWN]]
                yield Finding(
                    split=name,
                    kind=kind,
                    count=len(numbers),
                    share=share,
                    serious=share >= told.serious,
                    first=first,
                    todo=_todo(kind, split, examined.data),
                )


def _unequal(each: Unequal, examined: Examination) -> Finding:
    """What is known of two files with different numbers of lines."""
    told, first = KINDS["unequal"].cure, []
    if each.fit is None:
        told = "where they part cannot be told from the words: compare their first lines and their last"
    elif each.at_the_end:
        told = "as far as both go, the sides fit: look whether the end of the shorter is missing"
    else:
        several = len(examined.source.parts(each.split)) > 1
        first = [f"{each.src} + {each.tgt}:{each.fit + 1}" if several else f"{each.fit + 1}"]
        told = f"the sides part near there: {told}"
    lines = f"{each.src} has {each.lines[0]:,} lines but {each.tgt} has {each.lines[1]:,}"
    count = abs(each.lines[0] - each.lines[1])
    return Finding(
        split=each.split,
        kind="unequal",
        count=count,
        share=count / max(each.lines),
        serious=True,
        first=first,
        todo=f"{lines}; {told}",
    )


def _todo(kind: str, split: Split, data: DataConfig) -> str:
    """What to do about a kind of fault in a split, and what more is known of it."""
    if kind == "swapped" and split.is_swapped:
        if data.split_options(split.name).src is None:
            return "exchange data.src_column and data.tgt_column"
        place = data.key_of_split(split.name)
        return f"exchange data.src and data.tgt (the codes), or {place}.src and {place}.tgt (the files)"
    cure = KINDS[kind].cure if split.name == "train" or kind in EVERYWHERE else MEND
    return cure + _detail(kind, split)


def _detail(kind: str, split: Split) -> str:
    """What more is known of a kind of fault in a split."""
    if kind == "language":
        return f" (found: {', '.join(name for name, _ in split.others.most_common(3))})"
    if kind == "misaligned" and split.shifts:
        [(shift, count)] = split.shifts.most_common(1)
        side = "further down" if shift > 0 else "further up"
        if count * 4 > len(split.found[kind]):
            return f" ({count:,} fit the target {abs(shift)} line{'s' * (abs(shift) > 1)} {side})"
    return ""


class Places:
    """Names of pairs by their number in a split of one or several files."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts, self.ends = parts, list(accumulate(part.size for part in parts))

    def of(self, number: int) -> tuple[int, int]:
        """Index of the file, and the number in it, from 1."""
        index = bisect_right(self.ends, number - 1)
        return index, number - (self.ends[index - 1] if index else 0)

    def name(self, number: int) -> str:
        """``12``, or with the file where there are several."""
        if len(self.parts) < 2:
            return f"{number}"
        index, own = self.of(number)
        return f"{self.parts[index].where}:{own}"


def dropped(examined: Examination) -> list[dict[int, str]]:
    """For each file of the training split, the reason to leave out a pair, by its number."""
    parts = examined.source.parts("train")
    places, reasons = Places(parts), [dict[int, str]() for _ in parts]
    train = examined.splits["train"]
    for kind in DROPPED:
        if kind == "swapped" and train.is_swapped:  # which is mended by exchanging the sides
            continue
        for number in train.found.get(kind, ()):
            index, own = places.of(number)
            reasons[index].setdefault(own, kind)
    return reasons


def histogram(examined: Examination) -> dict[str, dict[str, int]]:
    """Sentences by the length of the source, in the unit of the test, for each split."""
    upper = edges(examined.splits["test"].unit)
    names = [f"{low + 1}–{high}" for low, high in zip((0, *upper), upper, strict=False)] + [f">{upper[-1]}"]
    return {name: {label: split.lengths[n] for n, label in enumerate(names)} for name, split in examined.splits.items()}


def long_sentences(examined: Examination) -> dict[str, int]:
    """Test sentences whose source is longer than each of ``LONG``, in words or about as many characters."""
    test = examined.splits["test"]
    counts: Mapping[int, int] = test.lengths
    return {
        f"{long * test.unit.per_word}": sum(count for n, count in counts.items() if n > EDGES.index(long))
        for long in LONG
    }


def bottleneck(examined: Examination) -> str:
    """Whether the test can show the limit of a fixed context, in one line."""
    (least, some), (long, many) = long_sentences(examined).items()
    unit = examined.splits["test"].unit.name
    if many >= SMALL:
        told = f"test sentences of more than {least} {unit}: {some:,}, of more than {long}: {many:,}"
        return f"{told}; enough to show what a fixed context loses on long sentences"
    return (
        f"needed to show what a fixed context loses: {SMALL} test sentences of more than {long} {unit}; there are "
        f"{many:,} (and {some:,} of more than {least}): take longer ones into data.test or a data.tests.NAME"
    )


def limits(examined: Examination) -> Iterator[str]:
    """What was not looked at, and how it can be."""
    if not examined.identified:
        yield "languages are told by letters and frequent words; by more with pip install 'seq2seq-trainer[langid]'"
    if None in examined.data.codes:
        yield "languages are not checked on a side without a code: set data.src and data.tgt"
    if examined.shift is None:
        yield "whether the sides fit is not known: there are too few pairs, or too few words that recur"
