"""What grows: cost a token with the corpus, and decoding time with the length. Knows processes and logarithms."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corpus
import plan as plans
import profiling
import rounds

if TYPE_CHECKING:
    from speed import Bench

GROWTH = Path(__file__).parent / "workers" / "growth.py"
FLAT = 1 + plans.TARGETS["scaling"]


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """The corpus first, then each model's decoding.

    Raises:
        rounds.Failed: one of them cannot be measured.
    """
    if bench.device == "cpu":  # what it times is made for a CPU
        yield growth(bench)
    text = corpus.text()
    for case in (plans.TRAIN_CASES[0], *plans.TRAIN_CASES[2:]):
        answer = profiling.ask(bench, case, text, "lengths", lengths=list(bench.plan.decode_lengths))
        if answer.get("failed"):
            raise rounds.Failed(f"{case.name}: {answer['failed']}")
        exponent = slope(answer["seconds"])
        line = {"what": f"decoding time by length, {case.name}: exponent", "against": "linear"}
        line |= {"ratio": dict.fromkeys(("median", "min", "max"), exponent), "target": plans.TARGETS["exponent"]}
        line |= {"reached": exponent <= plans.TARGETS["exponent"], "lower": True}
        yield {"kind": "length", "case": case.name, **answer, "exponent": exponent, "ratios": [line]}


def slope(points: Sequence[Sequence[float]]) -> float:
    """The exponent p of seconds = a · length^p, fitted to the logarithms by least squares."""
    xs, ys = ([math.log(point[n]) for point in points] for n in (0, 1))
    return statistics.linear_regression(xs, ys).slope


def growth(bench: Bench) -> dict[str, Any]:
    """Each size in processes of its own, in turns; medians."""
    text = corpus.text()
    answers: dict[int, list[dict[str, Any]]] = {pairs: [] for pairs in bench.plan.scaling_pairs}
    folder = bench.scratch / "growth"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for pairs in answers:
            print(f"scaling {pairs:,} pairs: writing", flush=True)
            ask(bench, text, folder, pairs, build=True)
        for turn in range(bench.plan.scaling_turns):
            for pairs, found in answers.items():
                print(f"scaling {pairs:,} pairs: {turn + 1} of {bench.plan.scaling_turns}", flush=True)
                found.append(ask(bench, text, folder, pairs, build=False))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sizes = [middle(found) for found in answers.values()]
    return {"kind": "corpus", "sizes": sizes, "runs": answers, "ratios": flatness(sizes)}


def middle(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def flatness(sizes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest corpus against the smallest: time a token, and memory."""
    first, last = sizes[0], sizes[-1]
    lines = []
    for key, what in (("sum_us", "cost a token"), ("pipeline_us", "input pipeline a token"), ("private_mb", "memory")):
        value = last[key] / first[key] if first[key] else None
        line = {"what": f"{what}, {last['pairs']:,} pairs", "against": f"{first['pairs']:,} pairs", "lower": True}
        line |= {"ratio": value and dict.fromkeys(("median", "min", "max"), value)}
        target = None if key == "pipeline_us" else FLAT
        lines.append({**line, "target": target, "reached": None if value is None or not target else value <= target})
    return lines


def ask(bench: Bench, text: corpus.Text, folder: Path, pairs: int, build: bool) -> dict[str, Any]:
    """One process on one corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"data": str(text.folder), "pieces": text.meta["pieces"], "pairs": pairs, "folder": str(folder / str(pairs))}
    spec |= {"threads": bench.threads, "seed": 1, "batch_tokens": 2_000, "seconds": 4 * bench.plan.seconds}
    path = folder / "spec.json"
    path.write_text(json.dumps({**spec, "build": build}), encoding="utf-8")
    command = [sys.executable, str(GROWTH), str(path)]
    environment = rounds.environment(bench.threads)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()] or ["no word"]
        raise rounds.Failed(f"{pairs:,} pairs: {words[-1]}")
    return json.loads(done.stdout) if not build else {}
