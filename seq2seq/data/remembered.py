"""What was once found in a large file, so that a file of gigabytes is not read again to learn that it is the same.

A file counts as the same while its path, size, inode and time of change are. Knows files only by these.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from seq2seq.errors import UserError
from seq2seq.system.files import write_json

LARGE = 1 << 26  # bytes; a smaller file is read again
SETTLED = 2.0  # seconds after a change in which another change might have the same time
T = TypeVar("T")


def remembered(path: Path, what: str, cache: Path, find: Callable[[], T]) -> T:
    """The result of ``find``, which is plain data and depends on nothing but the content of a file and on ``what``.

    Args:
        cache: the folder in which it is remembered.
    """
    path = path.expanduser()
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return find()  # whose error says more
    if stat.st_size < LARGE:
        return find()
    identity = [str(path.resolve()), stat.st_size, stat.st_ino, stat.st_mtime_ns, what]
    record = cache / "measured" / f"{hashlib.sha256(f'{identity[0]} {what}'.encode()).hexdigest()[:16]}.json"
    known = _read(record)
    if known and known[0] == identity:
        result: T = known[1]
        return result
    result = find()
    if time.time() - stat.st_mtime > SETTLED:
        with suppress(UserError):  # a cache that cannot be written costs only time
            write_json(record, [identity, result])
    return result


def _read(record: Path) -> list[Any] | None:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, list) and len(known) == 2 else None
