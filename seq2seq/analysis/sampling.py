"""Which sentences are looked at. The choice depends on the text alone, so that all models get the same ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

SEED = 20


def evenly(lines: Sequence[str], count: int) -> list[int]:
    """Indices of at most ``count`` lines, at even distances in the order of their numbers of words."""
    order = sorted(range(len(lines)), key=lambda n: len(lines[n].split()))
    count = min(count, len(lines))
    return sorted(order[(2 * k + 1) * len(order) // (2 * count)] for k in range(count))


def draw(src: Sequence[str], references: Sequence[str], count: int) -> list[int]:
    """Sorted indices of at most ``count`` pairs with text on both sides, drawn at random from a fixed seed."""
    full = [n for n, pair in enumerate(zip(src, references, strict=True)) if all(side.strip() for side in pair)]
    return sorted(random.Random(SEED).sample(full, min(count, len(full))))
