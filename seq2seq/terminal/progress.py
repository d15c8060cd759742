"""Progress on stderr: a bar in a terminal, a line now and then elsewhere. Knows only shares and texts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TimeRemainingColumn
from rich.text import Text

from seq2seq.terminal.tables import duration

PLAIN_SECONDS = 30.0  # between two lines where stderr is no terminal, or more:
PLAIN_SHARE = 0.01  # of the time so far


class TimeLeft(TimeRemainingColumn):
    """The estimated time until the end, which says that it is that."""

    def render(self, task: Task) -> Text:
        """``0:12 left``; nothing where the time cannot be estimated yet."""
        if task.fields["left"] is not None:
            return Text(f"{duration(task.fields['left'])} left", style="progress.remaining")
        time_left = super().render(task)
        return Text(f"{time_left.plain} left", style=time_left.style) if task.time_remaining is not None else Text("")


class Display:
    """The one line that says how far a process is. A context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal
        self.began = self.said = time.monotonic()
        self.first: tuple[float, float] | None = None  # share done and time of the first update
        bar, remaining = BarColumn(bar_width=None), TimeLeft(compact=True)
        columns = ("{task.description}", bar, "{task.fields[share]}", remaining, "{task.fields[figures]}")
        self.progress = Progress(*columns, console=self.console, disable=not self.live, transient=True)
        self.task = self.progress.add_task("", total=1.0, share="  0%", left=None, figures="")

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def update(self, share: float | None, figures: str, left: float | None = None) -> None:
        """Show the share done (0 to 1; None: unknown), and figures beside it.

        ``left``: seconds until the end, where the caller knows more than the pace so far.
        """
        if share is None:
            self.progress.update(self.task, total=None, share="", left=left, figures=figures)
        else:
            of = f"{share:4.0%}"
            self.progress.update(self.task, total=1.0, completed=share, share=of, left=left, figures=figures)
        now = time.monotonic()
        self.first = self.first or (share or 0.0, now)
        if not self.live and now - self.said >= max(PLAIN_SECONDS, PLAIN_SHARE * (now - self.began)):
            self.said = now
            done = "" if share is None else f"{share:5.1%}  {self._left(share, now, left)}"
            print(f"{done}{figures}", file=sys.stderr, flush=True)

    def _left(self, share: float, now: float, left: float | None) -> str:
        """The time until the end as the beginning of a text: as told, or at the pace so far; empty if unknown."""
        first_share, first_time = self.first or (share, now)
        if left is None and share > first_share:
            left = (now - first_time) / (share - first_share) * (1 - share)
        return "" if left is None else f"{duration(left)} left  "

    def doing(self, what: str) -> None:
        """Show the name of the phase: training, validating."""
        self.progress.update(self.task, description=what)

    def say(self, line: str) -> None:
        """Print a line above the bar; it stays."""
        self.console.print(line, markup=False, soft_wrap=True)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how many of ``total`` are done (None: unknown). Yields a function that is told how many more are."""
    finished = 0
    with Display() as display:
        display.doing(what)

        def done(count: int) -> None:
            nonlocal finished
            finished += count
            display.update(finished / total if total else None, f"{finished}/{total or '?'}")

        yield done
