"""Folders that take long to make: one process at a time makes one, and another goes on where it was ended.

Knows paths and locks; nothing of what the folders hold.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seq2seq.errors import Outage, UserError
from seq2seq.system.files import ADVICE, os_errors_as_user_errors, sync
from seq2seq.system.locks import NO_LOCKS, lock

BEGUN, LOCK = ".begun", ".lock"  # end the names of a folder that is being made, and of the lock on it
PATIENCE = 0.2  # seconds between two looks at a lock
OLD = 7 * 24 * 3600.0  # seconds after which nobody is thought to go on with a folder


@contextmanager
def one_at_a_time(path: Path, advice: str = ADVICE) -> Iterator[bool]:
    """Wait until no other process makes ``path``. Yields False where nothing can be locked: others may make it too.

    Raises:
        UserError: the folder above cannot be written.
    """
    beside = path.with_name(f".{path.name}{LOCK}")
    with os_errors_as_user_errors(path.parent, advice):
        made = [folder for folder in path.parents if not folder.exists()]  # the innermost first
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _wait(beside, path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            beside.unlink(missing_ok=True)
            os.close(descriptor)
        for folder in made:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _wait(beside: Path, path: Path) -> int | None:
    said = False
    while True:
        try:
            descriptor = lock(beside, strictly=True)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return None
            raise
        if descriptor is not None:
            return descriptor
        if not said:
            print(f"waiting for another process that makes {path}", file=sys.stderr, flush=True)
            said = True
        time.sleep(PATIENCE)


@contextmanager
def continued_folder(path: Path, is_worth_keeping: Callable[[Path], bool], advice: str = ADVICE) -> Iterator[Path]:
    """Yield a folder, with all that an earlier process has left in it, that is renamed to ``path`` at the end.

    Nobody else may be making ``path`` (``one_at_a_time``). After an exception the folder stays if it
    ``is_worth_keeping``; after a ``UserError`` that would come again, which an ``Outage`` may not, it does not.
    """
    work = path.with_name(f".{path.name}{BEGUN}")
    with os_errors_as_user_errors(path.parent, advice):
        work.mkdir(parents=True, exist_ok=True)
        try:
            yield work
            sync(work)
            work.rename(path)
        except BaseException as error:
            comes_again = isinstance(error, UserError) and not isinstance(error, Outage)
            if comes_again or not is_worth_keeping(work):
                shutil.rmtree(work, ignore_errors=True)
            raise


def remove_old(folder: Path) -> None:
    """Remove from ``folder`` what was begun, and not gone on with for a week."""
    for work in folder.glob(f".*{BEGUN}"):
        with suppress(OSError):
            newest = max((path.stat().st_mtime for path in work.rglob("*")), default=work.stat().st_mtime)
            if time.time() - newest > OLD:
                shutil.rmtree(work)
