"""A repository of the hub that is read while training goes on, and never held whole (``data.hub.streaming``).

Validation and test are read whole; of the training split, the first ``data.hub.sample`` pairs are what subwords are
learned from. Nothing is shuffled here, since ``datasets`` loses the content of its buffer when a stream goes on in
another process; ``streamed`` shuffles. Knows ``datasets`` and columns; no ids and no batches.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.config.schema import DataConfig
from seq2seq.data import hub
from seq2seq.data.files import Pair, Part
from seq2seq.errors import Outage, UserError

Place = dict[str, int]
PREFIX = "stream"  # of the names of a state's numbers


class Rows(NamedTuple):
    """A split of a repository as ``datasets`` streams it."""

    rows: Any
    src: hub.Column
    tgt: hub.Column
    where: str
    identity: str
    commit: str | None = None

    def pairs(self) -> Iterator[Pair]:
        """All pairs, from the first."""
        return hub.pairs_of(self.rows, self.src, self.tgt, self.where)


class PairStream:
    """The pairs of a split again and again, a chunk at a time; goes on where another process has stopped."""

    def __init__(self, split: Rows) -> None:
        self.split, self.passes = split, 0
        self.rows = hub.of_columns(split.rows, split.src, split.tgt)
        self.begin = self.rows.state_dict()
        self.chunks = self._iterate()
        self._at: Place | None = self._place_of(self.begin)  # until a chunk is read from there

    def _iterate(self) -> Iterator[Any]:
        return iter(self.rows.iter(batch_size=hub.BATCH))

    def _place_of(self, state: dict[str, Any]) -> Place:
        return {"pass": self.passes, **dict(_numbers(state, PREFIX))}

    def seek(self, place: Place) -> None:
        """Go on at a ``place``, which may have keys of others. Raises ``UserError`` where the hub does not answer."""
        with _readable(self.split.where):
            next(self.chunks, None)  # from here on a state has all its parts
        state = _filled(self.rows.state_dict(), self.begin, place, PREFIX)
        self.passes = place["pass"]
        self._go_on(state, {key: place[key] for key in place if key == "pass" or key.startswith(f"{PREFIX}.")})

    def _go_on(self, state: dict[str, Any] | None, place: Place) -> None:
        """Read on from a state. ``datasets`` tells it as its own only after the next chunk, so its place is noted."""
        self.rows.load_state_dict(state)
        self.chunks, self._at = self._iterate(), place

    def place(self) -> Place:
        """The place behind the last chunk: numbers alone."""
        return self._place_of(self.rows.state_dict()) if self._at is None else dict(self._at)

    def next(self) -> list[Pair]:
        """The next pairs, at most ``hub.BATCH``; after the last of the split comes an empty list, then the first.

        Raises:
            UserError: the hub does not answer, or a row has no text.
        """
        split = self.split
        with _readable(split.where):
            batch = next(self.chunks, None)
        if batch is None:
            self.passes += 1
            self._go_on(self.begin, self._place_of(self.begin))
            return []
        self._at = None
        src, tgt = (hub.texts_of(batch, column, split.where, None) for column in (split.src, split.tgt))
        return list(zip(src, tgt, strict=True))


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Raise ``UserError`` for what ``datasets`` raises where the hub does not answer."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # their types change from release to release
        raise Outage(
            f"{where} cannot be read on ({hub.why(error)}): check the network and start the same command again"
        ) from error


def _numbers(state: dict[str, Any], name: str) -> Iterator[tuple[str, int]]:
    """The numbers of a nested state, by their names."""
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{name}.{key}")
        elif isinstance(value, int):
            yield f"{name}.{key}", int(value)


def _filled(state: dict[str, Any], begin: dict[str, Any] | None, place: Place, name: str) -> dict[str, Any] | None:
    """A state like this one with the numbers of a place; a part that has none there is as in the ``begin``ning."""
    if not any(key.startswith(f"{name}.") for key in place):
        return begin
    filled = dict[str, Any]()
    for key, value in state.items():
        inner = f"{name}.{key}"
        if isinstance(value, dict):
            filled[key] = _filled(value, (begin or {}).get(key), place, inner)
        else:
            filled[key] = type(value)(place[inner]) if inner in place else value
    return filled


def open_rows(data: DataConfig, wanted: Sequence[str]) -> dict[str, Rows]:
    """The ``wanted`` splits of the repository, streamed.

    Raises:
        UserError: the hub is out of reach, or has no such repository, split or column; an option needs a whole corpus.
    """
    _refuse(data)
    commit, where = hub.commit_of(data), hub.name_of(data.hub)
    loaded = hub.load(data.hub, commit, Path(data.cache) / "datasets", where)
    found = {}
    for split in wanted:
        name = data.split_options(split).split or hub.DEFAULT_SPLITS[split]
        if name not in loaded:
            raise UserError(
                f"{where} has no split {name}; it has {', '.join(loaded)}: set data.{split}.split (a stream has no "
                "rows to hold out)"
            )
        rows, identity = loaded[name], f"stream/{data.hub.repo}@{commit}/{data.hub.name}/{data.hub.data_dir}/{name}"
        src, tgt = hub.columns(rows, data, f"{where} {name}")
        found[split] = Rows(rows, src, tgt, f"{where} {name}", identity, commit)
    return found


def open_parts(data: DataConfig, wanted: Sequence[str]) -> dict[str, Part]:
    """The ``wanted`` splits: validation and test whole, and the first pairs of training."""
    parts = {}
    for split, rows in open_rows(data, wanted).items():
        most = data.hub.sample if split == "train" else None
        with _readable(rows.where):
            pairs = list(itertools.islice(rows.pairs(), most))
        identity = json.dumps([rows.identity, rows.src, rows.tgt, most])
        parts[split] = Part(rows.where, len(pairs), identity, pairs.__iter__, commit=rows.commit)
    return parts


def _refuse(data: DataConfig) -> None:
    given = {
        "data.weights": data.weights,
        "data.take": data.take,
        "data.filters.deduplicate": data.filters.deduplicate,
        "data.filters.drop": data.filters.drop,
        "data.subwords.sampling": data.subwords.sampling,
        "data.tests": data.tests,
    }
    for key, value in given.items():
        if value:
            raise UserError(f"{key}={value} needs a whole corpus: leave it out, or set data.hub.streaming=false")
