"""Starts workers, lets them work in turns, collects what they say. Knows the protocol; no framework.

Contenders alternate slice by slice in an order that rotates from round to round, so that a machine that grows slower
or busier is shared by all. The first slice of each is a warm-up and is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine

READY_PATIENCE = 600.0  # seconds until a worker must be ready
SLICE_PATIENCE = 300.0  # seconds over a slice's length until it must have answered
HOPELESS = 0.25  # of the fastest's rate in the warm-up: who is below it and takes long is not asked again
DISTURBED = 0.05  # share of the machine that others may take from a slice
SAME_LOSS = 1e-3  # relative difference up to which two losses are the same quantity


class Failed(Exception):
    """A worker could not start, broke off or said that it cannot; why, in one line."""


@dataclass
class Row:
    """One contender in one precision: how to start it, and then what came out."""

    contender: str
    precision: str
    command: Sequence[str]
    spec: dict[str, Any]
    folder: Path
    threads: int = 1
    about: dict[str, Any] = field(default_factory=dict)  # what it said when it was ready
    slices: list[dict[str, Any]] = field(default_factory=list)
    warmup: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] | None = None
    failed: str | None = None

    @property
    def name(self) -> str:
        """For people: who, and in which precision."""
        return f"{self.contender} {self.precision}"


class Worker:
    """A running worker process in a session of its own, so that its children end with it."""

    def __init__(self, row: Row) -> None:
        row.folder.mkdir(parents=True, exist_ok=True)
        spec = row.folder / "spec.json"
        spec.write_text(json.dumps({**row.spec, "scratch": str(row.folder)}, indent=1), encoding="utf-8")
        self.log = row.folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*row.command, str(spec)],
                cwd=row.folder,
                env=environment(row.threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._unread = b""

    def ask(self, order: dict[str, Any] | None, patience: float) -> dict[str, Any]:
        """Send an order (None: just listen) and wait for its answer.

        Raises:
            Failed: no answer in ``patience`` seconds, an end of the process, or the worker's own reason.
        """
        assert self.process.stdin is not None
        if order is not None:
            with contextlib.suppress(OSError):  # it has ended: reading says how
                self.process.stdin.write(json.dumps(order).encode() + b"\n")
                self.process.stdin.flush()
        answer = json.loads(self._line(patience))
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def _line(self, patience: float) -> bytes:
        assert self.process.stdout is not None
        until = time.monotonic() + patience
        while b"\n" not in self._unread:
            if not select.select([self.process.stdout], [], [], max(until - time.monotonic(), 0))[0]:
                raise Failed(f"no answer in {patience:.0f} s")
            chunk = os.read(self.process.stdout.fileno(), 1 << 20)
            if not chunk:
                code = self.process.wait()
                raise Failed(f"ended with exit code {code}: {self.last_words()}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no word in its log")[:200]

    def stop(self, patience: float = 5.0) -> None:
        """Ask it to leave, and end it and its children if it does not."""
        try:
            if self.process.stdin is not None:
                self.process.stdin.write(b'{"quit": true}\n')
                self.process.stdin.close()
            self.process.wait(patience)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            pass
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def environment(threads: int) -> dict[str, str]:
    """The process's environment: threads everywhere the same, and no library that asks the network or splits off."""
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    numbers = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    own = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # workers import neighbours
    return {**own, **quiet, **numbers}


class Taken:
    """The share of the machine that others than ``workers`` take, from now on.

    A thread that waits for one that is not let run waits long: a few per cent taken can cost a multiple of that.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.sessions = [worker.process.pid for worker in workers]
        self.began, self.busy, self.own = time.monotonic(), machine.busy_seconds(), self._own()

    def _own(self) -> float:
        return sum(map(machine.used_seconds, self.sessions))

    def used(self) -> float:
        """Processor seconds that the workers themselves have used."""
        return self._own() - self.own

    def share(self) -> float | None:
        """0 to 1; None where the system does not say."""
        busy = machine.busy_seconds()
        if busy is None or self.busy is None:
            return None
        others = busy - self.busy - self.used()
        return max(others / ((time.monotonic() - self.began) * machine.cores()), 0.0)


def wait_for_quiet(until: float) -> None:
    """Return when nobody takes the machine, or at the monotonic time ``until``."""
    while time.monotonic() < until:
        taken = Taken([])
        time.sleep(0.5)
        if (taken.share() or 0.0) < DISTURBED:
            return


def start(row: Row) -> Worker | None:
    """A worker that is ready; None where it failed, and why is noted in the row."""
    worker = Worker(row)
    try:
        row.about = worker.ask(None, READY_PATIENCE)
        return worker
    except Failed as failed:
        row.failed = str(failed)
    except BaseException:
        worker.stop(0)
        raise
    worker.stop(0)
    return None


def measure(
    rows: Sequence[Row],
    rounds: int,
    seconds: float,
    at_once: int = 1,
    checks: bool = True,
    quiet: float = 0.0,
    longest: float = float("inf"),
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Fill in the rows: a warm-up each, then ``rounds`` slices of ``seconds`` in turns. A row may fail at any time.

    On a machine that others use, each slice waits at most ``quiet`` seconds until it has the machine to itself, and is
    made again where it had not. Who takes more than ``longest`` seconds for the warm-up and is hopelessly behind in it
    is left at that one slice.
    """
    workers: dict[int, Worker] = {}
    try:
        with ThreadPoolExecutor(at_once) as pool:
            for n, worker in enumerate(pool.map(start, rows)):
                if worker is not None:
                    workers[n] = worker
                say(f"{rows[n].name}: {rows[n].failed or 'ready'}")
        _drop_twins(rows, workers)
        for turn in range(rounds + 1):
            order = [(n + turn) % len(rows) for n in range(len(rows))]
            for n in order:
                if n in workers and not _slice(rows[n], workers[n], seconds, turn == 0, quiet):
                    workers.pop(n).stop(0)
            if turn == 0:
                _leave_at_the_warmup(rows, workers, longest)
            say(f"round {turn} of {rounds} done" if turn else "warmed up")
        for n, worker in workers.items():
            if checks:
                _check(rows[n], worker)
    finally:
        for worker in workers.values():
            worker.stop()


