"""The part ``parallel``: several small runs at once, one thread each, against one run with all threads.

One after another, N runs take N times as long as one run with all threads, so the ratio of the two throughputs is the
ratio of the two waiting times.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from scripts.bench import corpus, plan
from scripts.bench.contention import Contention
from scripts.bench.context import Bench
from scripts.bench.figures import Record, compared, ratio, spread
from scripts.bench.rounds import running
from scripts.bench.worker import SLICE_PATIENCE, Failed, Worker

LSTM = plan.Case("lstm-embedded", "lstm", plan.RECURRENT_PRESET, **plan.EMBEDDED)


def measure(bench: Bench) -> Iterator[Record]:
    """Each model at the size of the embedded corpus, which is the size that ``compare`` trains."""
    text = corpus.embedded()
    for case in (*plan.QUALITY_CASES, LSTM):
        print(f"parallel {case.name}", flush=True)
        try:
            yield {"case": case.name, **side_by_side(bench, case, text)}
        except Failed as failed:
            yield {"case": case.name, "failed": str(failed), "ratios": []}


def side_by_side(bench: Bench, case: plan.Case, text: corpus.Text) -> Record:
    """Slices of one run with all threads and of as many runs of one thread, in turns.

    Raises:
        Failed: a worker could not start or broke off.
    """
    alone = bench.row(case, text, "train")
    folder = alone.folder.with_name(f"parallel-{case.name}")
    rows = [replace(alone, folder=folder / "alone")]
    for n in range(bench.threads):
        spec = {**alone.spec, "threads": 1, "seed": n + 1}
        rows.append(replace(alone, spec=spec, folder=folder / f"one{n}", threads=1))
    with running(rows, bench.plan.starts_at_once) as started:
        for row in rows:
            if row.failed:
                raise Failed(row.failed)
        workers = list(started.values())
        contention = Contention(workers)
        one, many = turns(workers[:1], workers[1:], bench.plan.rounds, bench.plan.seconds)
        disturbed = spread([contention.share() or 0.0])
    what, target = f"{bench.threads} runs at once, {case.name}", plan.TARGETS["parallel"]
    line = compared(what, "one after another", ratio(many, one), target)
    figures = {"alone": spread(one), "together": spread(many), "taken": disturbed}
    return {"runs": bench.threads, **figures, "ratios": [line]}


def turns(one: list[Worker], many: list[Worker], count: int, seconds: float) -> tuple[list[float], list[float]]:
    """Tokens a second of each side in each turn; the first turn is a warm-up."""
    rates: tuple[list[float], list[float]] = ([], [])
    for turn in range(count + 1):
        for side, workers in enumerate((one, many)):
            rate = at_once(workers, seconds)
            if turn:
                rates[side].append(rate)
    return rates


def at_once(workers: list[Worker], seconds: float) -> float:
    """Tokens a second of all workers together, each over its own seconds."""
    with ThreadPoolExecutor(len(workers)) as pool:
        answers = list(pool.map(lambda worker: worker.ask({"seconds": seconds}, seconds + SLICE_PATIENCE), workers))
    return sum(float(answer["tokens"] / answer["seconds"]) for answer in answers)
