"""What a study measures once of its test against its training text, kept beside one run.

Knows where a run keeps a record, its training text, and which of it is trained on; not what is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import compress, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seq2seq.config.schema import Config, DataConfig
from seq2seq.data import filters
from seq2seq.data.encoding import ChunkEncoder
from seq2seq.data.files import Pair
from seq2seq.data.preparing import CHUNK, chunks, dtype_of
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.runs.loading import corpus_of
from seq2seq.runs.run import Run
from seq2seq.system.files import to_json, write_atomically
from seq2seq.system.typed_json import read_record

MOST = 1_000_000  # training pairs that are read: each takes some ten microseconds
Record = TypeVar("Record", bound=Mapping[str, object])


def kept(run: Run, name: str, kind: type[Record], identity: list[Any], measure: Callable[[str], Record]) -> Record:
    """The record ``measurements/<name>.json`` of a run, made anew where what it was made from has changed.

    Args:
        identity: the version of the measurement, and all that it depends on but the training text, as plain data.
        measure: from the record's ``origin`` to the record.
    """
    file = run.folder / "measurements" / f"{name}.json"
    whole = json.dumps([*identity, run.load_fingerprint()["data"]])
    origin = hashlib.sha256(whole.encode()).hexdigest()
    with suppress(UserError):
        found = read_record(file, kind, "measurement", "remove it, and it is made again")
        if found["origin"] == origin:
            return found
    record = measure(origin)
    with suppress(UserError):  # a folder that is only read
        write_atomically(file, f"{to_json(record, separators=(',', ':'))}\n")
    return record


class TrainingText:
    """One side of the first ``MOST`` training pairs, read once.

    Attributes:
        read: how many pairs have been read.
    """

    def __init__(self, config: Config, side: int, most: int = MOST) -> None:
        """Open the text of a run's config. Raises ``UserError``: it is not there, or may not be read."""
        self._pairs = corpus_of(config, "train").pairs("train")
        self._side, self._most, self.read = side, most, 0
        self._sample = config.data.hub.sample if config.data.is_streamed else None

    def __iter__(self) -> Iterator[str]:
        return (pair[self._side] for pair in self.pairs())

    def pairs(self) -> Iterator[Pair]:
        """Both sides, in place of the one."""
        for pair in islice(self._pairs, self._most):
            self.read += 1
            yield pair

    @property
    def cut(self) -> bool:
        """Whether there are more pairs than were read; asked after the last. Of a stream only a sample is at hand."""
        of_stream = self._sample is not None and self.read >= self._sample
        return of_stream or next(self._pairs, None) is not None


def filtered(
    pairs: Iterable[Pair], data: DataConfig, subwords: Subwords
) -> Iterator[tuple[list[Pair], NDArray[np.int64]]]:
    """The pairs that no filter drops, and their tokens on either side (N, 2), so many pairs at a time."""
    encoder = ChunkEncoder(subwords.models, dtype_of(subwords), data.filters)
    for chunk in chunks(filters.drop_empty_and_duplicates(pairs, data.filters, Counter()), CHUNK):
        encoded = encoder.encode(list(zip(*chunk, strict=True)))
        yield list(compress(chunk, encoded.kept.tolist())), np.stack(encoded.lengths, 1).astype(np.int64)
