"""The one place where SIGINT and SIGTERM are handled. Knows the process; nothing of what is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, "FrameType | None"], object]


class StopFlag:
    """Whether the user, or the system, has asked this process to stop."""

    asked = False


@contextmanager
def handling(handler: Handler | signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    """Inside, ``handler`` answers these signals; afterwards the earlier handlers do again.

    Python handles signals in the main thread alone: in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Inside, the first SIGINT or SIGTERM sets the flag, and a second SIGINT raises ``KeyboardInterrupt`` at once."""
    flag = StopFlag()

    def ask(number: int, frame: FrameType | None) -> None:
        flag.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with handling(ask, signal.SIGINT, signal.SIGTERM):
        yield flag
