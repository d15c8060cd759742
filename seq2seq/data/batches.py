"""Batches of padded ids, planned by length under a budget of positions. Knows ids and lengths; no model.

Text is needed only for subword sampling and for joined pairs. Lengths and batch sizes may be rounded to a multiple: in
bf16 every new shape costs a new kernel, and every padded position costs as much as a real one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq.config.schema import BOS, PAD
from seq2seq.data.encoded import Split
from seq2seq.data.joining import ABSENT, Join, Rows, ids_of, joined_text, lengths_of, stacked
from seq2seq.data.ragged import RaggedArray
from seq2seq.data.sampling import Segmenter, SubwordSampler
from seq2seq.system.processes import ALONE, Group

MULTIPLE = 4
"""Pad lengths and batch sizes to this multiple: oneDNN compiles a kernel for each bf16 shape. 1: no rounding."""
SHARD_SIZE = 1 << 18
"""Pairs planned at once, so that the time and memory of a plan do not grow with the corpus."""
BLOCK_SIZE = 1 << 10
"""Neighbouring pairs that stay in one shard, so that a shard is read from few places of the file."""
SCORED_POSITIONS = 4_000
"""Padded positions of a batch that is scored under teacher forcing but not trained on."""
QUADRATIC = 512
"""Tokens of a sentence beyond which attention, whose memory is quadratic in the length, needs most of the memory."""


class Batch(NamedTuple):
    """``src`` (B, S), ``tgt_in`` (B, T) beginning with BOS, ``tgt_out`` (B, T) ending with EOS; int64, padded with PAD.

    ``links`` (B, T, S), where attention is guided: of the source tokens that are linked with a token of ``tgt_out``
    each has an equal share of 1; a token without links has zeros.
    """

    src: Tensor
    tgt_in: Tensor
    tgt_out: Tensor
    links: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return self.each(lambda part: part.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with each of its tensors changed."""
        links = None if self.links is None else change(self.links)
        return Batch(change(self.src), change(self.tgt_in), change(self.tgt_out), links)

    @property
    def tokens(self) -> int:
        """Target tokens without padding."""
        return int((self.tgt_out != PAD).sum())


