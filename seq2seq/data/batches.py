"""Batches of padded ids. A pure function of (seed, part): the place in the data is two integers, so resuming is exact.

Knows ids and lengths; no text (but for subword sampling), no model. Lengths may be padded to a multiple, and numbers of
sentences made one: every new shape costs a new kernel in bf16, every padded position as much as a real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq.config.schema import BOS, PAD
from seq2seq.data.encoded import Flat, Split
from seq2seq.data.subwords import Subwords

MULTIPLE = 4
"""Where shapes should recur; 1 leaves lengths and numbers of sentences as they are."""
PART = 1 << 18
"""Pairs planned at once: what a plan costs in time and memory does not depend on how large the corpus is."""
STRETCH = 1 << 10
"""Neighbours in the corpus that stay in one part, so that a part is read from few places of the file."""
SCORED_POSITIONS = 4_000
"""Of a batch whose reference is only read, not trained on."""
Rows = NDArray[np.int64]


class Batch(NamedTuple):
    """``src`` (B, S), ``tgt_in`` (B, T) beginning with BOS, ``tgt_out`` (B, T) ending with EOS; int64, PAD behind."""

    src: Tensor
    tgt_in: Tensor
    tgt_out: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))

    @property
    def tokens(self) -> int:
        """Target tokens without padding."""
        return int((self.tgt_out != PAD).sum())


def batched(lengths: Sequence[int], positions: int | None = None) -> Iterator[list[int]]:
    """Numbers of sequences, longest first, as many at a time as make up ``positions`` (``SCORED_POSITIONS``)."""
    order = sorted(range(len(lengths)), key=lambda n: -lengths[n])
    while order:
        size = max((positions or SCORED_POSITIONS) // lengths[order[0]], 1)
        yield order[:size]
        order = order[size:]


def multiple_for(device: torch.device, precision: torch.dtype) -> int:
    """What lengths are made multiples of: as they are, 1, only where new shapes cost nothing."""
    return 1 if device.type == "cpu" and precision == torch.float32 else MULTIPLE


def round_up(length: Rows, multiple: int = MULTIPLE) -> Rows:
    """To the next multiple."""
    return -(-length // multiple) * multiple


def plan(lengths: NDArray[np.int64], budget: int, seed: int, part: int, multiple: int = MULTIPLE) -> list[Rows]:
    """The batches of one part in their order: rows of similar length, the batches shuffled.

    Args:
        lengths: (N, 2) pieces of source and target.
        budget: padded positions of a batch on its longer side.
        multiple: of which lengths are made, and sizes of batches where there is a choice.
    """
    rng = np.random.default_rng([seed, part])
    order = rng.permutation(len(lengths))
    rounded = round_up(lengths[order], multiple)
    longer = rounded.max(1)
    by_length = np.lexsort((rounded[:, 0], rounded[:, 1], longer))  # stable: ties stay in random order
    order, longer = order[by_length], longer[by_length]
    batches, start = [], 0
    while start < len(order):
        size = max(budget // int(longer[start]), 1)
        while size > 1 and size * longer[min(start + size, len(order)) - 1] > budget:
            size = max(budget // int(longer[min(start + size, len(order)) - 1]), 1)
        if multiple < size < len(order) - start:
            size -= size % multiple
        batches.append(order[start : start + size])
        start += size
    return [batches[n] for n in rng.permutation(len(batches))]


class Batches:
    """The training split, batch by batch. An epoch is planned in ``parts`` parts, a small corpus in one."""

    def __init__(
        self,
        split: Split,
        budget: int,
        seed: int,
        subwords: Subwords | None = None,
        sampling: float = 0.0,
        multiple: int = MULTIPLE,
    ):
        """``subwords`` and ``sampling`` draw another segmentation for each batch of each part."""
        self.split, self.budget, self.seed, self.multiple = split, budget, seed, multiple
        self.subwords, self.sampling = subwords, sampling
        self.parts = -(-len(split) // PART)

    def part(self, number: int) -> list[Rows]:
        """The rows of each batch of a part; ``number`` counts on through the epochs."""
        rows = self._rows(*divmod(number, self.parts))
        lengths = np.stack([side.lengths_of(rows) for side in (self.split.src, self.split.tgt)], 1)
        return [rows[batch] for batch in plan(lengths, self.budget, self.seed, number, self.multiple)]

    def _rows(self, epoch: int, part: int) -> Rows:
        """The rows of one part of an epoch: stretches of neighbours, dealt anew in each epoch."""
        if self.parts == 1:
            return np.arange(len(self.split))
        stretches = -(-len(self.split) // STRETCH)
        dealt = np.random.default_rng([self.seed, epoch, self.parts]).permutation(stretches)
        mine = dealt[part * (PART // STRETCH) : (part + 1) * (PART // STRETCH)]
        rows = (mine[:, None] * STRETCH + np.arange(STRETCH)).flatten()
        return rows[rows < len(self.split)]

    def load(self, rows: Rows, part: int, number: int) -> Batch:
        """Batch ``number`` of a part, made of ``rows``."""
        if self.sampling and self.subwords is not None:
            seed = int(np.random.default_rng([self.seed, part, number]).integers(1 << 31))
            texts = [[self.split.line(side, int(row)) for row in rows] for side in (0, 1)]
            src, tgt = self.subwords.sample(texts[0], texts[1], self.sampling, seed)
            return collate(src, tgt, self.multiple)
        return _batch(gather(self.split.src, rows, self.multiple), gather(self.split.tgt, rows, self.multiple))


def gather(flat: Flat, rows: Rows, multiple: int = MULTIPLE) -> NDArray[np.int64]:
    """(B, L) ids of ``rows``, PAD behind, L a multiple of ``multiple``."""
    starts, lengths = flat.offsets[rows], flat.lengths_of(rows)
    places = np.arange(int(round_up(lengths.max(), multiple)))
    inside = places < lengths[:, None]
    index = np.where(inside, starts[:, None] + places, 0)
    return np.where(inside, flat.values[index], PAD).astype(np.int64)


def pad(sequences: list[list[int]], multiple: int = MULTIPLE) -> NDArray[np.int64]:
    """(B, L) ids, PAD behind, L a multiple of ``multiple``."""
    longest = np.array(max(map(len, sequences)))
    padded = np.full((len(sequences), int(round_up(longest, multiple))), PAD, np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def collate(src: list[list[int]], tgt: list[list[int]], multiple: int = MULTIPLE) -> Batch:
    """A batch of sequences that end with EOS."""
    return _batch(pad(src, multiple), pad(tgt, multiple))


def _batch(src: NDArray[np.int64], tgt_out: NDArray[np.int64]) -> Batch:
    tgt_in = np.concatenate([np.full((len(tgt_out), 1), BOS), tgt_out[:, :-1]], 1)
    return Batch(torch.from_numpy(src), torch.from_numpy(tgt_in), torch.from_numpy(tgt_out))
