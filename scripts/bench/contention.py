"""How much of the processor other programs use while the benchmark measures. Knows /proc; on other systems, nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.bench.machine import cores
from scripts.bench.worker import Worker

DISTURBED = 0.05  # share of the machine above which a measurement counts as disturbed


class Contention:
    """The share of the machine that programs other than ``workers`` use, counted from the object's creation.

    A thread that waits for another one that is not scheduled waits long: a few per cent used by others can slow a
    worker of several threads down by a multiple of that.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.sessions = [worker.process.pid for worker in workers]
        self.began, self.busy, self.own = time.monotonic(), busy_seconds(), self._own()

    def _own(self) -> float:
        return sum(map(used_seconds, self.sessions))

    def used(self) -> float:
        """Processor seconds that the workers themselves have used."""
        return self._own() - self.own

    def share(self) -> float | None:
        """A number from 0 to 1; None where the system does not tell."""
        busy = busy_seconds()
        if busy is None or self.busy is None:
            return None
        others = busy - self.busy - self.used()
        return max(others / ((time.monotonic() - self.began) * cores()), 0.0)


def wait_for_quiet(until: float) -> None:
    """Return as soon as no other program uses the machine, at the monotonic time ``until`` at the latest."""
    while time.monotonic() < until:
        contention = Contention([])
        time.sleep(0.5)
        if (contention.share() or 0.0) < DISTURBED:
            return


def busy_seconds() -> float | None:
    """Processor seconds used on our cores by anybody since the system's start, guests of the same host included."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        used = [[int(field) for field in line[1:9]] for line in lines if line and line[0] in ours]
    except (OSError, ValueError):
        return None
    waiting = (3, 4)  # columns: idle, and idle until a disk answers
    return sum(sum(core) - sum(core[n] for n in waiting) for core in used) / os.sysconf("SC_CLK_TCK")


def used_seconds(session: int) -> float:
    """Processor seconds used by the processes of a session that still run."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # the process has just ended
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
