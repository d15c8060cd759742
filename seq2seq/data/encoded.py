"""A corpus as ids on disk: prepared once, then memory-mapped. Knows sources, filters and subwords; no batches.

Each side of a split is a ragged array: all ids end to end in one file, and the offsets of the sentences in another.
The time to open it does not grow with the corpus. The folder's name is a hash of the text, filters and subwords.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from seq2seq.config.schema import DataConfig
from seq2seq.data import filters, subwords
from seq2seq.data.files import Pair
from seq2seq.data.sources import SPLITS, TextCorpus, open_source
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.system.files import new_folder, refuse_too_many_open, remove_unfinished, write_json
from seq2seq.system.typed_json import read_record

VERSION = 2  # of the files' layout; part of the folder's name
CHUNK = 10_000  # pairs encoded at once
SIDES = ("src", "tgt")


class SplitCounts(TypedDict):
    """Numbers of one split."""

    read: int  # pairs in the source
    kept: int
    target_tokens: int


class Files(TypedDict, total=False):
    """Numbers that are there where training files are weighted."""

    files: list[int]  # pairs kept of each


class TrainCounts(SplitCounts, Files):
    """Numbers of the training split, which is filtered and may contain held-out pairs."""

    dropped: dict[str, int]  # pairs by reason, see filters.REASONS
    overlap: int  # pairs that also occur in valid or test
    valid_in_train: int
    test_in_train: int


class Counts(TypedDict):
    """``counts.json`` of a prepared corpus."""

    dtype: str  # of the ids
    train: TrainCounts
    valid: SplitCounts
    test: SplitCounts


class RaggedArray:
    """Sequences of different lengths, stored end to end in one memory-mapped file: row n is an array of its own."""

    def __init__(self, folder: Path, name: str, dtype: str, size: int | None = None) -> None:
        """Open and check the files; ``size``: every value must be below it. Raises ``ValueError``, ``OSError``."""
        self.offsets: NDArray[np.int64] = np.load(folder / f"{name}.offsets.npy", mmap_mode="r")
        if self.offsets.dtype != np.int64 or self.offsets.ndim != 1 or not len(self.offsets) or self.offsets[0] != 0:
            raise ValueError(f"{name}.offsets.npy holds no offsets")
        if (self.offsets[1:] < self.offsets[:-1]).any():
            raise ValueError(f"{name}.offsets.npy holds offsets that fall")
        path = folder / f"{name}.{dtype}"
        empty = self.offsets[-1] == 0
        self.values: NDArray[Any] = np.zeros(0, dtype) if empty else np.memmap(path, dtype, mode="r")
        if len(self.values) != self.offsets[-1]:
            raise ValueError(f"{path.name} holds {len(self.values):,} values, not {self.offsets[-1]:,}")
        if size is not None and len(self.values) and not 0 <= self.values.min() <= self.values.max() < size:
            raise ValueError(f"{path.name} holds ids that the vocabulary does not have")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The lengths of the given rows, (N,), read from the offsets alone."""
        return self.offsets[rows + 1] - self.offsets[rows]


class RaggedWriter:
    """Writes the files of a ``RaggedArray``."""

    def __init__(self, folder: Path, name: str, dtype: str) -> None:
        self.path, self.dtype = folder / f"{name}.{dtype}", dtype
        self.offsets_path = folder / f"{name}.offsets.npy"
        self.file = self.path.open("wb")
        self.lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]

    def extend(self, sequences: Sequence[Sequence[int]] | Sequence[bytes]) -> None:
        """Append sequences."""
        self.lengths.append(np.fromiter(map(len, sequences), np.int64, len(sequences)))
        if self.dtype == "uint8":
            self.file.write(b"".join(map(bytes, sequences)))
        else:
            self.file.write(np.fromiter(itertools.chain.from_iterable(sequences), self.dtype).tobytes())

    def close(self) -> None:
        """Finish the file and write the offsets."""
        self.file.close()
        np.save(self.offsets_path, np.cumsum(np.concatenate(self.lengths)))


@dataclass(frozen=True)
class Split:
    """One split: ids of both sides, and their text unless it is a training split that is encoded only once."""

    src: RaggedArray
    tgt: RaggedArray
    text: tuple[RaggedArray, RaggedArray] | None
    files: tuple[int, ...] = ()
    """The number of pairs of each training file, where files are weighted; they follow each other."""

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


def prepare(data: DataConfig, taken: Subwords | None = None) -> Corpus:
    """Open the prepared corpus; prepare it first if its folder does not exist.

    Args:
        taken: subwords of another corpus (default: they are learned from this one).

    Raises:
        UserError: the source cannot be read, the vocabulary cannot be trained, or the folder cannot be written.
    """
    source = open_source(data)
    fingerprint = source.fingerprint()
    options: dict[str, Any] = {"filters": asdict(data.filters), "subwords": asdict(data.subwords), "version": VERSION}
    del options["filters"]["drop"]  # the fingerprint tells which pairs are left out
    # The probability of subword sampling changes nothing on disk; whether there is sampling decides if text is kept.
    options["subwords"]["sampling"] = data.subwords.sampling > 0
    del options["subwords"]["from_run"]
    if not data.subwords.keep:
        del options["subwords"]["keep"]  # as in corpora that were prepared before there was such an option
    if data.weights:
        options["files"] = True  # are counted
    if taken:
        options["taken"] = hashlib.sha256(b"".join(taken.models)).hexdigest()
    name = hashlib.sha256((fingerprint + json.dumps(options, sort_keys=True)).encode()).hexdigest()[:16]
    folder = Path(data.cache) / "prepared" / name
    remove_unfinished(folder.parent)
    if not folder.exists():
        with new_folder(folder, shared=True, advice="set data.cache to a folder that can be written") as temporary:
            _write(source, data, temporary, taken or _learn(source, data))
    try:
        return _open(folder, fingerprint)
    except (OSError, EOFError, ValueError, KeyError, UserError) as error:
        refuse_too_many_open(folder, error)
        raise UserError(
            f"{folder} is no whole prepared corpus ({error}): delete it and start the same command again"
        ) from error


