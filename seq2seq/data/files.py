"""Reads files of parallel text: text pairs and TSV line by line; checks the columns of CSV and JSON lines.

Knows bytes, lines and columns; knows nothing of splits. A line ends at ``\\n`` alone. Other readers also split at
U+2028, U+0085, ``\\x0b`` or a lone ``\\r``, which misaligns parallel files without an error. One ``\\r`` before the end
of a line is dropped, as is a byte order mark at the start of a file. All files are UTF-8; ``streams`` unpacks them.

``lines`` alone reads once, so it alone takes a pipe; a corpus is read several times, and has to be regular files.
"""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import io
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from seq2seq.data.streams import Place, opened
from seq2seq.errors import UserError
from seq2seq.system.files import is_there

Pair = tuple[str, str]
Measure = Callable[[Place], tuple[int, str]]
CHUNK = 1 << 20
LONGEST_LINE = 1 << 24
"""Bytes of a line, more than a ``CHUNK``. A longer one is refused before it fills the memory."""
DECODER = codecs.getincrementaldecoder("utf-8")
DEEPEST = 16  # lists and objects in each other, in a line of JSON
COLUMNS = 1_000  # of a table, with those inside objects
STRINGS, BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"'), re.compile(r"[][{}]")  # of JSON


@dataclass(frozen=True)
class Part:
    """The pairs of one file, of two text files, or of one split of a hub repository."""

    where: str  # for messages
    size: int
    identity: str  # of the text and of the columns that are read
    pairs: Callable[[], Iterator[Pair]]  # each call starts at the first
    members: tuple[Part, ...] = ()  # the parts that it is made of, if there are several
    commit: str | None = None  # of the repository of the hub that it was read from


def matching(files: str | list[str], key: str) -> list[str]:
    """The paths that ``files`` names: each is a path, or a pattern (``*``, ``?``, ``[…]``, ``**``), its files sorted.

    Raises:
        UserError: nothing fits a pattern, which stands under ``key``.
    """
    found: list[str] = []
    for each in [files] if isinstance(files, str) else files:
        path = str(Path(each).expanduser())
        if is_there(path) or not glob.has_magic(path):  # a file may be called corpus[de].txt
            found.append(each)
            continue
        there = next((parent for parent in Path(path).parents if is_there(str(parent))), Path())  # it may hold brackets
        pattern = str(Path(glob.escape(str(there))) / Path(path).relative_to(there))
        fitting = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())  # noqa: PTH207
        if not fitting:
            raise UserError(f"{key}={each}: no file fits this pattern: check the folder and the name")
        found += fitting
    return found


def _not_utf8(where: str, line: int, error: UnicodeDecodeError) -> UserError:
    byte = error.object[error.start]
    return UserError(f"{where}:{line}: not UTF-8 (byte 0x{byte:02x}): convert the file to UTF-8")


def _too_long(where: str, line: int) -> UserError:
    return UserError(f"{where}:{line}: the line is longer than {LONGEST_LINE:,} bytes: split it, or leave it out")


def measure(path: Place, text: bool = True, cut: bool = False) -> tuple[int, str]:
    """The number of lines and the SHA-256 of a file, decompressed; with ``text``, a check that it is UTF-8.

    Raises:
        UserError: the file cannot be read, is empty, is not UTF-8, or has a line of more than ``LONGEST_LINE`` bytes,
            unless ``cut`` says that it will be read as in ``lines``.
    """
    decoder = DECODER()
    digest = hashlib.sha256()
    count, last, begun = 0, b"\n", 0  # begun: bytes so far of a line that has not ended
    with opened(path) as stream:
        while True:
            chunk = stream.read(CHUNK)
            try:
                if text:
                    decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise _not_utf8(str(path), count + error.object[: error.start].count(b"\n") + 1, error) from error
            if not chunk:
                break
            digest.update(chunk)
            ends = chunk.count(b"\n")
            if text and not cut and begun + (chunk.find(b"\n") if ends else len(chunk)) > LONGEST_LINE:
                raise _too_long(str(path), count + 1)
            begun = len(chunk) - chunk.rfind(b"\n") - 1 if ends else begun + len(chunk)
            count += ends
            last = chunk
    count += not last.endswith(b"\n")
    if not count:
        raise UserError(f"{path} is an empty corpus: it holds no pairs")
    return count, digest.hexdigest()


