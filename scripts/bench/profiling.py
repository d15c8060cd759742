"""Where the time of our updates goes, case by case. Starts a process for each; reads what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import corpus
import plan as plans
import rounds
from rounds import Row

if TYPE_CHECKING:
    from speed import Bench


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """The operations that take most of an update's time, and the share of loading batches."""
    for case in plans.train_cases(bench.device):
        text = corpus.of_name(case.corpus)
        yield {"case": case.name, **ask(bench, case, text, "profile")}


def ask(bench: Bench, case: plans.Case, text: corpus.Text, task: str, **more: Any) -> dict[str, Any]:
    """What our worker answers to a task that is done when it is ready; ``failed`` where it is not."""
    print(f"{task} {case.name}", flush=True)
    command = bench.command("ours")
    if command is None:
        return {"failed": bench.missing["ours"]}
    spec = {**bench.spec(case, text, task, "auto"), **more}
    row = Row("ours", "auto", command, spec, bench.scratch / "workers" / f"{task}-{case.name}", bench.threads)
    worker = rounds.start(row)
    if worker is None:
        return {"failed": row.failed}
    worker.stop()
    return {**row.about["answer"], "precision": row.about.get("precision", "auto")}