def _open(folder: Path, fingerprint: str) -> Corpus:
    counts = read_record(folder / "counts.json", Counts, "prepared corpus", "it is not whole")
    subwords, splits = Subwords.load(folder), {}
    if counts["dtype"] != _dtype(subwords):
        raise ValueError(f"counts.json says {counts['dtype']}, not {_dtype(subwords)}")
    for split in SPLITS:
        sizes = zip(SIDES, subwords.sizes, strict=True)
        sides = [RaggedArray(folder, f"{split}.{side}", counts["dtype"], size) for side, size in sizes]
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


def _learn(source: TextCorpus, data: DataConfig) -> Subwords:
    """Subwords of the training split."""
    pairs = filters.drop_empty_and_duplicates(source.pairs("train"), data.filters, Counter())
    sample = subsample(pairs, data.subwords.training_pairs)
    if not sample:
        raise UserError(f"{source.describe('train')}: no pair is left to train on, every one has an empty side")
    return subwords.train((src for src, _ in sample), (tgt for _, tgt in sample), data.subwords)


def _write(source: TextCorpus, data: DataConfig, folder: Path, vocabularies: Subwords) -> None:
    held_out = {split: Counter(map(filters.key, source.pairs(split))) for split in ("valid", "test")}
    vocabularies.save(folder)
    counts: dict[str, Any] = {"dtype": _dtype(vocabularies)}
    for split in SPLITS:
        counts[split] = _write_split(source, split, data, vocabularies, folder, held_out)
        if counts[split]["kept"] == 0:
            raise UserError(f"{source.describe(split)}: no pair is left after filtering: see data.filters")
    write_json(folder / "counts.json", counts)


def _dtype(subwords: Subwords) -> str:
    return "uint16" if max(subwords.sizes) <= 1 << 16 else "int32"


def _write_split(
    source: TextCorpus, split: str, data: DataConfig, subwords: Subwords, folder: Path, held: dict[str, Counter[int]]
) -> SplitCounts | TrainCounts:
    """Encode one split and count its pairs. The training split alone is filtered, and compared with ``held``."""
    training = split == "train"
    dropped: Counter[str] = Counter()
    read = kept = overlap = tokens = 0
    known: set[int] = set()  # keys of the held-out pairs that occur in train
    writers = [RaggedWriter(folder, f"{split}.{side}", _dtype(subwords)) for side in SIDES]
    keep_text = not training or data.subwords.sampling > 0
    texts = [RaggedWriter(folder, f"{split}.{side}.text", "uint8") for side in SIDES] if keep_text else []
    kept_of: Counter[int] = Counter()  # by the number of the file
    for number, chunk in _chunks_of(source, split, data, dropped):
        ids = (subwords.encode_src([src for src, _ in chunk]), subwords.encode_tgt([tgt for _, tgt in chunk]))
        rows = list(range(len(chunk)))
        if training:
            rows = [row for row in rows if filters.within_limits(ids[0][row], ids[1][row], data.filters, dropped)]
            keys = [filters.key(chunk[row]) for row in rows]
            met = [key for key in keys if any(key in counted for counted in held.values())]
            overlap += len(met)
            known.update(met)
        for side in (0, 1):
            writers[side].extend([ids[side][row] for row in rows])
            if texts:
                texts[side].extend([chunk[row][side].encode() for row in rows])
        read += len(chunk)
        kept += len(rows)
        kept_of[number] += len(rows)
        tokens += sum(len(ids[1][row]) for row in rows)
    for writer in writers + texts:
        writer.close()
    read += dropped["empty"] + dropped["duplicate"]
    if not training:
        return SplitCounts(read=read, kept=kept, target_tokens=tokens)
    counts = TrainCounts(
        read=read,
        kept=kept,
        target_tokens=tokens,
        dropped={reason: dropped[reason] for reason in filters.REASONS},
        overlap=overlap,
        valid_in_train=sum(held["valid"][key] for key in known),
        test_in_train=sum(held["test"][key] for key in known),
    )
    if data.weights:
        counts["files"] = [kept_of[number] for number in range(len(data.weights))]
    return counts


def _chunks_of(
    source: TextCorpus, split: str, data: DataConfig, dropped: Counter[str]
) -> Iterator[tuple[int, list[Pair]]]:
    """Chunks of a split, each with the number of its file where files are weighted; training pairs are filtered."""
    training, seen = split == "train", set[int]()
    groups = source.training_files() if training and data.weights else [source.pairs(split)]
    for number, pairs in enumerate(groups):
        if training:
            pairs = filters.drop_empty_and_duplicates(pairs, data.filters, dropped, seen)
        yield from ((number, chunk) for chunk in chunks(pairs, CHUNK))


def chunks(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    """Lists of ``size`` consecutive pairs; the last list may be shorter."""
    iterator = iter(pairs)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def subsample(pairs: Iterable[Pair], most: int) -> list[Pair]:
    """At most ``most`` pairs, evenly spaced, from a stream of unknown length."""
    kept: list[Pair] = []
    stride = 1
    for n, pair in enumerate(pairs):
        if n % stride == 0:
            kept.append(pair)
            if len(kept) > most:
                kept, stride = kept[::2], stride * 2
    return kept
