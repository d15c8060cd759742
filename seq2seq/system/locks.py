"""Locks that the system releases however a process ends. Knows paths; nothing of what they protect.

A lock is taken on the opened file, so that no other spelling of its path, and no link, leads around it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

from seq2seq.errors import UserError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)  # what some network file systems answer


def lock(path: Path, strictly: bool = False, make: bool = True) -> int | None:
    """Lock a folder or a file.

    Args:
        strictly: an error where nothing can be locked, as on Windows and some network file systems. Without it,
            nothing is locked there, and every process gets a descriptor.
        make: make a file where nothing is.

    Returns:
        An open descriptor; the lock ends when it is closed. None: the lock is held by somebody else.

    Raises:
        UserError: a link, a pipe or a device is there.
        OSError: nothing is there and no file can be or is to be made, or, ``strictly``, it cannot be locked.
    """
    if sys.platform == "win32":
        if strictly:
            raise OSError(errno.ENOSYS, "no locks here")
        return os.open(os.devnull, os.O_RDONLY)
    import fcntl

    while True:
        descriptor = _open(path, make)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if strictly or error.errno not in NO_LOCKS:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return None
                raise
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)  # the last holder has removed it meanwhile: there is another one, or none


def _open(path: Path, make: bool) -> int:
    """A descriptor of a folder or of a regular file, and of nothing else."""
    kind = os.O_RDONLY if path.is_dir() else os.O_RDWR | (os.O_CREAT if make else 0)
    try:
        descriptor = os.open(path, kind | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    else:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return descriptor
        os.close(descriptor)
    raise UserError(f"{path}: a link, a pipe or a device stands where a lock is to be: remove it")
