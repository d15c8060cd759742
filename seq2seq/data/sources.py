"""Sources of parallel text: text files, zips, TMX, XLIFF, TSV, CSV, JSONL, Parquet, the hub, the embedded grammar.

Knows which pairs belong to which split, and yields their raw text in order. Knows no subwords and no batches, and
filters nothing: an empty line is an empty string. ``files`` reads text files and TSV, ``bilingual`` what says its own
languages, and ``hub`` all that goes through the library ``datasets``.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from seq2seq.config.schema import DataConfig
from seq2seq.data import bilingual, dropping, files, hub, hub_stream
from seq2seq.data.files import Measure, Pair, Part
from seq2seq.data.joining import VERSION as JOINING
from seq2seq.data.joining import joined_pairs
from seq2seq.data.remembered import remembered
from seq2seq.data.streams import Member, Place
from seq2seq.errors import UserError
from seq2seq.system.continued import one_at_a_time
from seq2seq.system.files import new_folder
from seq2seq.terminal.progress import progress

__all__ = ["SPLITS", "Pair", "TextCorpus", "open_source"]

OpenTexts = Callable[[Place, Place, Measure], Part]
ADVICE = "set data.cache to a folder that can be written"
SPLITS = ("train", "valid", "test")
SMALL_SHARE = 20  # of a text too small for ``data.holdout``, one pair of so many is held out for each split
SPLIT_KEYS = {"text": ("src", "tgt"), "hub": ("split",), "grammar": ()}  # all other sources: ("file",)


def open_source(data: DataConfig, split: str | None = None, open_texts: OpenTexts = files.text_files) -> TextCorpus:
    """Open the corpus that ``data`` names, and check every file, split and column in it.

    Args:
        split: the only one whose pairs will be asked for, or the name of a further test set: no file of another split
            is opened, except those that it is held out of.
        open_texts: what opens two text files.

    Raises:
        UserError: a file, split or column is missing, unreadable or empty, or the two sides differ in length.
    """
    given = [each for each in SPLITS if each == "train" or _is_given(data, each)]
    wanted = given if split is None else [split if split in (*given, *data.tests) else "train"]
    _check_keys(data, [*wanted, *data.tests] if split is None else wanted)
    if split is None:
        _check_columns(data)
    if data.source == "grammar":
        return _generate(data, SPLITS if split is None else (split,))
    if data.is_streamed:
        return TextCorpus(data, hub_stream.open_parts(data, SPLITS if split is None else (split,)))
    if data.source == "hub":
        tables = hub.open_repository(data, SPLITS if split is None else dict.fromkeys((*SPLITS, split)))
        return TextCorpus(data, tables, [each for each in SPLITS if each not in tables])
    held_out = [each for each in SPLITS if each not in given]
    return TextCorpus(
        data, {each: _read(data, each, open_texts) for each in wanted}, held_out if "train" in wanted else []
    )


class TextCorpus:
    """A corpus of one part for each split. Valid and test are held out of train if they have no part of their own.

    The held-out rows are drawn from a fixed sequence of hashes: they are spread over the whole file, the same on every
    machine, independent of ``take``, and belong to one split only.
    """

    def __init__(
        self,
        data: DataConfig,
        parts: Mapping[str, Part],
        missing: Sequence[str] = (),
        alignments: Mapping[str, Path] | None = None,
    ) -> None:
        """``missing``: the splits to be held out."""
        for part in parts.values():
            if not part.size:
                raise UserError(f"{part.where} is an empty corpus: it holds no pairs")
        if data.weights and "train" in parts:
            _check_weights(data.weights, parts["train"])
        self._parts = parts
        self.commit = next((part.commit for part in parts.values()), None)  # of a repository of the hub
        self._take, self._join = data.take, data.join
        self._alignments = alignments or {}
        self._held = _hold_out(parts["train"], missing, data.holdout) if missing else {}
        self._left_out = self._not_trained_on(data.filters.drop)
        told = {split: part.identity for split, part in parts.items()}
        whole: list[Any] = [told, data.take, data.holdout if missing else None]
        whole += [] if data.join is None else ["join", JOINING, data.join, data.join_training]
        whole += [] if data.filters.drop is None else ["drop", [sorted(numbers) for numbers in self._left_out]]
        self._fingerprint = hashlib.sha256(json.dumps(whole).encode()).hexdigest()

    def pairs(self, split: str) -> Iterator[Pair]:
        """The pairs of a split, in order; each call starts at the first.

        Where ``data.join`` is set, those of validation and test are joined, always alike; training pairs are joined in
        the stream of batches, and further test sets are not.
        """
        found = self.unjoined(split)
        return found if self._join is None or split not in SPLITS[1:] else joined_pairs(found, self._join, split)

    def unjoined(self, split: str) -> Iterator[Pair]:
        """The pairs of a split as the files have them."""
        if split in self._held:
            held = self._held[split]
            found = (pair for index, pair in enumerate(self._parts["train"].pairs()) if index in held)
            return itertools.islice(found, len(held))  # stops reading at the last
        if split != "train":
            return self._parts[split].pairs()
        return itertools.islice(itertools.chain.from_iterable(self.training_files()), self._take)

    def training_files(self) -> Iterator[Iterator[Pair]]:
        """The training pairs of each file, before the first so many are taken."""
        for part, out in zip(self.parts("train"), self._left_out, strict=True):
            yield (pair for index, pair in enumerate(part.pairs()) if index not in out)

    def _not_trained_on(self, drop: str | None) -> list[frozenset[int]]:
        """The indices, in each training file, of pairs that are held out or that the filter file names.

        What is held out is drawn before anything is left out, and is never left out itself: scores of trainings with
        and without the filter file are of the same test.
        """
        held, start = sorted(frozenset[int]().union(*self._held.values())), 0
        found, named = [], 0
        for part, numbers in zip(self.parts("train"), dropping.dropped(self.parts("train"), drop), strict=True):
            within = slice(bisect_left(held, start), bisect_left(held, start + part.size))
            own = frozenset(index - start for index in held[within])
            left_out = frozenset(number - 1 for number in numbers) - own
            named += len(left_out)
            found.append(own | left_out)
            start += part.size
        if drop is not None and found:
            print(f"{drop}: {named:,} training pairs are left out", file=sys.stderr)
        if found and start == sum(map(len, found)):
            raise UserError(f"data.filters.drop={drop} leaves no training pair: delete the lines of those to keep")
        return found

    def parts(self, split: str) -> tuple[Part, ...]:
        """The files that a split is made of; none if it is held out of another."""
        part = self._parts.get(split)
        return () if part is None else part.members or (part,)

    def fingerprint(self) -> str:
        """A hash of the text and of the options that it is read with."""
        return self._fingerprint

    def describe(self, split: str) -> str:
        """The files, repository or grammar that a split comes from, for messages."""
        if split in self._held:
            return f"{len(self._held[split]):,} pairs held out of {self._parts['train'].where}"
        return self._parts[split].where

    def alignment_file(self, split: str) -> Path | None:
        """The gold alignments of a split, a line for each pair in Pharaoh format; None if the corpus has none."""
        return self._alignments.get(split)


def _check_weights(weights: Sequence[float], train: Part) -> None:
    files = len(train.members or (train,))
    if len(weights) != files:
        raise UserError(
            f"data.weights={list(weights)} is {len(weights)} numbers, but the training text is {files} files or pairs "
            f"of files ({train.where}): give one for each, in their order"
        )


def _hold_out(train: Part, missing: Sequence[str], count: int) -> dict[str, frozenset[int]]:
    """The rows of each missing split: ``count``, or of a text of less than three times as many a twentieth."""
    if train.size < 3 * count * len(missing):
        asked, count = count, train.size // SMALL_SHARE
        keys = " and ".join(f"data.{split}" for split in missing)
        few = f"{train.where} has {train.size:,} pairs, too few to hold {asked:,} out for each of {keys}"
        if not count:
            raise UserError(f"{few}: give {keys}")
        _say_once(f"{few}: {count:,} are held out")
    order: dict[int, None] = {}
    for draw in itertools.count():
        if len(order) == count * len(missing):
            break
        order[int.from_bytes(hashlib.sha256(f"holdout {draw}".encode()).digest()[:8], "big") % train.size] = None
    drawn = iter(order)
    return {split: frozenset(itertools.islice(drawn, count)) for split in missing}


@functools.cache
def _say_once(line: str) -> None:
    """A note on stderr: one command may open a corpus several times."""
    print(line, file=sys.stderr)


def _check_keys(data: DataConfig, splits: Sequence[str]) -> None:
    """Refuse keys that the source does not read, and splits of which one side is missing."""
    for split in splits:
        place = data.key_of_split(split)
        given = asdict(data.split_options(split))
        both = data.source == "text" and _has_both_sides(given["file"])
        read = ("file",) if both else SPLIT_KEYS.get(data.source, ("file",))
        for key, value in given.items():
            if value is not None and key not in read:
                instead = " and ".join(f"{place}.{name}" for name in read)
                raise UserError(
                    f"{place}.{key}={value} is not read with "
                    + (f"{place}.file, which has both sides: " if both else f"data.source={data.source}: ")
                    + (f"give {instead}" if read else "leave it out")
                    + (f", or a file that ends with {bilingual.FORMATS}" if read == SPLIT_KEYS["text"] else "")
                )
        if data.source == "hub" and split not in data.tests:
            continue
        for key in read:
            if given[key] is None:
                what = "a split" if data.source == "hub" else "a file"
                raise UserError(f"{place}.{key} is not set: data.source={data.source} needs {what} there")
    if data.source == "grammar" and data.tests:
        raise UserError(
            f"data.tests.{next(iter(data.tests))}: the embedded corpus has no further test sets: leave it out"
        )


def _check_columns(data: DataConfig) -> None:
    """Refuse columns where nothing has any: in plain text and in the grammar. Codes in TMX and XLIFF are named so."""
    split_options = [data.split_options(split) for split in (*SPLITS, *data.tests)]
    has_columns = data.source != "grammar" and (data.source != "text" or any(each.file for each in split_options))
    for key, value in {"data.src_column": data.src_column, "data.tgt_column": data.tgt_column}.items():
        if value is not None and not has_columns:
            raise UserError(f"{key}={value} is not read with data.source={data.source}, which has none: leave it out")


def _has_both_sides(named: str | list[str] | None) -> bool:
    """Whether one of the files is of a format that holds both sides, in place of two text files."""
    given = [named] if isinstance(named, str) else named or []
    return any(bilingual.format_of(path) is not None for path in given)


def _is_given(data: DataConfig, split: str) -> bool:
    return any(value is not None for value in asdict(data.split_options(split)).values())


def _read(data: DataConfig, split: str, open_texts: OpenTexts) -> Part:
    """The pairs of one split, of all its files in their order; of text files, those at one place belong together."""
    given, place = data.split_options(split), data.key_of_split(split)
    if data.source != "text":
        return _joined([_table(data, path) for path in files.matching(given.file, f"{place}.file")])
    if given.file is not None:
        found = files.matching(given.file, f"{place}.file")
        return _joined([bilingual.open_bilingual(path, data) for path in found])
    src, tgt = files.matching(given.src, f"{place}.src"), files.matching(given.tgt, f"{place}.tgt")
    if len(src) != len(tgt):
        raise UserError(
            f"{place}.src names {len(src):,} files ({src[0]}, …) but {place}.tgt {len(tgt):,} ({tgt[0]}, …): "
            "give as many of each, in the same order"
        )
    return _joined([open_texts(*pair, _measure(data)) for pair in zip(src, tgt, strict=True)])


def _joined(parts: Sequence[Part]) -> Part:
    """The pairs of several files, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Part(
        f"{parts[0].where} and {len(parts) - 1} more",
        sum(part.size for part in parts),
        json.dumps([part.identity for part in parts]),
        lambda: itertools.chain.from_iterable(part.pairs() for part in parts),
        tuple(parts),
    )


