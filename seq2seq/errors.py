"""The exceptions that a user sees. Knows nothing else."""

from __future__ import annotations

import difflib
import re


class UserError(Exception):
    """Something the user can mend. Its message is one line: what is wrong, where, what to do.

    ``cli`` prints it without a traceback and exits with code 2.
    """


class Outage(UserError):
    """One that may not come again: the machine had too little of something, such as free disk, at that moment.

    What took long to make is kept, so that the same command goes on with it.
    """


LONGEST = 900  # characters of a line; a value that is repeated in it may have any length


ANSWERED = (OSError, UserError, MemoryError, RuntimeError)
"""What may end a command with a line, see ``complaint``."""
TOO_LITTLE_MEMORY = re.compile("can't allocate memory|out of memory")  # in a RuntimeError of torch


def complaint(error: Exception) -> str | None:
    """The line that a command prints for an error; None for one that is a fault of the program."""
    if isinstance(error, UserError):
        return one_line(str(error))
    if isinstance(error, OSError):  # for example a full disk behind stdout
        return one_line(f"{error.filename or 'output'}: {error.strerror or error}")
    if isinstance(error, MemoryError) or TOO_LITTLE_MEMORY.search(str(error)):
        smaller = "lower trainer.batch_tokens, decode.batch_tokens or decode.beam, or take a smaller model"
        return f"the memory is not enough: {smaller}"
    return None


def one_line(message: str) -> str:
    """The message in one line that can be read: control characters escaped, and shortened in its middle."""
    line = " ".join(message.splitlines())
    line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 3]} […] {line[-LONGEST // 3 :]}"


def nearest(word: str, known: list[str], before: str = "") -> str:
    """``; did you mean X?`` for the known word nearest to ``word``, or an empty string where none is near.

    ``before``: what X begins with, such as the key whose value the word is.
    """
    last = word.rsplit(".", 1)[-1]
    same_end = [name for name in known if "." in name and name.rsplit(".", 1)[-1] == last]  # trainer.lr
    close = same_end if len(same_end) == 1 else difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {before}{close[0]}?" if close else ""


def nearest_file(name: str, there: list[str]) -> str:
    """The same for a file, whose name must be close, since a folder is full of names that nobody meant."""
    close = difflib.get_close_matches(name, there, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""
