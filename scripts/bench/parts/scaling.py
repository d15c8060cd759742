"""The part ``scaling``: cost a token as the corpus grows, and decoding time as the output grows."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.bench import corpus, plan
from scripts.bench.context import Bench
from scripts.bench.figures import Record, compared, spread
from scripts.bench.parts.profiling import answer
from scripts.bench.worker import Failed, output_of

FLAT = 1 + plan.TARGETS["scaling"]


def measure(bench: Bench) -> Iterator[Record]:
    """The corpus first, then each model's decoding.

    Raises:
        Failed: one of them cannot be measured.
    """
    if bench.device == "cpu":  # the update that it times is made for a CPU
        yield growth(bench)
    text = corpus.text()
    for case in plan.DECODE_CASES:
        found = answer(bench, case, text, "lengths", lengths=list(bench.plan.decode_lengths))
        exponent = slope(found["seconds"])
        what = f"decoding time by length, {case.name}: exponent"
        line = compared(what, "linear", spread([exponent]), plan.TARGETS["exponent"], lower=True)
        yield {"kind": "length", "case": case.name, **found, "exponent": exponent, "ratios": [line]}


def slope(points: Sequence[Sequence[float]]) -> float:
    """The exponent p of seconds = a · length^p, fitted to the logarithms by least squares."""
    xs, ys = ([math.log(point[n]) for point in points] for n in (0, 1))
    return statistics.linear_regression(xs, ys).slope


def growth(bench: Bench) -> Record:
    """Medians of each size, measured in turns, in a process for each."""
    text = corpus.text()
    answers: dict[int, list[Record]] = {pairs: [] for pairs in bench.plan.scaling_pairs}
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
    sizes = [{key: statistics.median(one[key] for one in found) for key in found[0]} for found in answers.values()]
    return {"kind": "corpus", "sizes": sizes, "runs": answers, "ratios": flatness(sizes)}


def flatness(sizes: Sequence[Record]) -> list[Record]:
    """The largest corpus against the smallest: time a token, and memory."""
    first, last = sizes[0], sizes[-1]
    lines = []
    for key, what in (("sum_us", "cost a token"), ("pipeline_us", "input pipeline a token"), ("private_mb", "memory")):
        relative = spread([last[key] / first[key]]) if first[key] else None
        target = None if key == "pipeline_us" else FLAT
        name, base = f"{what}, {last['pairs']:,} pairs", f"{first['pairs']:,} pairs"
        lines.append(compared(name, base, relative, target, lower=True))
    return lines


def ask(bench: Bench, text: corpus.Text, folder: Path, pairs: int, build: bool) -> Record:
    """Write a corpus of so many pairs (``build``), or measure on it, in a process of its own.

    Raises:
        Failed: the process ended with an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"pairs": pairs, "folder": str(folder / str(pairs)), "build": build}
    spec = {"data": str(text.folder), "vocabulary": text.vocabulary, "threads": bench.threads, "seed": 1, **about}
    spec |= {"batch_tokens": 2_000, "seconds": 4 * bench.plan.seconds}
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    try:
        said = output_of([sys.executable, "-m", "scripts.bench.workers.growth", str(path)], bench.threads)
        return dict(json.loads(said))
    except Failed as failed:
        raise Failed(f"{pairs:,} pairs: {failed}") from failed
