"""Runs tasks as processes, several at a time, with one progress display. Knows commands and logs; no run and no study.

Each process has one thread by default: two small trainings side by side on one thread each are faster than one after
the other on two.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from seq2seq.system.signals import stop_flag
from seq2seq.terminal.progress import Display

STOPPED = 130  # the exit code of a process that was asked to stop and has saved its state
POLL_SECONDS = 0.3  # between two looks at the processes
GRACE_SECONDS = 180.0  # for a process to save its state before it is killed
PLAN_SECONDS = 300.0  # of work for which the plan's estimate counts, beside the pace that is seen


@dataclass(frozen=True)
class Task:
    """A Python module to run with arguments. It is skipped if ``done``, and started once it is ``ready``."""

    label: str
    command: Sequence[str]  # what follows ``python -m``
    log: Path
    seconds: float  # estimate of its time
    done: Callable[[], bool]
    ready: Callable[[], bool] = lambda: True


@dataclass
class Running:
    """The process of a task."""

    task: Task
    process: subprocess.Popen[bytes]
    started: float  # ``time.monotonic()``
    before: float | None = None  # share done by earlier processes: the first that the log tells

    def share(self) -> float:
        """Share of the work done, 0 to 1: the last percentage in the log, else an estimate by the clock."""
        told = told_share(self.task)
        self.before = told if self.before is None else self.before
        by_clock = (time.monotonic() - self.started) / max(self.task.seconds, 1.0)
        return min(by_clock if told is None else told, 0.99)

    def worked(self, share: float) -> float:
        """What this process has done by the time that ``share`` of the task is done, in seconds by its estimate."""
        return self.task.seconds * (share - (self.before or 0.0))


@dataclass
class Plan:
    """How much there is to do, in seconds by the tasks' estimates, and how much of it processes have done so far."""

    workers: int
    total: float
    worked: float = 0.0  # by processes that have ended
    began: float = field(default_factory=time.monotonic)

    def show(self, display: Display, waiting: Sequence[Task], running: Sequence[Running]) -> None:
        """Say how far everything is, and how long it will take at the pace so far."""
        shares = [(one, one.share()) for one in running]
        left = sum(task.seconds for task in waiting) + sum(one.task.seconds * (1 - share) for one, share in shares)
        worked = (self.worked + sum(one.worked(share) for one, share in shares)) / self.workers
        pace = (time.monotonic() - self.began + PLAN_SECONDS) / (worked + PLAN_SECONDS)  # seconds a second of the plan
        now = ", ".join(f"{one.task.label} {share:.0%}" for one, share in shares)
        display.update(1 - left / max(self.total, 1.0), now, left=left / self.workers * pace)


def told_share(task: Task) -> float | None:
    """The last percentage in a task's log, as a share; None without one."""
    found = re.findall(rb"(\d+(?:\.\d+)?)%", tail(task.log))
    return float(found[-1]) / 100 if found else None


def tail(path: Path, size: int = 4096) -> bytes:
    """The last bytes of a file; empty if there is none."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - size, 0))
        return file.read()


def run_all(
    tasks: Sequence[Task], workers: int, threads: int | None, more: Callable[[], Sequence[Task]] = tuple
) -> dict[str, str]:
    """Run the tasks that are not done, ``workers`` at a time, the longest first.

    A task that fails does not stop the others, but tasks that wait for it are not started.

    Args:
        threads: CPU threads of each process; None: its own choice.
        more: asked for tasks whenever one is done; those with a new label are run as well.

    Returns:
        The reason for each failure, by the label of the task.

    Raises:
        KeyboardInterrupt: on SIGINT, SIGTERM or SIGHUP, after every process has stopped and has saved its state.
    """
    waiting = [task for task in tasks if not task.done()]
    known, plan = {task.label for task in tasks}, Plan(workers, sum(task.seconds for task in tasks))
    running: list[Running] = []
    failed: dict[str, str] = {}
    with Display() as display, stop_flag() as stopping:
        try:
            while waiting or running:
                stopping.check()  # not within ``start``: every process that was started is known here
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    plan.worked += one.worked(1.0)
                    if not one.task.done():
                        failed[one.task.label] = _why(one)
                        display.say(f"{one.task.label} failed: {failed[one.task.label]}")
                        continue
                    new = [task for task in more() if task.label not in known]
                    waiting += [task for task in new if not task.done()]
                    known |= {task.label for task in new}
                    plan.total += sum(task.seconds for task in new)
                startable = sorted((task for task in waiting if task.ready()), key=lambda task: -task.seconds)
                for task in startable[: workers - len(running)]:
                    waiting.remove(task)
                    running.append(start(task, threads))
                if waiting and not running:
                    failed |= {task.label: "what it waited for did not come" for task in waiting}
                    break
                plan.show(display, waiting, running)
                time.sleep(POLL_SECONDS)
            stopping.check()  # asked while the last of them ended
        finally:
            stop(running)
    return failed


def start(task: Task, threads: int | None) -> Running:
    """Start the process of a task, in a session of its own; its output goes to the task's log."""
    task.log.parent.mkdir(parents=True, exist_ok=True)
    # PYTHONSAFEPATH: a folder called seq2seq in the working directory must not hide the package.
    settings = {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    settings |= {"OMP_NUM_THREADS": str(threads)} if threads else {}
    with task.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *task.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
            start_new_session=True,  # so that Ctrl-C reaches only us, and we stop the processes
            preexec_fn=_end_with_the_parent if sys.platform == "linux" else None,
        )
    return Running(task, process, time.monotonic())


def _end_with_the_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent dies, even by SIGKILL."""
    pr_set_pdeathsig = 1
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def stop(running: Sequence[Running]) -> None:
    """Ask every process to save its state and end. One that does not is killed; it can continue from its last save."""
    for one in running:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
    for one in running:
        try:
            one.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            one.process.kill()


def _why(one: Running) -> str:
    """Why a process ended before its task was done."""
    code = one.process.returncode
    if code == STOPPED:
        return "it was stopped from outside"
    return killed(code) if code < 0 else last_words(one.task)


def killed(code: int) -> str:
    """What is said of a process that a signal ended."""
    return f"killed by signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "")


def last_words(task: Task) -> str:
    """The last line of a task's log, and where it stands."""
    lines = [line for line in tail(task.log).decode(errors="replace").splitlines() if line.strip()]
    said = lines[-1].removeprefix("seq2seq: error: ") if lines else "it said nothing"
    return f"{said} (see {task.log})"


def minutes(seconds: float) -> str:
    """A duration as people say it, rounded to minutes or tenths of an hour."""
    whole = round(seconds / 60)
    if whole < 1:
        return "under a minute"
    return f"{whole} min" if whole < 90 else f"{whole / 60:.1f} h"
