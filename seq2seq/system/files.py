"""Writing that is all or nothing. Knows bytes and paths; nothing of what they hold."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seq2seq.errors import UserError


@contextmanager
def os_errors_as_user_errors(path: Path) -> Iterator[None]:
    """Turn what an operating system can answer to a write into one line for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(f"{path}: the disk is full: free some space and start the same command again") from error
        raise UserError(f"{path}: cannot be written ({error.strerror or error}): choose another place") from error


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace ``path`` by ``content`` at once: a reader, or a power cut, sees the old file or the new one.

    A device or a pipe, such as /dev/stdout, is not replaced but written to.

    Raises:
        UserError: the disk is full or the folder cannot be written; nothing half-written is left.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with os_errors_as_user_errors(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(data)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write plain data for people and machines to read."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read plain data. Raises ``UserError`` where the file is missing or damaged, saying ``what`` it should be."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: no {what} there ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not a whole {what} ({error})") from error