def batched(lengths: Sequence[int], positions: int | None = None, beams: int = 1) -> Iterator[list[int]]:
    """Indices of the sequences, longest first, in batches of ``positions`` (default: ``SCORED_POSITIONS``).

    A sequence of more than ``QUADRATIC`` tokens counts in proportion to its length squared, and to the ``beams``.
    """
    order = sorted(range(len(lengths)), key=lambda n: -lengths[n])
    while order:
        longest = lengths[order[0]]
        held = longest if longest <= QUADRATIC else longest * longest * beams // QUADRATIC
        size = max((positions or SCORED_POSITIONS) // held, 1)
        yield order[:size]
        order = order[size:]


def multiple_for(device: torch.device, precision: torch.dtype) -> int:
    """The multiple that lengths are padded to: 1 (none) in float32 on a CPU, where new shapes cost nothing."""
    return 1 if device.type == "cpu" and precision == torch.float32 else MULTIPLE


def round_up(length: Rows, multiple: int = MULTIPLE) -> Rows:
    """To the next multiple."""
    return -(-length // multiple) * multiple


def plan(lengths: NDArray[np.int64], budget: int, seed: int, shard: int, multiple: int = MULTIPLE) -> list[Rows]:
    """The batches of one shard in their order: rows of similar length in each, the batches shuffled.

    Args:
        lengths: (N, 2) tokens of source and target.
        budget: padded positions of a batch on its longer side.
        multiple: lengths are rounded up to it, and batch sizes down to it where they are larger.
    """
    rng = np.random.default_rng([seed, shard])
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


class Block(NamedTuple):
    """Neighbouring rows ``first`` to ``last`` (not included), and the share of them that an epoch has."""

    first: int
    last: int
    share: float


def _blocks(files: Sequence[int], weights: Sequence[float]) -> list[Block]:
    """The blocks of an epoch, file by file: a block as often as its weight says, and once more for the fraction."""
    blocks, start = list[Block](), 0
    for size, weight in zip(files, weights, strict=True):
        whole, fraction = divmod(weight, 1)
        for share in [1.0] * int(whole) + [fraction] * (fraction > 0):
            firsts = range(start, start + size, BLOCK_SIZE)
            blocks += [Block(first, min(first + BLOCK_SIZE, start + size), share) for first in firsts]
        start += size
    return blocks


class BatchStream:
    """The training split as an endless stream of batches that knows its own place.

    An epoch is planned in shards of ``SHARD_SIZE`` pairs, a small corpus in one. The batches are a pure function of
    (seed, shard, batch number), so the place is two integers, and a stream that starts from a saved ``state`` yields
    exactly the batches that were left.
    """

    def __init__(
        self,
        split: Split,
        budget: int,
        seed: int,
        sampler: SubwordSampler | Segmenter | None = None,
        multiple: int = MULTIPLE,
        state: dict[str, int] | None = None,
        weights: Sequence[float] = (),
        join: Join | None = None,
    ) -> None:
        """Begin, or go on at ``state``.

        Args:
            budget: padded positions of a batch.
            sampler: segments each batch anew, within the budget on average.
            weights: how often the pairs of each of the split's ``files`` are seen in an epoch (default: once); a
                fraction shows a random part of them, another one in each epoch.
            join: how neighbouring pairs are joined, anew in each epoch; each time a pair is seen, it is in one of them.
        """
        self.split, self.budget, self.seed = split, budget, seed
        self.sampler, self.join = sampler, join
        if sampler:
            self.budget = max(int(budget / self._growth(sampler)), 1)
        place = {"part": 0, "batch": 0, "multiple": multiple} | (state or {})
        self.shard_number, self.batch_number, self.multiple = place["part"], place["batch"], place["multiple"]
        self.blocks = _blocks(split.files or (len(split),), weights or (1.0,))
        self.shards = -(-len(self.blocks) // (SHARD_SIZE // BLOCK_SIZE))
        self.planned = self.shard(self.shard_number)

    def _growth(self, sampler: SubwordSampler | Segmenter) -> float:
        """How much longer the sampled segmentation is than the plain one, by which batches are planned."""
        rows = np.linspace(0, len(self.split) - 1, min(len(self.split), 1_000)).astype(np.int64)
        sampled = [sum(map(len, ids)) for ids in sampler.sample(self._texts(rows), [self.seed])]
        plain = [int(side.lengths_of(rows).sum()) for side in (self.split.src, self.split.tgt)]
        return max(1.0, *(long / short for long, short in zip(sampled, plain, strict=True)))

    def _texts(self, rows: Rows) -> list[list[str]]:
        """The lines of the source and of the target, those of joined rows as one."""
        if self.join is None or rows.ndim == 1:
            return [[self.split.line(side, int(row)) for row in rows] for side in (0, 1)]
        parts = [row[row != ABSENT] for row in rows]
        return [
            [joined_text([self.split.line(side, int(row)) for row in each], unit) for each in parts]
            for side, unit in enumerate(self.join.units)
        ]

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> Batch:
        return self.load(*self._advance())

    def take(self, number: int, group: Group = ALONE) -> list[Batch]:
        """The next ``number`` batches; of several processes, the part of them that is this one's.

        Whole batches are dealt out where their number can be divided by that of the processes, else the rows of each:
        the batches of the group are those of one process.
        """
        mine = []
        for turn in range(number):
            place = self._advance()
            if number % group.world:
                mine.append(share_of(self.load(*place), group))
            elif turn % group.world == group.rank:
                mine.append(self.load(*place))
        return mine

    def _advance(self) -> tuple[Rows, int, int]:
        """Step over a batch; returns the arguments of ``load`` that make it."""
        while self.batch_number == len(self.planned):  # a shard of small fractions may be empty
            self.shard_number, self.batch_number = self.shard_number + 1, 0
            self.planned = self.shard(self.shard_number)
        self.batch_number += 1
        return self.planned[self.batch_number - 1], self.shard_number, self.batch_number - 1

    def state(self) -> dict[str, int]:
        """The place behind the last batch, as plain data; the multiple belongs to it, since the plan depends on it."""
        return {"part": self.shard_number, "batch": self.batch_number, "multiple": self.multiple}

    @property
    def epoch(self) -> float:
        """Passes over the split so far, with fractions."""
        return (self.shard_number + self.batch_number / max(len(self.planned), 1)) / self.shards

    def shard(self, number: int) -> list[Rows]:
        """The rows of each batch of a shard, (B,) or joined (B, P); ``number`` counts on through the epochs."""
        rows = self._rows(*divmod(number, self.shards))
        lengths = np.stack([lengths_of(side, rows) for side in (self.split.src, self.split.tgt)], 1)
        return [rows[batch] for batch in plan(lengths, self.budget, self.seed, number, self.multiple)]

    def _rows(self, epoch: int, shard: int) -> Rows:
        """The rows of one shard of an epoch: blocks of neighbours, dealt anew in each epoch."""
        mine = np.arange(len(self.blocks))
        if self.shards > 1:
            dealt = np.random.default_rng([self.seed, epoch, self.shards]).permutation(len(self.blocks))
            mine = dealt[shard * (SHARD_SIZE // BLOCK_SIZE) : (shard + 1) * (SHARD_SIZE // BLOCK_SIZE)]
        found = [self._rows_of(self.blocks[block], epoch) for block in mine]
        if self.join is None:
            return np.concatenate(found)
        joined = (self._joined(rows, epoch, int(block)) for block, rows in zip(mine, found, strict=True))
        return stacked(list(itertools.chain.from_iterable(joined)))

    def _joined(self, rows: Rows, epoch: int, block: int) -> list[Rows]:
        """The rows of each joined pair of a block, a function of seed, epoch and block alone."""
        assert self.join is not None
        src = [self.split.line(0, int(row)) for row in rows]
        tokens = np.stack([side.lengths_of(rows) for side in (self.split.src, self.split.tgt)], 1)
        return self.join.rows(rows, src, tokens, [self.seed, epoch, block])

    def _rows_of(self, block: Block, epoch: int) -> Rows:
        """The rows of a block in an epoch: all, or a random part that is ``share`` of them on average."""
        rows = np.arange(block.first, block.last)
        if block.share == 1:
            return rows
        rng = np.random.default_rng([self.seed, epoch, block.first])
        chosen = rng.permutation(len(rows))[: int(block.share * len(rows) + rng.random())]
        return rows[np.sort(chosen)]

    def load(self, rows: Rows, shard: int, number: int) -> Batch:
        """Batch ``number`` of a shard, made of ``rows``."""
        if self.sampler:
            src, tgt = self.sampler.sample(self._texts(rows), [self.seed, shard, number])
            return collate(src, tgt, self.multiple)
        batch = _batch(gather(self.split.src, rows, self.multiple), gather(self.split.tgt, rows, self.multiple))
        if self.split.links is None:
            return batch
        return batch._replace(links=_shares(self.split.links, rows, batch.tgt_out.shape[1], batch.src.shape[1]))


def share_of(batch: Batch, group: Group) -> Batch:
    """The rows of a batch that are this process's work; where none is left, one without a target, which weighs 0."""
    if group.rank < len(batch.src):
        return batch.each(lambda part: part[group.rank :: group.world])
    links = None if batch.links is None else torch.zeros_like(batch.links[:1])
    return Batch(batch.src[:1], batch.tgt_in[:1], torch.full_like(batch.tgt_out[:1], PAD), links)


def _shares(links: RaggedArray, rows: Rows, targets: int, sources: int) -> Tensor:
    """The ``links`` of a batch of ``rows``, padded to (B, ``targets``, ``sources``)."""
    found = np.zeros((len(rows), targets, sources), np.float32)
    for linked, row in zip(found, rows, strict=True):
        places = links[int(row)].reshape(-1, 2)
        linked[places[:, 0], places[:, 1]] = 1
    return torch.from_numpy(found / np.maximum(found.sum(-1, keepdims=True), 1))


def gather(ragged: RaggedArray, rows: Rows, multiple: int = MULTIPLE) -> NDArray[np.int64]:
    """(B, L) ids of ``rows``, (B,) or joined (B, P), padded with PAD, L a multiple of ``multiple``."""
    lengths = lengths_of(ragged, rows)
    inside = np.arange(int(round_up(lengths.max(), multiple))) < lengths[:, None]
    found = np.full(inside.shape, PAD, np.int64)
    found[inside] = ids_of(ragged, rows)
    return found


def pad(sequences: list[list[int]], multiple: int = MULTIPLE) -> NDArray[np.int64]:
    """(B, L) ids, padded with PAD, L a multiple of ``multiple``."""
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