def lines(path: Place, cut: bool = False) -> Iterator[str]:
    """The lines of a file or of a pipe, without their line ends.

    Args:
        cut: of a line of more than ``LONGEST_LINE`` bytes give the first, instead of refusing it.

    Raises:
        UserError: it cannot be read, a line is not UTF-8, or it is too long.
    """
    with opened(path, once=True) as stream:
        yield from lines_of(stream, str(path), cut=True) if cut else _whole_lines(stream, str(path))


def _whole_lines(stream: BinaryIO, where: str) -> Iterator[str]:
    """As ``lines_of``, some times faster: a ``CHUNK`` is decoded and split at once."""
    number, left = 1, b""
    while chunk := stream.read(CHUNK):
        whole, end, rest = chunk.rpartition(b"\n")
        if not end:
            left += rest
            if len(left) > LONGEST_LINE:
                raise _too_long(where, number)
            continue
        found = _split(left + whole + end, where, number)
        left, number = rest, number + len(found)
        yield from found
    if left:
        yield from _split(left, where, number)


def _split(block: bytes, where: str, number: int) -> list[str]:
    """The lines of a block that begins with line ``number``."""
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        at = number + block.count(b"\n", 0, error.start)
        raise _not_utf8(where, at, error) from error
    found = text.removesuffix("\n").split("\n")
    if "\r" in text:
        found = [line.removesuffix("\r") for line in found]
    if number == 1:
        found[0] = found[0].removeprefix("\ufeff")
    if len(block) > LONGEST_LINE:
        for place, each in enumerate(found):
            if len(each.encode()) > LONGEST_LINE:
                raise _too_long(where, number + place)
    return found


class Readable(Protocol):
    """What lines are read from: an open file, or what arrives in one."""

    def readline(self, limit: int, /) -> bytes:
        """A line with its end, or so many bytes of it; nothing at the end."""


def lines_of(stream: Readable, where: str, cut: bool = False) -> Iterator[str]:
    """The lines of an open file that is called ``where``, as ``lines`` reads them, with its errors."""
    for number in itertools.count(1):
        line = stream.readline(LONGEST_LINE + 1)
        if not line:
            return
        whole = len(line) <= LONGEST_LINE or line.endswith(b"\n")
        if not (whole or cut):
            raise _too_long(where, number)
        try:  # a character that is cut in two is left out
            text = DECODER().decode(line.removesuffix(b"\n").removesuffix(b"\r"), final=whole)
        except UnicodeDecodeError as error:
            raise _not_utf8(where, number, error) from error
        yield text.removeprefix("\ufeff") if number == 1 else text
        while not whole:
            rest = stream.readline(CHUNK)
            whole = not rest or rest.endswith(b"\n")


def all_lines(path: str, others: Sequence[str] | None = None, where: str = "") -> list[str]:
    """All lines of a file or of a pipe, one for each of the ``others``, which stand in ``where``.

    Raises:
        UserError: as ``lines``; there is no line, or another number of them than of ``others``.
    """
    found = list(lines(path))
    if not found:
        raise UserError(f"{path} is an empty corpus: it holds no lines")
    if others is not None and len(found) != len(others):
        raise UserError(f"{path} has {len(found):,} lines but {where} has {len(others):,}: give a line for each")
    return found


def text_files(src: Place, tgt: Place, measured: Measure = measure) -> Part:
    """Two text files: line N of one is the translation of line N of the other.

    Raises:
        UserError: a file cannot be read, or they have different numbers of lines.
    """
    (size, src_hash), (tgt_size, tgt_hash) = measured(src), measured(tgt)
    if size != tgt_size:
        raise UserError(f"{src} has {size:,} lines but {tgt} has {tgt_size:,}: a pair needs a line in each")

    where = f"{src} + {tgt}"

    def pairs() -> Iterator[Pair]:
        return unchanged(zip(lines(src), lines(tgt), strict=True), size, where)

    return Part(where, size, f"text/{src_hash}/{tgt_hash}", pairs)


def unchanged(pairs: Iterable[Pair], size: int, where: str) -> Iterator[Pair]:
    """The pairs of a file that had ``size`` of them when it was measured.

    Raises:
        UserError: it has another number of them now.
    """
    try:
        for _, pair in zip(range(size), pairs, strict=True):
            yield pair
    except ValueError as error:
        raise UserError(f"{where} changed while it was read: start the same command again") from error