def _table(data: DataConfig, path: str) -> Part:
    if data.source == "tsv":
        return files.tabbed_file(path, data.src_column, data.tgt_column, _measure(data))
    cache, place = Path(data.cache), Path(path)
    _, digest = _measure(data, text=data.source != "parquet")(path)
    names, rows = remembered(place, "csv", cache, lambda: files.check_csv(path)) if data.source == "csv" else ([], None)
    if data.source == "jsonl":
        remembered(place, "jsonl", cache, lambda: files.check_jsonl(path))
    table = hub.open_file(path, data, names, digest)
    if rows is not None and rows != table.size:
        raise UserError(f"{path} reads as {table.size:,} rows or as {rows:,}: mend its quotes and line ends")
    return table


def _measure(data: DataConfig, text: bool = True) -> files.Measure:
    """``files.measure``, which remembers what large files hold."""

    def measured(place: Place) -> tuple[int, str]:
        if isinstance(place, Member):
            return files.measure(place, text)
        count, digest = remembered(Path(place), f"text={text}", Path(data.cache), lambda: files.measure(place, text))
        return count, digest

    return measured


def _generate(data: DataConfig, wanted: Sequence[str]) -> TextCorpus:
    """Splits of the embedded corpus, which is generated into the cache once and read from there as text files."""
    from seq2seq import grammar

    languages = data.codes
    if set(languages) != {"en", "de"}:
        raise UserError(
            f"data.src={languages[0]} data.tgt={languages[1]}: the embedded corpus is English and German: "
            "set en and de, or another data.source"
        )
    options = asdict(data.grammar)
    sizes = {name: value for name, value in options.items() if name != "version"}  # which the fingerprint tells
    if data.grammar.exponent is None:
        del sizes["exponent"]  # as in corpora that were generated before there was such an option
    deciding = [grammar.fingerprint(data.grammar.version), sizes]
    identity = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    folder = Path(data.cache) / "embedded" / identity[:12]
    if not folder.is_dir():
        with one_at_a_time(folder, ADVICE):
            _generate_into(folder, options)
    ending = "align" if languages[0] == "en" else "align.de-en"
    parts: dict[str, Part] = {}
    for split in wanted:
        src, tgt = (str(folder / f"{split}.{language}") for language in languages)
        # Grammar and options determine the text, so its identity needs no hash of the files.
        part = replace(
            files.text_files(src, tgt, _measure(data)), identity="/".join(["grammar", identity, *map(str, languages)])
        )
        parts[split] = part
    return TextCorpus(data, parts, alignments={split: folder / f"{split}.{ending}" for split in wanted})


def _generate_into(folder: Path, options: dict[str, Any]) -> None:
    """Write the embedded corpus, unless another process has."""
    from seq2seq import grammar

    if folder.is_dir():
        return
    print(f"generating the embedded corpus ({options['pairs']:,} pairs) into {folder}", file=sys.stderr)
    with progress("generating sentences", options["pairs"] + options["valid"] + options["test"]) as done:
        corpus = grammar.corpus(**options, done=done)
    with new_folder(folder, shared=True, advice=ADVICE) as place:
        for split in SPLITS:
            _write(place / f"{split}.en", (pair.src for pair in corpus[split]))
            _write(place / f"{split}.de", (pair.tgt for pair in corpus[split]))
            links = [sorted(pair.alignment) for pair in corpus[split]]
            _write(place / f"{split}.align", (" ".join(f"{i}-{j}" for i, j in pair) for pair in links))
            _write(place / f"{split}.align.de-en", (" ".join(f"{j}-{i}" for i, j in pair) for pair in links))


def _write(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
