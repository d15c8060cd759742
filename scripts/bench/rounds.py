"""Measures contenders in turns. Knows workers and their slices; no toolkit.

Contenders alternate slice by slice in an order that rotates from round to round, so that a machine that grows slower
or busier slows everybody alike. The first slice of each is a warm-up and does not count.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from scripts.bench import worker as processes
from scripts.bench.contention import DISTURBED, Contention, wait_for_quiet
from scripts.bench.figures import checked
from scripts.bench.worker import SLICE_PATIENCE, Failed, Row, Worker

HOPELESS = 0.25  # share of the fastest rate in the warm-up below which a slow contender is measured no further


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"  {line}", flush=True)


@contextlib.contextmanager
def running(rows: Sequence[Row], at_once: int = 1) -> Iterator[dict[int, Worker]]:
    """Ready workers by the number of their row, ``at_once`` started side by side; all are stopped in the end.

    A row whose worker cannot run is left out, and its ``failed`` tells why.
    """
    workers: dict[int, Worker] = {}

    def start(row: Row) -> Worker | None:
        with contextlib.suppress(Failed):
            return processes.start(row)
        return None

    try:
        with ThreadPoolExecutor(at_once) as pool:
            for n, worker in enumerate(pool.map(start, rows)):
                if worker is not None:
                    workers[n] = worker
                say(f"{rows[n].name}: {rows[n].failed or 'ready'}")
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


def measure(
    rows: Sequence[Row],
    rounds: int,
    seconds: float,
    at_once: int = 1,
    checks: bool = True,
    quiet: float = 0.0,
    longest: float = float("inf"),
) -> None:
    """Fill in the rows: a warm-up each, then ``rounds`` slices of ``seconds`` in turns. A row may fail at any time.

    On a machine that others use, each slice waits at most ``quiet`` seconds until the machine is idle, and is repeated
    where it was disturbed. A contender whose warm-up takes more than ``longest`` seconds, at less than ``HOPELESS`` of
    the fastest rate, is measured by its warm-up alone.
    """
    with running(rows, at_once) as workers:
        _drop_twins(rows, workers)
        for turn in range(rounds + 1):
            order = [(n + turn) % len(rows) for n in range(len(rows))]
            for n in order:
                if n in workers and not take_slice(rows[n], workers[n], seconds, turn == 0, quiet):
                    workers.pop(n).stop(0)
            if turn == 0:
                _leave_at_the_warmup(rows, workers, longest)
            say(f"round {turn} of {rounds} done" if turn else "warmed up")
        for n, worker in workers.items():
            if checks:
                _check(rows[n], worker)


def _drop_twins(rows: Sequence[Row], workers: dict[int, Worker]) -> None:
    """Where our default turns out to be a precision that is asked for by name too, measure it once."""
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


def take_slice(row: Row, worker: Worker, seconds: float, warmup: bool, quiet: float) -> bool:
    """Measure one slice into the row; False where the worker failed."""
    until = time.monotonic() + (0.0 if warmup else quiet)
    while True:
        wait_for_quiet(until)
        contention = Contention([worker])
        try:
            answer = worker.ask({"seconds": seconds}, seconds + SLICE_PATIENCE)
        except Failed as failed:
            row.failed = str(failed)
            return False
        answer["taken"] = contention.share()
        answer["cpu_seconds"] = contention.used()
        if (answer["taken"] or 0.0) < DISTURBED or time.monotonic() >= until:
            break
    if warmup:
        row.warmup = answer
    else:
        row.slices.append(answer)
    return True


def _check(row: Row, worker: Worker) -> None:
    """Note whether the toolkit's own loss is the cross-entropy that all others minimise."""
    try:
        answer = worker.ask({"check": True}, SLICE_PATIENCE)
    except Failed as failed:
        answer = {"check": None, "error": str(failed)}
    row.check = checked(answer)