def tabbed_file(path: str, src_column: str | None, tgt_column: str | None, measured: Measure = measure) -> Part:
    """A TSV file, in which quotes have no special meaning.

    A column is given by its number, from 1, or by its name, if the first line names the columns.
    """
    count, digest = measured(path)
    names = [src_column or "1", tgt_column or "2"]
    header = not all(name.isdecimal() for name in names)
    first = next(lines(path), "").split("\t") if header else []
    places = []
    for name, key in zip(names, ("src_column", "tgt_column"), strict=True):
        if name in first:
            places.append(first.index(name))
        elif name.isdecimal() and (number := int(name.lstrip("0")[:9] or 0)):  # more columns are in no line
            places.append(number - 1)
        elif name.isdecimal():
            raise UserError(f"data.{key}={name} is no column: columns count from 1")
        else:
            raise UserError(f"{path} has no column {name}; its first line names {', '.join(first)}: set data.{key}")
    src, tgt = places
    if src == tgt:
        raise UserError(f"{path}: both sides are column {names[0]}: set data.src_column and data.tgt_column")

    last = max(places)

    def rows() -> Iterator[Pair]:
        for number, line in enumerate(lines(path), start=1):
            if header and number == 1:
                continue
            cells = line.split("\t")
            if len(cells) <= last:
                raise UserError(
                    f"{path}:{number}: {len(cells)} columns where at least {last + 1} are needed: "
                    "mend the line, or set data.src_column and data.tgt_column"
                )
            yield cells[src], cells[tgt]

    size = count - header
    return Part(path, size, f"tsv/{digest}/{places}/{header}", lambda: unchanged(rows(), size, path))


def check_csv(path: str) -> tuple[list[str], int]:
    """The column names and the number of rows of a CSV file.

    ``datasets`` (pandas) pads short rows with empty text, and shifts the columns if every row has one cell too many, as
    with unquoted commas, both without an error.

    Raises:
        UserError: a row has another number of cells than the header, a column name is repeated, or there are no rows.
    """
    rows, line = 0, 1
    with opened(path) as stream:
        reader = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", newline=""), strict=True)
        try:
            names = [name or f"column {place}" for place, name in enumerate(next(reader, []), start=1)]
            line = reader.line_num + 1
            for row in reader:
                if row and len(row) != len(names):
                    raise UserError(
                        f"{path}:{line}: {len(row)} cells under {len(names)} column names: quote what holds commas"
                    )
                rows += bool(row)
                line = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{path}:{line}: {error}: mend the quotes") from error
    _check_columns(path, names)
    if len(set(names)) < len(names):
        raise UserError(f"{path}:1: two columns have one name: rename one of them")
    if not rows:
        raise UserError(f"{path} is an empty corpus: it holds no pairs")
    return names, rows


def check_jsonl(path: str) -> None:
    """Check that each line of a file is a JSON object of a structure that the reader of tables can take.

    That reader goes on over line ends and descends into whatever is nested, without a limit of its own.

    Raises:
        UserError: a line is no whole object or nested more than ``DEEPEST`` levels deep, or there are too many columns.
    """
    columns: set[str] = set()
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        if line.count("[") + line.count("{") > DEEPEST:  # of which some may stand in the text
            depth = itertools.accumulate(1 if sign in "[{" else -1 for sign in BRACKETS.findall(STRINGS.sub("", line)))
            if max(depth, default=0) > DEEPEST:
                raise UserError(f"{path}:{number}: nested more than {DEEPEST} levels deep: leave out what is no text")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read as jsonl: line {number}: {error}") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: not a JSON object: each line must be one, with a text for each language")
        columns.update(_columns(row))
        _check_columns(path, columns)


def _columns(value: Any, above: str = "") -> Iterator[str]:
    """The names of the columns that an object has, those inside other objects included."""
    if isinstance(value, list):
        for each in value:
            yield from _columns(each, above)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield f"{above}{name}"
            if not isinstance(inner, str):
                yield from _columns(inner, f"{above}{name}.")


def _check_columns(path: str, names: Collection[str]) -> None:
    if len(names) > COLUMNS:
        raise UserError(f"{path}: more than {COLUMNS:,} columns: keep the two with the text")
