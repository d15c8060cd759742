"""Files and folders that are written as a whole or not at all. Knows bytes and paths; nothing of what they hold."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seq2seq.errors import Outage, UserError
from seq2seq.system.locks import lock

ADVICE = "choose another place"  # what a user can do where a path cannot be written
MORE_FILES = "too many files are open: allow more (ulimit -n 4096) and start the same command again"
LARGEST_JSON = 1 << 30  # bytes; the largest that is written holds attention maps and has some megabytes
UNFINISHED = ".seq2seq-unfinished"  # ends the names of files and folders that are being written


def is_there(path: str) -> bool:
    """Whether text is the path of something; text that cannot be a path at all, such as a long list, is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that is too long, a null byte
        return False


def refuse_too_many_open(path: Path | str, error: BaseException) -> None:
    """Raise ``Outage`` if ``error``, or one that it comes from, says that the process may open no more files.

    Nothing is wrong with ``path`` then, and advice about it would be wrong.
    """
    if _comes_from(error, errno.EMFILE, errno.ENFILE):
        raise Outage(f"{path}: {MORE_FILES}") from error


def refuse_full_disk(path: Path | str, error: BaseException) -> None:
    """Raise ``Outage`` if ``error``, or one that it comes from, says that the disk of ``path`` is full."""
    if _comes_from(error, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise Outage(f"{path}: the disk is full: free some space and start the same command again") from error


def _comes_from(error: BaseException | None, *numbers: int) -> bool:
    """Whether an exception is, or was raised in answer to, an ``OSError`` with one of these numbers."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in numbers:
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def os_errors_as_user_errors(path: Path, advice: str = ADVICE) -> Iterator[None]:
    """Raise ``UserError`` for an ``OSError`` of the block, which writes to ``path``; its line ends with ``advice``."""
    try:
        yield
    except OSError as error:
        refuse_full_disk(path, error)
        refuse_too_many_open(path, error)
        raise UserError(f"{path}: cannot be written ({error.strerror or error}): {advice}") from error


def write_atomically(path: Path, content: bytes | str, follow: bool = False) -> None:
    """Replace ``path`` by ``content`` at once: a reader, or a power cut, sees the old file or the new one.

    A device or a pipe is not replaced but written to, as is an open file by a name such as /dev/stdout.

    Args:
        follow: of a link, replace what it leads to, and leave its mode to the new file. For places that the user named:
            the folder of a run may come from a stranger, and a link in it is replaced, whatever it leads to.

    Raises:
        UserError: the disk is full or the folder cannot be written; nothing half-written is left.
    """
    data = content.encode() if isinstance(content, str) else content
    with os_errors_as_user_errors(path):
        if path.exists() and (_is_open_file(path) or not (path.is_file() or path.is_dir())):
            with path.open("ab") as file:  # beside what others have written to it
                file.write(data)
            return
        path = Path(os.path.realpath(path)) if follow else path
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path.parent)
        temporary, descriptor = _locked_file(path)
        try:
            if follow and path.exists():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)


def _is_open_file(path: Path) -> bool:
    """Whether the path names a file that a process has open, such as what standard output was redirected to."""
    first, second = (*path.absolute().parts[1:3], "", "")[:2]
    return first == "proc" or (
        first == "dev" and second in ("stdout", "stderr", "fd")
    )  # not /dev/shm, which holds files


def _locked_file(path: Path) -> tuple[Path, int]:
    """An empty file beside ``path``, and the descriptor of its lock."""
    while True:
        file = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{UNFINISHED}")
        descriptor = lock(file)
        if descriptor is not None:  # otherwise another process has taken it for an abandoned one, and removes it
            return file, descriptor


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed have left half-written in ``folder``; they hold no lock any more."""
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError, UserError):  # somebody else's, or just gone
            descriptor = lock(path, strictly=True, make=False)
            if descriptor is not None:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                os.close(descriptor)


@contextmanager
def new_folder(path: Path, shared: bool = False, advice: str = ADVICE) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that is renamed to ``path`` when the block ends without an exception.

    Other processes, and the disk after a power cut, have the whole folder or none. After an exception the temporary
    folder is removed, and so are the parents that were made for it.

    Args:
        path: the folder to make.
        shared: other processes may make the same content at the same time: the first of them to end is kept. Without
            it, it is an error that ``path`` exists.
        advice: what a user can do where the folder cannot be written.

    Raises:
        UserError: the disk is full, ``path`` cannot be written, or it exists.
    """
    with _folder_beside(path, advice) as temporary:
        yield temporary
        sync(temporary)
        temporary.chmod(0o755)  # until here nobody but the owner is allowed
        if not shared:
            refuse_existing(path, advice)
        try:
            temporary.rename(path)
        except OSError:
            if not (shared and path.is_dir()):
                raise


@contextmanager
def new_file(path: Path, advice: str = ADVICE) -> Iterator[Path]:
    """Yield a place for a file, in a folder of its own beside ``path``, from where it is renamed to ``path`` when the
    block ends without an exception. What else was put in that folder is removed with it; after an exception the parents
    that were made for it are removed, too.

    Raises:
        UserError: the disk is full, ``path`` cannot be written (known before the block begins), or it exists.
    """
    with _folder_beside(path, advice) as temporary:
        file = temporary / "file"
        yield file
        sync(temporary)
        refuse_existing(path, advice)
        file.rename(path)


@contextmanager
def _folder_beside(path: Path, advice: str) -> Iterator[Path]:
    """A folder that is removed, if it is still there, at the end; so are the parents of ``path`` that stay empty."""
    with os_errors_as_user_errors(path.parent, advice):
        made = [folder for folder in path.parents if not folder.exists()]  # the innermost first
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_unfinished(path.parent)
            temporary, descriptor = _locked_folder(path)
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
                os.close(descriptor)
        finally:
            for folder in made:
                with suppress(OSError):  # not empty: the folder has been made, or another process has begun one
                    folder.rmdir()


def _locked_folder(path: Path) -> tuple[Path, int]:
    """An empty folder beside ``path``, and the descriptor of its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(UNFINISHED, f".{path.name[:40]}.", path.parent))
        with suppress(FileNotFoundError):  # another process has taken it for an abandoned one
            descriptor = lock(folder, make=False)
            if descriptor is not None:
                return folder, descriptor


def refuse_existing(path: Path, advice: str = ADVICE) -> None:
    """Raise ``UserError`` if ``path`` exists; its line ends with ``advice``."""
    if path.exists() or path.is_symlink():
        raise UserError(f"{path} exists: remove it, or {advice}")


def sync(folder: Path) -> None:
    """Put the files of a folder on the disk."""
    for path in filter(Path.is_file, folder.rglob("*")):
        with path.open("r+b") as file:  # Windows syncs only writable files
            os.fsync(file.fileno())


def to_json(value: Any, **style: Any) -> str:
    """Plain data as JSON. JSON has no NaN and no infinity, and strict readers refuse a file for one: null instead."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, **style)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
        return json.dumps(finite, ensure_ascii=False, **style)


def write_json(path: Path, value: Any) -> None:
    """Write plain data for people and machines to read."""
    write_atomically(path, to_json(value, indent=2) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read plain data. Raises ``UserError`` where the file is missing or damaged, saying ``what`` it should be."""
    try:
        if path.is_file() and path.stat().st_size > LARGEST_JSON:
            raise UserError(f"{path}: not a {what}: it has more than {LARGEST_JSON >> 20} MiB")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise UserError(f"{path}: no {what} there ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a whole {what} ({error})") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
