"""Filters of the training split, which count the pairs they drop by reason. Knows text and lengths; no subwords."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.config.schema import FilterConfig
from seq2seq.data.blank import is_blank
from seq2seq.data.files import Pair

Lengths = NDArray[Any]
REASONS = ("empty", "duplicate", "too long", "length ratio")


def plain(line: str) -> str:
    """The line in NFC, as subwords see it, without spaces at its ends."""
    return unicodedata.normalize("NFC", line).strip()


def key(pair: Pair) -> int:
    """A 64-bit hash of a pair, as ``plain`` as it is trained on."""
    text = "\x00".join(map(plain, pair))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def drop_empty_and_duplicates(
    pairs: Iterable[Pair], options: FilterConfig, dropped: Counter[str], seen: set[int] | None = None
) -> Iterator[Pair]:
    """The pairs without an empty side, and without repetitions of an earlier pair if ``options.deduplicate`` is set.

    Args:
        seen: keys of the pairs before these, to which theirs are added.
    """
    seen = set() if seen is None else seen
    for pair in pairs:
        if is_blank(pair[0]) or is_blank(pair[1]):
            dropped["empty"] += 1
            continue
        if options.deduplicate:
            this = key(pair)
            if this in seen:
                dropped["duplicate"] += 1
                continue
            seen.add(this)
        yield pair


def within_limits(src: Lengths, tgt: Lengths, options: FilterConfig, dropped: Counter[str]) -> NDArray[np.bool_]:
    """Which pairs are within ``max_length`` and ``max_ratio``; (N,) tokens of each side, EOS included."""
    longer, shorter = np.maximum(src, tgt), np.minimum(src, tgt)
    too_long = longer > options.max_length
    uneven = ~too_long & (longer > shorter * (np.inf if options.max_ratio is None else options.max_ratio))
    for reason, found in (("too long", too_long), ("length ratio", uneven)):
        if found.any():
            dropped[reason] += int(found.sum())
    return ~(too_long | uneven)
