"""The decompressed bytes of a file, or of a member of a zip archive. Knows compression; knows no lines.

The ending of a name says how a file is packed: ``.gz``, ``.bz2``, ``.xz`` or ``.zst``. Nothing is ever unpacked to a
path. ``.zst`` needs Python 3.14 or the extra ``zst``, whose reader is the standard library's own and so refuses a file
that is cut short; the package ``zstandard`` gives the first part of one without an error.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast
from zipfile import BadZipFile, ZipFile

from seq2seq.errors import UserError, nearest_file
from seq2seq.system.files import refuse_too_many_open

PACKED = (".gz", ".bz2", ".xz", ".zst")
DESCRIPTORS = re.compile(r"/dev/fd|/proc/[0-9]+/fd")  # folders of the files that a process has open
MEMBERS = 1_000  # of an archive
ENCRYPTED = 1  # bit of a member's flags
DAMAGED: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    BadZipFile,
    NotImplementedError,
    UnicodeDecodeError,
)
"""What the readers of packed files raise; the last two: a zip that is packed in a way of its own, names in a zip."""


class Member(NamedTuple):
    """A file inside a zip archive."""

    archive: str
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


Place = str | Member


def is_regular(path: str) -> bool:
    """Whether a file can be read more than once. False: it is a pipe that the shell has opened, as for ``<(…)``.

    Raises:
        UserError: there is no such file; or it is a folder, a device, or a named pipe, which waits for a writer.
    """
    place = Path(path).expanduser()
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        refuse_too_many_open(path, error)
        there = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        missing = "" if place.parent.is_dir() else f" (nor a folder {place.parent})"
        raise UserError(f"{path}: no such file{missing}{nearest_file(place.name, there)}") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder: name a file in it")
    opened = stat.S_ISFIFO(mode) and (path == "/dev/stdin" or DESCRIPTORS.fullmatch(str(place.parent.resolve())))
    if not (stat.S_ISREG(mode) or opened):
        raise UserError(
            f"{path}: not a regular file: write it to one first, or let the shell open it: <(cat FILE), "
            "or /dev/stdin for standard input"
        )
    return not opened


@contextmanager
def opened(place: Place, once: bool = False) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; ``once`` it may be a pipe. ``UserError`` for every failure to read them."""
    if isinstance(place, Member):
        with _zip(place.archive) as archive, _readable(place), archive.open(place.name) as member:
            yield cast(BinaryIO, member)
        return
    if not (is_regular(place) or once):
        raise UserError(f"{place}: a pipe, but a corpus is read several times: write it to a file first")
    path = Path(place).expanduser()
    zstd = _zstd(place) if path.suffix == ".zst" else None
    with _readable(place, *([zstd.ZstdError] if zstd else [])):
        readers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
        if zstd:
            readers[".zst"] = zstd.open
        with readers[path.suffix](path) if path.suffix in readers else path.open("rb") as stream:
            yield stream


def members(archive: str) -> list[str]:
    """The names of the files in a zip archive.

    Raises:
        UserError: it cannot be read, has more than ``MEMBERS`` files, one that is encrypted, or one whose path is
            absolute or leads out of a folder: only a broken or a hostile archive has such a path.
    """
    if not is_regular(archive):
        raise UserError(f"{archive}: a pipe, but an archive is read from its end: write it to a file first")
    with _zip(archive) as opened_archive:
        found = [member for member in opened_archive.infolist() if not member.is_dir()]
    if len(found) > MEMBERS:
        raise UserError(f"{archive}: more than {MEMBERS:,} files: pack only the two of the corpus")
    for member in found:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.filename):
            raise UserError(f"{archive}: holds a file {member.filename}, a path that leads elsewhere: pack it anew")
        if member.flag_bits & ENCRYPTED:
            raise UserError(f"{archive}: {member.filename} is encrypted: pack it anew without a password")
    return [member.filename for member in found]


@contextmanager
def _zip(path: str) -> Iterator[ZipFile]:
    with _readable(path):
        archive = ZipFile(Path(path).expanduser())
    with archive:
        yield archive


@contextmanager
def _readable(place: Place, *more: type[Exception]) -> Iterator[None]:
    """Raise ``UserError`` for what the block raises when it cannot read."""
    damaged = (*DAMAGED, *more)
    try:
        yield
    except damaged as error:
        refuse_too_many_open(str(place), error)
        raise UserError(f"{place} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _zstd(path: str) -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise UserError(f"{path}: .zst needs a package more: pip install 'seq2seq-trainer[zst]'") from error
    return zstd
