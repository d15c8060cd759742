"""Batches of a corpus that is streamed: blocks of pairs are encoded, and each is planned as a shard of its own.

A batch is a pure function of the seed and of its place: the number of the block, the place in the stream where the
block begins, and the number of the batch in it. Knows ids and lengths; the stream knows the hub.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from seq2seq.config.schema import DataConfig
from seq2seq.data import filters
from seq2seq.data.batches import BatchStream, plan
from seq2seq.data.encoded import Corpus, Split
from seq2seq.data.encoding import ChunkEncoder
from seq2seq.data.files import Pair
from seq2seq.data.hub_stream import PairStream, open_rows
from seq2seq.data.joining import Rows, join_of
from seq2seq.data.preparing import dtype_of
from seq2seq.data.ragged import RaggedArray
from seq2seq.data.sampling import Segmenter, SubwordSampler
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError

CHUNKS = 32  # of the stream in a block, a thousand pairs each: what is shuffled, and sorted by length, at once
EMPTY = 100  # blocks in a row without a pair after which the stream is given up


def batches_of(
    data: DataConfig,
    corpus: Corpus,
    budget: int,
    seed: int,
    multiple: int,
    state: dict[str, int] | None = None,
    links: RaggedArray | None = None,
) -> BatchStream:
    """The batches of a training, from ``state`` on: of a prepared corpus, or of one that is streamed.

    Args:
        links: of the training pairs of a prepared corpus (``Split.links``).
    """
    if data.is_streamed:
        return StreamedBatches(data, corpus.subwords, budget, seed, multiple, state)
    join = join_of(data, [corpus.splits["valid"].lines(side) for side in (0, 1)]) if data.joins_training else None
    sampler: SubwordSampler | Segmenter | None = None
    if data.subwords.sampling:
        sampler = SubwordSampler(corpus.subwords, data.subwords)
    elif join and not join.by_ids:
        sampler = Segmenter(corpus.subwords)
    train = replace(corpus.splits["train"], links=links)
    return BatchStream(train, budget, seed, sampler, multiple, state, data.weights, join)


class StreamedBatches(BatchStream):
    """As ``BatchStream``, of pairs that are nowhere whole; ``epoch`` counts whole passes over them."""

    def __init__(
        self,
        data: DataConfig,
        subwords: Subwords,
        budget: int,
        seed: int,
        multiple: int,
        state: dict[str, int] | None = None,
    ) -> None:
        """Begin, or go on at ``state``.

        Args:
            budget: padded positions of a batch.

        Raises:
            UserError: the hub does not answer, no pair is kept, or a block has fewer batches than ``state`` says.
        """
        self.stream, self.data = PairStream(open_rows(data, ("train",))["train"]), data
        self.encoder = ChunkEncoder(subwords.models, dtype_of(subwords), data.filters)
        self.budget, self.seed, self.sampler, self.join = budget, seed, None, None
        place = {"part": 0, "batch": 0, "multiple": multiple} | (state or {})
        self.shard_number, self.batch_number, self.multiple = place["part"], place["batch"], place["multiple"]
        if state:
            self.stream.seek(state)
        self.planned = self.shard(self.shard_number)
        if self.batch_number > len(self.planned):  # earlier versions saved wrong places in runs that went on
            raise UserError(
                f"{self.stream.split.where}: the checkpoint is behind batch {self.batch_number} of a block that has "
                f"{len(self.planned)}, so its place in the stream is lost: start the run anew with overwrite=true"
            )

    def state(self) -> dict[str, int]:
        """The place behind the last batch."""
        return super().state() | self.begin

    @property
    def epoch(self) -> float:
        """Whole passes over the stream, up to where the block at hand begins."""
        return float(self.begin["pass"])

    def shard(self, number: int) -> list[Rows]:
        """The rows of each batch of the block that comes next in the stream."""
        for _ in range(EMPTY):
            self.begin = self.stream.place()
            pairs = self._read()
            kept = list(filters.drop_empty_and_duplicates(pairs, self.data.filters, Counter()))
            found = self.encoder.encode(list(zip(*kept, strict=True)) or [[], []])
            if found.kept.any():
                sides = [
                    RaggedArray.of(lengths, np.frombuffer(ids, self.encoder.dtype))
                    for lengths, ids in zip(found.lengths, found.ids, strict=True)
                ]
                self.split = Split(sides[0], sides[1], None)
                lengths = np.stack([side.lengths_of(np.arange(len(side))) for side in sides], 1)
                return plan(lengths, self.budget, self.seed, number, self.multiple)
        raise UserError(f"{self.stream.split.where}: no pair of the last {EMPTY} blocks is kept: see data.filters")

    def _read(self) -> list[Pair]:
        """The pairs of a block, which ends with the pass."""
        pairs: list[Pair] = []
        for _ in range(CHUNKS):
            chunk = self.stream.next()
            if not chunk:
                break
            pairs += chunk
        return pairs
