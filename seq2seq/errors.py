"""The one exception type that a user sees. Knows nothing else."""

from __future__ import annotations

import difflib


class UserError(Exception):
    """Something the user can mend. Its message is one line: what is wrong, where, what to do.

    ``cli`` prints it without a traceback and exits with code 2.
    """


def nearest(word: str, known: list[str]) -> str:
    """``; did you mean X?`` for the known word nearest to ``word``, or an empty string where none is near."""
    last = word.rsplit(".", 1)[-1]
    same_end = [name for name in known if "." in name and name.rsplit(".", 1)[-1] == last]  # trainer.lr
    close = same_end if len(same_end) == 1 else difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
