"""Several small runs at once, one thread each, against one run with all threads. Knows the protocol.

One after another, so many runs take so many times one run with all threads: the ratio of the two throughputs is the
ratio of the two waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import corpus
import plan as plans
import rounds
from rounds import Row, Worker

if TYPE_CHECKING:
    from speed import Bench

LSTM = plans.Case("lstm-embedded", "lstm", plans.RECURRENT_PRESET, **plans.EMBEDDED)


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """Each model at the size of the embedded corpus, which is what ``compare`` trains."""
    text = corpus.embedded()
    for case in (*plans.QUALITY_CASES, LSTM):
        print(f"parallel {case.name}", flush=True)
        yield side_by_side(bench, case, text)


def side_by_side(bench: Bench, case: plans.Case, text: corpus.Text) -> dict[str, Any]:
    """Slices of one run with all threads and of as many runs of one thread, in turns."""
    command = bench.command("ours")
    if command is None:
        return {"case": case.name, "failed": bench.missing["ours"], "ratios": []}
    spec = bench.spec(case, text, "train", "auto")
    folder = bench.scratch / "workers" / f"parallel-{case.name}"
    rows = [Row("ours", "auto", command, spec, folder / "alone", bench.threads)]
    rows += [
        Row("ours", "auto", command, {**spec, "threads": 1, "seed": n + 1}, folder / f"one{n}", 1)
        for n in range(bench.threads)
    ]
    workers: list[Worker] = []
    try:
        with ThreadPoolExecutor(bench.plan.starts_at_once) as pool:
            workers += [worker for worker in pool.map(rounds.start, rows) if worker is not None]
        for row in rows:
            if row.failed:
                return {"case": case.name, "failed": row.failed, "ratios": []}
        taken = rounds.Taken(workers)
        alone, together = turns(workers[:1], workers[1:], bench.plan.rounds, bench.plan.seconds)
        disturbed = rounds.spread([taken.share() or 0.0])
    except rounds.Failed as failed:
        return {"case": case.name, "failed": str(failed), "ratios": []}
    finally:
        for worker in workers:
            worker.stop()
    ratio = rounds.ratio(together, alone)
    what = f"{bench.threads} runs at once, {case.name}"
    line = {"what": what, "against": "one after another", "ratio": ratio, "target": plans.TARGETS["parallel"]}
    line["reached"] = ratio is not None and ratio["median"] >= plans.TARGETS["parallel"]
    about = {"case": case.name, "runs": bench.threads, "alone": rounds.spread(alone), "taken": disturbed}
    return {**about, "together": rounds.spread(together), "ratios": [line]}


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
    """Tokens a second of all workers together, each over the time it took itself."""
    with ThreadPoolExecutor(len(workers)) as pool:
        patience = seconds + rounds.SLICE_PATIENCE
        answers = list(pool.map(lambda worker: worker.ask({"seconds": seconds}, patience), workers))
    return sum(answer["tokens"] / answer["seconds"] for answer in answers)
