"""The part ``memory``: what a training holds as it goes on, and its speed; ours beside an older commit, in turns.

Each batch may have another shape, for which kernels are compiled and memory is taken: a process grows long after the
few updates that the part ``train`` makes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.bench import corpus, plan, rounds
from scripts.bench.context import Bench
from scripts.bench.figures import Points, Record, compared, held_after, our_default, record_of, spread, versus
from scripts.bench.worker import Failed, Row, Worker


def measure(bench: Bench) -> Iterator[Record]:
    """One record: a training on one thread, of so many epochs of the text."""
    case, text = plan.MEMORY_CASE, corpus.text()
    print(f"memory {case.name}", flush=True)
    epoch = round(text.meta["pairs"] * text.meta["mean_tgt"])
    rows, alone = list[Row](), replace(bench, threads=1)
    for contender in bench.own:
        with contextlib.suppress(Failed):  # it is left out, and bench.missing says why
            rows.append(alone.row(case, text, "train", contender))
    curves = grow(rows, epoch * bench.plan.memory_epochs, bench)
    measured = [{**record_of(row), "points": points} for row, points in zip(rows, curves, strict=True)]
    about = {"case": case.name, "model": case.model, "batch_tokens": case.batch_tokens, "corpus": text.meta}
    about |= {"size": case.size, "threads": alone.threads, "epoch": epoch, "epochs": bench.plan.memory_epochs}
    yield {**about, "rows": measured, "ratios": list(ratios(case, epoch, measured, bench.own[1:]))}


def grow(rows: Sequence[Row], tokens: int, bench: Bench) -> list[Points]:
    """Train everybody in turns, slice by slice, until each has made so many target tokens; the points of each row."""
    curves: list[Points] = [[] for _ in rows]
    with rounds.running(rows) as workers:
        while workers:
            for n, worker in sorted(workers.items(), reverse=len(curves[0]) % 2 == 1):
                row, curve = rows[n], curves[n]
                going = rounds.take_slice(row, worker, bench.plan.seconds, not curve, bench.quiet)
                if going:
                    latest = row.slices[-1] if row.slices else row.warmup
                    done = latest["tokens"] + (curve[-1][0] if curve else 0)
                    curve.append([done, resident_mb(worker), latest["rss_mb"]])
                if not going or curve[-1][0] >= tokens or not latest["tokens"]:
                    workers.pop(n).stop()
    return curves


def resident_mb(worker: Worker) -> float:
    """Memory that is resident in a worker now, in MiB.

    Raises:
        Failed: the system does not tell it.
    """
    try:
        lines = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Failed(f"the memory of another process is not told here: {error}") from error
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def ratios(case: plan.Case, epoch: int, rows: Sequence[Record], commits: Sequence[str]) -> Iterator[Record]:
    """Ours against an older commit: memory after an epoch, and speed."""
    ours = our_default(rows)
    for commit in commits:
        theirs, what = our_default(rows, commit), f"memory {case.name}"
        held = [held_after(row["points"], epoch) for row in (ours, theirs) if row]
        share = spread([held[0] / held[1]]) if len(held) == 2 and held[0] and held[1] else None
        after_epoch = f"{what}: resident after an epoch, an older commit"
        yield compared(after_epoch, commit, share, plan.TARGETS["memory"], lower=True)
        yield versus(f"{what}: speed, an older commit", ours, theirs, plan.TARGETS["memory_speed"])
