"""The one place where SIGINT, SIGTERM and SIGHUP are handled. Knows the process; nothing of what is stopped."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, "FrameType | None"], object]


STOPS = (signal.SIGTERM,) if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)
"""Ask a process to stop: the system, or a terminal that is gone."""


class StopFlag:
    """Whether the user, or the system, has asked this process to stop."""

    asked = False

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if it was: for a place where all that has to be stopped is known."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def handling(handler: Handler | signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    """Inside, ``handler`` answers these signals; afterwards the earlier handlers do again.

    SIGTERM and SIGHUP stay ignored where this process was told to ignore them, as by ``nohup``.
    Python handles signals only in the main thread: in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in numbers if number not in STOPS or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Inside, SIGINT or one of ``STOPS`` sets the flag; a second SIGINT raises ``KeyboardInterrupt`` at once."""
    flag = StopFlag()

    def ask(number: int, frame: FrameType | None) -> None:
        flag.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with handling(ask, signal.SIGINT, *STOPS):
        yield flag
