"""A corpus as ids on disk: prepared once, then memory-mapped. Knows sources, filters and subwords; no batches.

Each side of a split is a ragged array: all ids end to end in one file, and the offsets of the sentences in another.
The time to open it does not grow with the corpus. The folder's name is a hash of the text, filters and subwords.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seq2seq.config.schema import DataConfig
from seq2seq.data import preparing
from seq2seq.data.preparing import SIDES, Counts, dtype_of, keeps_text
from seq2seq.data.ragged import RaggedArray, all_below
from seq2seq.data.remembered import remembered
from seq2seq.data.sources import ADVICE, SPLITS, open_source
from seq2seq.data.subwords import Subwords
from seq2seq.data.workers import cores
from seq2seq.errors import UserError
from seq2seq.system.continued import continued_folder, one_at_a_time, remove_old
from seq2seq.system.files import new_folder, refuse_too_many_open, remove_unfinished
from seq2seq.system.typed_json import read_record

VERSION = 2  # of the files' layout; part of the folder's name


@dataclass(frozen=True)
class Split:
    """One split: ids of both sides, and their text unless it is a training split that has no more need of it."""

    src: RaggedArray
    tgt: RaggedArray
    text: tuple[RaggedArray, RaggedArray] | None
    files: tuple[int, ...] = ()
    """The number of pairs of each training file, where files are weighted; they follow each other."""
    links: RaggedArray | None = None
    """Linked tokens of each pair, where attention is guided: the places of target and source, one after the other."""

    def __len__(self) -> int:
        return len(self.src)

    def lines(self, side: int) -> list[str]:
        """The text of side 0 (source) or 1 (target), as the source of the corpus gave it."""
        return [self.line(side, row) for row in range(len(self))]

    def line(self, side: int, row: int) -> str:
        """One line of text."""
        assert self.text is not None
        return self.text[side][row].tobytes().decode()


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: the subwords, the encoded splits, and the counts of its pairs."""

    folder: Path
    subwords: Subwords
    splits: dict[str, Split]
    counts: Counts
    fingerprint: str
    commit: str | None = None
    """The commit of the repository of the hub that it was read from."""


def prepare(data: DataConfig, taken: Subwords | None = None, threads: int | None = None) -> Corpus:
    """Open the prepared corpus; prepare it first if its folder does not exist.

    Of several processes that ask for the same corpus one prepares it, and the others wait. What a preparation that was
    ended has left is checked, and gone on with.

    Args:
        taken: subwords of another corpus (default: they are learned from this one).
        threads: cores that are used at most (default: all).

    Raises:
        UserError: the source cannot be read, the vocabulary cannot be trained, or the folder cannot be written.
    """
    source = open_source(data)
    fingerprint = source.fingerprint()
    folder = Path(data.cache) / "prepared" / _name(data, fingerprint, taken)
    remove_unfinished(folder.parent)
    if not folder.exists():
        _make(folder, lambda work: preparing.write(source, data, work, taken, cores(threads)))
    try:
        return replace(_open(folder, fingerprint), commit=source.commit)
    except (OSError, EOFError, ValueError, KeyError, UserError) as error:
        refuse_too_many_open(folder, error)
        raise UserError(
            f"{folder} is no whole prepared corpus ({error}): delete it and start the same command again"
        ) from error


def _ids(folder: Path, name: str, dtype: str, size: int) -> RaggedArray:
    """The ids of one side, all of which must be below ``size``."""
    found = RaggedArray(folder, name, dtype)
    path = folder / f"{name}.{dtype}"
    if not remembered(path, f"below {size}", folder.parents[1], lambda: all_below(path, dtype, size)):
        raise ValueError(f"{path.name} holds ids that the vocabulary does not have")
    return found


def _name(data: DataConfig, fingerprint: str, taken: Subwords | None) -> str:
    """The name of the folder: a hash of all that decides what is in it."""
    options: dict[str, Any] = {"filters": asdict(data.filters), "subwords": asdict(data.subwords), "version": VERSION}
    del options["filters"]["drop"]  # the fingerprint tells which pairs are left out
    # The probability of subword sampling changes nothing on disk; what decides is whether text is kept.
    options["subwords"]["sampling"] = keeps_text(data)
    del options["subwords"]["from_run"]
    if not data.subwords.keep:
        del options["subwords"]["keep"]  # as in corpora that were prepared before there was such an option
    if data.weights:
        options["files"] = True  # are counted
    if taken:
        options["taken"] = hashlib.sha256(b"".join(taken.models)).hexdigest()
    return hashlib.sha256((fingerprint + json.dumps(options, sort_keys=True)).encode()).hexdigest()[:16]


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    """Make the folder, unless another process does."""
    with one_at_a_time(folder, ADVICE) as alone:
        if folder.exists():
            return
        remove_old(folder.parent)
        making = (
            continued_folder(folder, preparing.is_worth_keeping, ADVICE) if alone else new_folder(folder, True, ADVICE)
        )
        with making as work:
            write(work)


def _open(folder: Path, fingerprint: str) -> Corpus:
    counts = read_record(folder / "counts.json", Counts, "prepared corpus", "it is not whole")
    subwords, splits = Subwords.load(folder), {}
    if counts["dtype"] != dtype_of(subwords):
        raise ValueError(f"counts.json says {counts['dtype']}, not {dtype_of(subwords)}")
    for split in SPLITS:
        sizes = zip(SIDES, subwords.sizes, strict=True)
        sides = [_ids(folder, f"{split}.{side}", counts["dtype"], size) for side, size in sizes]
        kept = {"train": counts["train"], "valid": counts["valid"], "test": counts["test"]}[split]["kept"]
        if {len(side) for side in sides} != {kept}:
            raise ValueError(f"{split} has not the {kept:,} pairs that counts.json says")
        has_text = split != "train" or (folder / f"{split}.src.text.offsets.npy").exists()
        text = [RaggedArray(folder, f"{split}.{side}.text", "uint8") for side in SIDES] if has_text else None
        if text and split != "train":
            for side in text:
                side.values.tobytes().decode()
        counted = tuple(counts["train"].get("files", ())) if split == "train" else ()
        if counted and (sum(counted) != kept or min(counted) < 0):
            raise ValueError(f"counts.json counts other than {kept:,} pairs in the training files")
        splits[split] = Split(sides[0], sides[1], (text[0], text[1]) if text else None, counted)
    return Corpus(folder, subwords, splits, counts, fingerprint)
