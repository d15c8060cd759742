"""Neighbouring sentence pairs joined to longer ones, so that lengths are spread evenly. Knows lengths, rows and lines.

A text's own sentences are mostly short, so that a model trained on them has hardly seen a long one, and nobody can tell
what its architecture loses with length from what it never learned. Joined pairs have a length that is drawn: about as
many are of each length up to ``data.join``.

Training pairs are joined as ids, anew in each epoch, since their text would have to be encoded anew otherwise. This
changes nothing: no subword crosses a space, so the ids of the joined text are the ids of its parts, with one EOS at the
end (``tests/data/test_joining.py`` compares them). In a language without spaces between words a subword may cross from
one part to the next, so there the joined text is encoded when it is needed.
Validation and test are joined as text, in one fixed way, before anything else reads them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seq2seq.config.schema import DataConfig
from seq2seq.data.files import Pair
from seq2seq.data.languages import ABUGIDAS, READ, script_of
from seq2seq.data.lengths import Unit, unit_of
from seq2seq.data.ragged import RaggedArray

VERSION = 2
"""To be raised whenever pairs are joined otherwise: it is part of the fingerprint of a corpus that is joined."""
ABSENT = -1
"""In place of a row, where a joined pair has fewer parts than another."""
DRAWN = 1
"""Sets the draws of joined lengths apart from those that shuffle the same block."""
Rows = NDArray[np.int64]
Sizes = tuple[int, ...]


def spans(sizes: Iterable[Sizes], limits: Sizes, draw: Callable[[], float]) -> Iterator[tuple[int, int]]:
    """Which neighbours are joined: [start, end) of each joined pair, which follow each other without a gap.

    For each a length is drawn, uniform up to the largest, and pairs are added as long as the next brings the sum nearer
    to it and stays within the limits. So sums are about uniform, but for those that no sum of neighbours can have.

    Args:
        sizes: of each pair, its length first.
        limits: of each sum of sizes. A pair that is above a limit by itself stays alone.
        draw: gives random numbers in [0, 1).
    """
    start, end, total, wanted = 0, 0, (0,) * len(limits), 0.0
    for size in sizes:
        longer = tuple(map(sum, zip(total, size, strict=True)))
        fits = all(one <= most for one, most in zip(longer, limits, strict=True))
        if end > start and not (fits and abs(longer[0] - wanted) < abs(total[0] - wanted)):
            yield start, end
            start, longer = end, size
        if end == start:
            wanted = 1 + draw() * (limits[0] - 1)
        total, end = longer, end + 1
    if end > start:
        yield start, end


def joined_pairs(pairs: Iterable[Pair], most: int, name: str) -> Iterator[Pair]:
    """Neighbouring pairs joined to at most ``most`` words of the source, the same ones wherever and whenever asked.

    The random numbers are Python's own, of a generator that is seeded by ``name``, so that they are the same on every
    machine and with every version. Each side's script tells how lengths are counted and sentences put together.
    """
    pairs = iter(pairs)
    first = list(itertools.islice(pairs, READ))
    units = [unit_of([pair[side] for pair in first]) for side in (0, 1)]
    whole = list(itertools.chain(first, pairs))
    lengths = zip(units[0].counts([src for src, _ in whole]))
    for start, end in spans(lengths, (most,), random.Random(f"join {name}").random):
        src, tgt = (joined_text([pair[side] for pair in whole[start:end]], units[side]) for side in (0, 1))
        yield src, tgt


def joined_text(lines: Sequence[str], unit: Unit) -> str:
    """Lines as one, without the blank ones; ``unit`` tells whether a space stands between any two of them.

    Where it does not, one stands where the lines' ends would become one word: between Latin words or numbers, and in
    Thai and its like, which have none between words but one between sentences.
    """
    written = filter(str.strip, lines)
    if unit.between:
        return unit.between.join(written)
    text = ""
    for line in written:
        text += f" {line}" if text and _are_parted(text[-1], line[0]) else line
    return text


def _are_parted(last: str, first: str) -> bool:
    """Whether a space stands between two lines that end and begin so, in a text without spaces between words."""
    if last.isascii() and first.isascii():
        return last.isalnum() and first.isalnum()
    return script_of(last) in ABUGIDAS or script_of(first) in ABUGIDAS


@dataclass(frozen=True)
class Join:
    """How training pairs are joined."""

    most: int  # length of a joined source, in the unit of the source
    longest: int  # tokens of either side, EOS included
    units: tuple[Unit, Unit]

    @property
    def by_ids(self) -> bool:
        """Whether the ids of a joined text are those of its parts."""
        return all(unit.between == " " for unit in self.units)

    def rows(self, rows: Rows, src: Sequence[str], tokens: NDArray[np.int64], place: Sequence[int]) -> list[Rows]:
        """The rows of each joined pair, out of the neighbouring ``rows`` of a block, each of which is in exactly one.

        Args:
            rows: (N,).
            src: their sources.
            tokens: (N, 2) their tokens on either side, EOS included, which a joined pair has once.
            place: the seed of the training, the epoch and the block, which decide the lengths that are drawn.
        """
        draw = np.random.default_rng([*place, DRAWN]).random
        sizes = zip(self.units[0].counts(src), *(tokens - 1).T.tolist(), strict=True)
        limits = (self.most, self.longest - 1, self.longest - 1)
        return [rows[start:end] for start, end in spans(sizes, limits, draw)]


def join_of(data: DataConfig, valid: Sequence[Sequence[str]]) -> Join:
    """How training pairs are joined. ``valid``: the validation text of each side, which tells its unit."""
    assert data.join is not None
    src, tgt = map(unit_of, valid)
    return Join(data.join, data.filters.max_length, (src, tgt))


def stacked(joined: Sequence[Rows]) -> Rows:
    """The rows of joined pairs as one array (N, P), padded with ``ABSENT``."""
    found = np.full((len(joined), max(map(len, joined), default=1)), ABSENT, np.int64)
    for row, parts in zip(found, joined, strict=True):
        row[: len(parts)] = parts
    return found


def lengths_of(ragged: RaggedArray, rows: Rows) -> Rows:
    """Tokens (N,) of single ``rows`` (N,), or of joined ones (N, P), which have one EOS."""
    if rows.ndim == 1:
        return ragged.lengths_of(rows)
    tokens = np.where(rows == ABSENT, 0, ragged.lengths_of(np.maximum(rows, 0)) - 1)
    return tokens.sum(1) + 1


def ids_of(ragged: RaggedArray, rows: Rows) -> NDArray[np.int64]:
    """The ids of single ``rows`` (N,), or of joined ones (N, P) with one EOS each, all end to end."""
    parts = rows.reshape(len(rows), -1)
    there = parts != ABSENT
    chosen = parts[there]
    kept = ragged.lengths_of(chosen) - 1
    kept[np.cumsum(there.sum(1)) - 1] += 1  # EOS, of the last part alone
    begin = np.cumsum(kept) - kept
    index = np.repeat(ragged.offsets[chosen] - begin, kept) + np.arange(kept.sum())
    return ragged.values[index].astype(np.int64)
