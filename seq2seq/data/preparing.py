"""Text to ids on disk: subwords are learned, then the splits are encoded, by all cores and in parts that are kept.

Knows sources, filters and subwords, and the files of a prepared corpus; ``encoded`` opens what is written here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from seq2seq.config.schema import DataConfig
from seq2seq.data import filters, jobs, parts, subwords
from seq2seq.data.encoding import Encoded
from seq2seq.data.files import Pair
from seq2seq.data.parts import Journal
from seq2seq.data.ragged import RaggedWriter, paths_of
from seq2seq.data.sources import SPLITS, TextCorpus
from seq2seq.data.subwords import Subwords
from seq2seq.data.workers import Frame, workers
from seq2seq.errors import UserError
from seq2seq.system.files import write_atomically, write_json
from seq2seq.terminal.progress import progress

Item = TypeVar("Item")
CHUNK = 10_000  # pairs encoded at once
PART = 10  # chunks between two lines of the journal
WORTH = 50_000  # pairs for which further processes are started
SIDES = ("src", "tgt")
MARK = "subwords.sha256"  # says that the subwords are whole


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


@dataclass
class Tally:
    """What is counted while a split is encoded."""

    read: int = 0
    kept: int = 0
    tokens: int = 0
    overlap: int = 0
    known: list[int] = field(default_factory=list)  # keys of the held-out pairs that occur in train
    dropped: dict[str, int] = field(default_factory=dict)  # by the limits
    kept_of: dict[str, int] = field(default_factory=dict)  # by the number of the file

    def add(self, file: int, kept: int, dropped: Counter[str]) -> None:
        """Count a chunk of a training file."""
        self.kept_of[str(file)] = self.kept_of.get(str(file), 0) + kept
        self.dropped = dict(Counter(self.dropped) + dropped)


def dtype_of(vocabularies: Subwords) -> str:
    """The type of the ids on disk."""
    return "uint16" if max(vocabularies.sizes) <= 1 << 16 else "int32"


def keeps_text(data: DataConfig) -> bool:
    """Whether the text of training pairs is needed after they are encoded."""
    return data.subwords.sampling > 0 or data.joins_training


def size_of(source: TextCorpus, data: DataConfig) -> int:
    """The number of training pairs before any is dropped."""
    return min(sum(part.size for part in source.parts("train")), data.take or 1 << 62)


def processes_for(size: int, cores: int) -> int:
    """The processes that are worth their start."""
    return cores if size >= WORTH else 1


# ------------------------------------------------------------------------------------------------------- subwords


def learn(source: TextCorpus, data: DataConfig, cores: int) -> Subwords:
    """Subwords of the training split. Raises ``UserError`` where the text does not allow the vocabulary."""
    if data.subwords.type == "unigram":
        pairs = filters.drop_empty_and_duplicates(source.pairs("train"), data.filters, Counter())
        sample = subsample(pairs, data.subwords.training_pairs)
        _refuse_nothing(source, len(sample))
        return subwords.train((src for src, _ in sample), (tgt for _, tgt in sample), data.subwords)
    size, most = size_of(source, data), data.subwords.training_pairs
    step = stride(size, most)
    while True:
        counted, pairs_met = _count(source, data, step, processes_for(min(size, most), cores))
        _refuse_nothing(source, pairs_met)
        if stride(pairs_met, most) == step:
            return subwords.learn_counted(counted, data.subwords)
        step = stride(pairs_met, most)  # so many pairs are empty or repeated that more of the others are taken


def _refuse_nothing(source: TextCorpus, pairs: int) -> None:
    if not pairs:
        raise UserError(f"{source.describe('train')}: no pair is left to train on, every one has an empty side")


def _count(source: TextCorpus, data: DataConfig, step: int, processes: int) -> tuple[jobs.Counted, int]:
    """The words of every ``step``-th training pair that is not dropped, and the number of all such pairs."""
    met = 0

    def pairs() -> Iterator[Pair]:
        nonlocal met
        for pair in filters.drop_empty_and_duplicates(source.pairs("train"), data.filters, Counter()):
            met += 1
            yield pair

    def requests(done: Callable[[int], None]) -> Iterator[Frame]:
        told = 0
        for chunk in chunks(itertools.islice(pairs(), 0, None, step), CHUNK):
            yield _request(chunk)
            done(met - told)
            told = met

    with (
        progress("learning subwords", size_of(source, data)) as done,
        workers(jobs.__name__, jobs.job_of, jobs.counting(), processes) as crew,
    ):
        for _ in crew.map(requests(done)):
            pass
        return jobs.counted_by(crew.all(jobs.COUNTS), data.subwords.joint), met


def stride(pairs: int, most: int) -> int:
    """The smallest power of two such that at most ``most`` of so many pairs are taken, one in so many."""
    step = 1
    while -(-pairs // step) > most:
        step *= 2
    return step


def subsample(pairs: Iterable[Pair], most: int) -> list[Pair]:
    """At most ``most`` pairs, evenly spaced, from a stream of unknown length."""
    kept: list[Pair] = []
    step = 1
    for n, pair in enumerate(pairs):
        if n % step == 0:
            kept.append(pair)
            if len(kept) > most:
                kept, step = kept[::2], step * 2
    return kept


# --------------------------------------------------------------------------------------------------------- splits


def write(source: TextCorpus, data: DataConfig, folder: Path, taken: Subwords | None, cores: int) -> None:
    """Write a prepared corpus into ``folder``, or go on with what an earlier call has left there."""
    vocabularies, mark = taken or _learned_before(folder) or learn(source, data, cores), folder / MARK
    vocabularies.save(folder)
    write_atomically(mark, _hash(vocabularies))
    counts: dict[str, Any] = {"dtype": dtype_of(vocabularies)}
    counts["train"] = _write_train(source, data, folder, vocabularies, cores)
    for split in ("valid", "test"):
        counts[split] = _write_split(source, split, folder, vocabularies)
    for split in SPLITS:
        if counts[split]["kept"] == 0:
            raise UserError(f"{source.describe(split)}: no pair is left after filtering: see data.filters")
    write_json(folder / "counts.json", counts)
    for name in (MARK, parts.NAME):
        (folder / name).unlink()


def is_worth_keeping(folder: Path) -> bool:
    """Whether an interrupted preparation has come so far that going on saves time."""
    return (folder / parts.NAME).exists() and (folder / parts.NAME).stat().st_size > 0


def _hash(vocabularies: Subwords) -> str:
    return hashlib.sha256(b"".join(vocabularies.models)).hexdigest()


def _learned_before(folder: Path) -> Subwords | None:
    """The subwords that an earlier call has learned and saved."""
    try:
        found = Subwords.load(folder)
        return found if (folder / MARK).read_text(encoding="utf-8") == _hash(found) else None
    except (UserError, OSError, ValueError):
        return None


class _Writer:
    """The files of a split: ids of both sides, and their text if it is kept; counts what is written."""

    def __init__(self, folder: Path, split: str, dtype: str, keep_text: bool, journal: Journal | None = None) -> None:
        names = [(f"{split}.{side}", dtype) for side in SIDES]
        names += [(f"{split}.{side}.text", "uint8") for side in SIDES] if keep_text else []
        sizes = journal.open([paths_of(folder, *name) for name in names]) if journal else [(0, 0)] * len(names)
        self.files = [RaggedWriter(folder, *name, size) for name, size in zip(names, sizes, strict=True)]
        self.tally = Tally(**journal.last["counts"]) if journal else Tally()

    def write(self, chunk: Sequence[Pair], encoded: Encoded) -> list[Pair]:
        """Append the pairs of a chunk that are kept; returns them."""
        kept = list(itertools.compress(chunk, encoded.kept.tolist()))
        for file, lengths, ids in zip(self.files, encoded.lengths, encoded.ids, strict=False):
            file.append(lengths, ids)
        for side, file in enumerate(self.files[2:]):
            file.extend([pair[side].encode() for pair in kept])
        self.tally.read += len(chunk)
        self.tally.kept += len(kept)
        self.tally.tokens += int(encoded.lengths[1].sum())
        return kept

    def close(self) -> None:
        """Finish the files."""
        for file in self.files:
            file.close()


def _write_split(source: TextCorpus, split: str, folder: Path, vocabularies: Subwords) -> SplitCounts:
    """Encode validation or test, of which nothing is dropped."""
    writer = _Writer(folder, split, dtype_of(vocabularies), keep_text=True)
    job = jobs.job_of(jobs.encoding(vocabularies.models, dtype_of(vocabularies), None))
    for chunk in chunks(source.pairs(split), CHUNK):
        writer.write(chunk, jobs.encoded_by(job(_request(chunk))))
    writer.close()
    return SplitCounts(read=writer.tally.read, kept=writer.tally.kept, target_tokens=writer.tally.tokens)


def _write_train(source: TextCorpus, data: DataConfig, folder: Path, vocabularies: Subwords, cores: int) -> TrainCounts:
    """Encode the training split, which is filtered and compared with the held-out pairs."""
    dtype, size, dropped = dtype_of(vocabularies), size_of(source, data), Counter[str]()
    journal = Journal(folder)
    writer = _Writer(folder, "train", dtype, keeps_text(data), journal)
    held = _HeldOut(source)
    begun, sent = journal.last["chunks"], deque[tuple[int, list[Pair]]]()

    def requests() -> Iterator[Frame]:
        for number, (file, chunk) in enumerate(_chunks_of(source, data, dropped)):
            done(len(chunk))
            if number >= begun:  # what is before is in the files
                sent.append((file, chunk))
                yield _request(chunk)

    setup = jobs.encoding(vocabularies.models, dtype, data.filters)
    with (
        progress("encoding", size) as done,
        workers(jobs.__name__, jobs.job_of, setup, processes_for(size, cores)) as crew,
    ):
        for number, answer in enumerate(crew.map(requests()), start=begun + 1):
            (file, chunk), encoded = sent.popleft(), jobs.encoded_by(answer)
            kept = writer.write(chunk, encoded)
            held.count(kept, writer.tally)
            writer.tally.add(file, len(kept), encoded.dropped)
            if number % PART == 0:
                journal.add(number, [each.sizes() for each in writer.files], asdict(writer.tally))
    writer.close()
    return _train_counts(writer.tally, dropped, held, data)


def _train_counts(tally: Tally, dropped: Counter[str], held: _HeldOut, data: DataConfig) -> TrainCounts:
    dropped += Counter(tally.dropped)
    counts = TrainCounts(
        read=tally.read + dropped["empty"] + dropped["duplicate"],
        kept=tally.kept,
        target_tokens=tally.tokens,
        dropped={reason: dropped[reason] for reason in filters.REASONS},
        overlap=tally.overlap,
        valid_in_train=sum(held.keys["valid"][key] for key in tally.known),
        test_in_train=sum(held.keys["test"][key] for key in tally.known),
    )
    if data.weights:
        counts["files"] = [tally.kept_of.get(str(number), 0) for number in range(len(data.weights))]
    return counts


class _HeldOut:
    """The pairs of validation and test, which are looked for among the training pairs."""

    def __init__(self, source: TextCorpus) -> None:
        self.keys = {"valid": Counter[int](), "test": Counter[int]()}
        self.sources = set[str]()
        for split, keys in self.keys.items():
            for pair in source.unjoined(split):
                keys[filters.key(pair)] += 1
                self.sources.add(filters.plain(pair[0]))

    def count(self, pairs: Sequence[Pair], tally: Tally) -> None:
        """Count those among some training pairs."""
        alike = [pair for pair in pairs if filters.plain(pair[0]) in self.sources]  # faster than to hash all
        met = [key for key in map(filters.key, alike) if any(key in counted for counted in self.keys.values())]
        tally.overlap += len(met)
        tally.known = sorted({*tally.known, *met})


def _request(chunk: Sequence[Pair]) -> Frame:
    return [jobs.text_of(side) for side in zip(*chunk, strict=True)]


def _chunks_of(source: TextCorpus, data: DataConfig, dropped: Counter[str]) -> Iterator[tuple[int, list[Pair]]]:
    """Chunks of the training pairs that are not dropped, each with the number of its file where files are weighted."""
    seen = set[int]()
    for number, pairs in enumerate(source.training_files() if data.weights else [source.pairs("train")]):
        left = filters.drop_empty_and_duplicates(pairs, data.filters, dropped, seen)
        yield from ((number, chunk) for chunk in chunks(left, CHUNK))


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` consecutive items; the last list may be shorter."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
