"""The part ``memory``: the turns of a long training, what a process holds, and the lines of the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.bench import plan
from scripts.bench.context import Bench
from scripts.bench.figures import held_after, record_of
from scripts.bench.parts import memory
from scripts.bench.report.markdown import report
from scripts.bench.report.tables import number
from scripts.bench.worker import Row

GROWS = """
held = []
channel.ready("1", 7, precision="bf16")
for batch in channel.batches(itertools.repeat(50), lambda batch: batch):
    held.append(b"x" * channel.spec["mebibytes"] * 2**20)
    time.sleep(0.01)
"""


def test_what_is_held_is_seen_as_it_grows(fake: Callable[..., Row], tmp_path: Path) -> None:
    rows = [fake(GROWS, "ours", "auto", mebibytes=1), fake(GROWS, "commit 1", "auto", mebibytes=4)]
    bench = Bench(plan.Plan("tiny", seconds=0.05), "cpu", 1, tmp_path)
    curves = memory.grow(rows, 1_000, bench)
    for curve, each in zip(curves, (1, 4), strict=True):
        assert len(curve) >= 3 and curve[-1][0] >= 1_000
        (first, before, _), (last, after, most) = curve[0], curve[-1]
        assert after - before == pytest.approx((last - first) / 50 * each, rel=0.3) and most >= after
    records = [{**record_of(row), "points": points} for row, points in zip(rows, curves, strict=True)]
    held, speed = memory.ratios(plan.MEMORY_CASE, 1_000, records, ["commit 1"])
    assert held["ratio"]["median"] < 0.8 and held["lower"] is True and held["target"] == 0.5
    assert speed["against"] == "commit 1 bf16" and speed["ratio"]["median"] > 0.3
    about = {"case": "transformer-256", "batch_tokens": 4_000, "size": {"width": 256}, "epoch": 1_000, "epochs": 1}
    text = {"pieces": 8, "pairs": 9, "source": "text"}
    found = report({"memory": [{**about, "threads": 1, "corpus": text, "rows": records, "ratios": [held]}]})
    assert "| memory transformer-256: resident after an epoch, an older commit | commit 1 |" in found
    assert f" {number(held_after(curves[1], 1_000))} MiB |" in found


def test_what_was_not_reached_is_no_figure() -> None:
    points = [[10, 100.0, 110.0], [20, 120.0, 130.0]]
    assert held_after(points, 11) == 120.0 and held_after(points, 21) is None and held_after([], 0) is None
    row = {"contender": "ours", "asked": "auto", "failed": None, "tokens_per_second": None, "points": points}
    assert [line["ratio"] for line in memory.ratios(plan.MEMORY_CASE, 10, [row], ["commit 1"])] == [None, None]
