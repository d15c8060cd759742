"""Two text files with different numbers of lines: what both have is a corpus, and its words tell where they part.

Knows files, and the evidence of each pair that it is a translation; learns none itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2seq.data import files
from seq2seq.data.files import Measure, Pair, Part
from seq2seq.data.streams import Place

LEAST, CLEAR = 8.0, 1.0  # evidence that pairs fit, or that they do not: of all together, and of each on average
NEAR = 10  # pairs by which the place where the sides part may be wrong


class Unequal(NamedTuple):
    """Two files of a split with different numbers of lines."""

    split: str
    src: str
    tgt: str
    lines: tuple[int, int]
    fit: int | None  # lines at the beginning that fit; None: not known

    @property
    def common(self) -> int:
        """The lines that both have."""
        return min(self.lines)

    @property
    def at_the_end(self) -> bool:
        """Whether the sides fit as far as both go."""
        return self.fit is not None and self.fit > self.common - NEAR


class CommonLines:
    """Opens two text files as far as both have lines, and keeps which had different numbers of them."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[str, str, tuple[int, int]]] = {}  # by ``Part.where``

    def open(self, src: Place, tgt: Place, measured: Measure) -> Part:
        """As ``files.text_files``, of which only files with different numbers of lines are told apart."""
        found = {place: measured(place) for place in (src, tgt)}
        (size, src_hash), (tgt_size, tgt_hash) = found[src], found[tgt]
        if size == tgt_size:
            return files.text_files(src, tgt, found.__getitem__)
        where, common = f"{src} + {tgt}", min(size, tgt_size)
        self._sizes[where] = str(src), str(tgt), (size, tgt_size)

        def pairs() -> Iterator[Pair]:
            both = zip(files.lines(src), files.lines(tgt), strict=False)
            return files.unchanged(islice(both, common), common, where)

        return Part(where, common, f"text/{src_hash}/{tgt_hash}/{common}", pairs)

    def unequal(self, split: str, parts: Sequence[Part], evidence: NDArray[np.floating]) -> Iterator[Unequal]:
        """Those of the files of a split. ``evidence``: of each of its pairs, in the order of the files."""
        start = 0
        for part in parts:
            if part.where in self._sizes:
                yield Unequal(split, *self._sizes[part.where], fitting(evidence[start : start + part.size]))
            start += part.size


def fitting(evidence: NDArray[np.floating]) -> int | None:
    """How many pairs at the beginning fit, from the evidence of each; None if it tells too little.

    It is the place before which the evidence is most often above, and after which it is most often below, the middle
    between that of pairs that fit and of pairs that do not: half of its mean, or 0.
    """
    if not len(evidence):
        return None
    told = np.cumsum(evidence - max(0.0, float(evidence.mean())) / 2)
    fit = int(np.argmax(np.concatenate([[0.0], told])))
    return fit if _is_clear(evidence[:fit]) or _is_clear(-evidence[fit:]) else None


def _is_clear(evidence: NDArray[np.floating]) -> bool:
    return len(evidence) > 0 and float(evidence.sum()) >= max(LEAST, CLEAR * len(evidence))
