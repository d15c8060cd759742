"""Chunks of pairs to ids, within the limits of length. Knows subword models and text; no files and no processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2seq.config.schema import FilterConfig
from seq2seq.data import filters
from seq2seq.data.subwords import normalise
from seq2seq.data.words import LineEncoder


class Encoded(NamedTuple):
    """A chunk of pairs; of both sides the lengths of the kept lines, and their ids end to end."""

    kept: NDArray[np.bool_]  # of all pairs of the chunk
    lengths: list[NDArray[np.uint32]]
    ids: list[bytes]
    dropped: Counter[str]


class ChunkEncoder:
    """Encodes both sides of pairs. ``limits`` drop pairs by their lengths in tokens; None: all are kept."""

    def __init__(self, models: Sequence[bytes], dtype: str, limits: FilterConfig | None) -> None:
        src = LineEncoder(models[0], dtype)
        self.sides = [src, src if models[0] == models[1] else LineEncoder(models[1], dtype)]
        self.dtype, self.limits = np.dtype(dtype), limits

    def encode(self, sides: Sequence[Sequence[str]]) -> Encoded:
        """``sides``: the lines of the source and of the target."""
        ids = [side.encode([normalise(line) for line in lines]) for side, lines in zip(self.sides, sides, strict=True)]
        lengths = [np.fromiter(map(len, lines), np.uint32, len(lines)) // self.dtype.itemsize for lines in ids]
        kept, dropped = np.ones(len(ids[0]), bool), Counter[str]()
        if self.limits is not None:
            kept = filters.within_limits(lengths[0], lengths[1], self.limits, dropped)
        if not kept.all():
            rows = np.flatnonzero(kept).tolist()
            ids = [[lines[row] for row in rows] for lines in ids]
        return Encoded(kept, [side[kept] for side in lengths], [b"".join(lines) for lines in ids], dropped)
