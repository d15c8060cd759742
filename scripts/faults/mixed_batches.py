"""Batches of sentences of all lengths, as a loader that only shuffles makes them: here padding faults do their damage.

The package batches sentences of similar lengths, so that hardly any padding is left. Mixed batches are no fault of a
result, only slow; every model that ignores padding gives the same in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scripts.faults.replacing import replaced
from seq2seq.data import batches
from seq2seq.data.joining import Rows
from seq2seq.decoding import translator

sorted_plan = batches.plan
TOGETHER = 64  # sentences that are translated at once


def mixed_plan(lengths: NDArray[np.int64], budget: int, seed: int, shard: int, multiple: int = 1) -> list[Rows]:
    """As ``plan``, in as many batches, each of as many sentences, whatever their lengths."""
    number = len(sorted_plan(lengths, budget, seed, shard, multiple))
    return np.array_split(np.random.default_rng([seed, shard]).permutation(len(lengths)), number)


def in_their_order(lengths: Sequence[int], positions: int | None = None, beams: int = 1) -> Iterator[list[int]]:
    """As ``batched``, the sentences in the order in which they come."""
    yield from ([*range(start, min(start + TOGETHER, len(lengths)))] for start in range(0, len(lengths), TOGETHER))


def alone(lengths: Sequence[int], positions: int | None = None, beams: int = 1) -> Iterator[list[int]]:
    """As ``batched``, each sentence by itself, so that there is no padding."""
    yield from ([n] for n in range(len(lengths)))


def trained() -> AbstractContextManager[None]:
    """Inside, trainings see mixed batches."""
    return replaced(batches, "plan", mixed_plan)


def translated() -> AbstractContextManager[None]:
    """Inside, sentences are translated in mixed batches."""
    return replaced(translator, "batched", in_their_order)


def without_rounding() -> AbstractContextManager[None]:
    """Inside, a batch that is translated is as long as its longest sentence, and not a multiple of four."""
    return replaced(translator, "pad", partial(batches.pad, multiple=1))


def translated_alone() -> AbstractContextManager[None]:
    """Inside, each sentence is translated by itself."""
    return replaced(translator, "batched", alone)