def _drop_twins(rows: Sequence[Row], workers: dict[int, Worker]) -> None:
    """Where our default turns out to be a precision that is asked for by name too, it is measured once."""
    for row in rows:
        if row.precision == "auto" and row.about.get("precision"):
            for n, other in enumerate(rows):
                if other.contender == row.contender and other.precision == row.about["precision"] and n in workers:
                    other.failed = "same as auto"
                    workers.pop(n).stop()


def _leave_at_the_warmup(rows: Sequence[Row], workers: dict[int, Worker], longest: float) -> None:
    rates = {n: rows[n].warmup["tokens"] / rows[n].warmup["seconds"] for n in workers}
    for n, rate in rates.items():
        if rows[n].warmup["seconds"] > longest and rate < HOPELESS * max(rates.values()):
            rows[n].slices.append(rows[n].warmup)
            rows[n].about.setdefault("notes", []).append("one slice alone, its first: too slow to wait for more")
            workers.pop(n).stop()


def _slice(row: Row, worker: Worker, seconds: float, warmup: bool, quiet: float) -> bool:
    until = time.monotonic() + (0.0 if warmup else quiet)
    while True:
        wait_for_quiet(until)
        taken = Taken([worker])
        try:
            answer = worker.ask({"seconds": seconds}, seconds + SLICE_PATIENCE)
        except Failed as failed:
            row.failed = str(failed)
            return False
        answer["taken"] = taken.share()
        answer["cpu_seconds"] = taken.used() - answer.get("uncounted_cpu_seconds", 0.0)
        if (answer["taken"] or 0.0) < DISTURBED or time.monotonic() >= until:
            break
    if warmup:
        row.warmup = answer
    else:
        row.slices.append(answer)
    return True


def _check(row: Row, worker: Worker) -> None:
    """Whether the framework's own loss is the cross-entropy that everybody means."""
    try:
        answer = worker.ask({"check": True}, SLICE_PATIENCE)
    except Failed as failed:
        answer = {"check": None, "error": str(failed)}
    row.check = judged(answer)


def judged(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer to a check, with ``same``: the two losses agree."""
    check = answer.get("check")
    if not check:
        return {"same": None, "error": answer.get("error", "no answer")}
    own, recomputed = float(check["own"]), float(check["recomputed"])
    return {"own": own, "recomputed": recomputed, "same": abs(own - recomputed) <= SAME_LOSS * abs(recomputed)}


def rates(row: Row) -> list[float]:
    """Tokens a second of each slice."""
    return [one["tokens"] / one["seconds"] for one in row.slices]


def cpu_rates(row: Row) -> list[float]:
    """Tokens a processor second of each slice: what is left to compare by on a machine that others use."""
    return [one["tokens"] / one["cpu_seconds"] for one in row.slices if one.get("cpu_seconds")]


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, smallest and largest; None of nothing."""
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float] | None:
    """Of the slices of two contenders, round by round: both of a round were measured side by side."""
    return spread([a / b for a, b in zip(ours, theirs, strict=False) if b])


def plain(row: Row) -> dict[str, Any]:
    """The row as it goes into bench.json."""
    latest = row.slices[-1] if row.slices else {}
    return {
        "contender": row.contender,
        "precision": row.about.get("precision", row.precision),
        "asked": row.precision,
        "failed": row.failed,
        "version": row.about.get("version"),
        "parameters": row.about.get("parameters"),
        "notes": row.about.get("notes", []),
        "seconds_to_ready": row.about.get("seconds_to_ready"),
        "first_update_seconds": row.warmup.get("first_update_seconds"),
        "tokens_per_second": spread(rates(row)),
        "rates": rates(row),
        "cpu_rates": cpu_rates(row),
        "taken": spread([one["taken"] for one in row.slices if one.get("taken") is not None]),
        "updates": sum(one["updates"] for one in row.slices),
        "tokens_per_update": sum(one["tokens"] for one in row.slices) / max(sum(o["updates"] for o in row.slices), 1),
        "nll": latest.get("nll"),
        "rss_mb": latest.get("rss_mb"),
        "cuda_mb": latest.get("cuda_mb"),
        "check": row.check,
        "flops_per_token": row.about.get("flops_per_token"),
        "real_share": row.about.get("real_share"),
    }
