"""What a study measures once of its test against its training text, kept beside one run.

Knows where a run keeps a record, and its training text; not what is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from seq2seq.config.schema import Config
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
        self._lines = (pair[side] for pair in corpus_of(config, "train").pairs("train"))
        self._most, self.read = most, 0

    def __iter__(self) -> Iterator[str]:
        for line in islice(self._lines, self._most):
            self.read += 1
            yield line

    @property
    def cut(self) -> bool:
        """Whether there are more pairs than were read; asked after the last line."""
        return next(self._lines, None) is not None
