"""The part ``profile``: the operations that our updates spend their time in, case by case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.bench import corpus, plan, worker
from scripts.bench.context import Bench
from scripts.bench.figures import Record


def measure(bench: Bench) -> Iterator[Record]:
    """The operations that take most of an update's time, and the share of loading batches."""
    for case in plan.train_cases(bench.device):
        try:
            yield {"case": case.name, **answer(bench, case, corpus.of_name(case.corpus), "profile")}
        except worker.Failed as failed:
            yield {"case": case.name, "failed": str(failed)}


def answer(bench: Bench, case: plan.Case, text: corpus.Text, task: str, **more: Any) -> Record:
    """The answer of our worker to a task that it completes before its first message.

    Raises:
        Failed: there is no answer.
    """
    print(f"{task} {case.name}", flush=True)
    row = bench.row(case, text, task, **more)
    worker.start(row).stop()
    return {**row.about["answer"], "precision": row.about.get("precision", "auto")}
