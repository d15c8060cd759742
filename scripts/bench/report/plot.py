"""The plot: tokens a second of every contender, a panel for each case. Knows records and matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.bench.figures import Record, Results
from scripts.bench.report.results import speeds
from scripts.bench.report.tables import label

OURS, THEIRS = "#1f5fa8", "#b8bfc7"
COLUMNS = 2


def draw(results: Results, out: Path) -> None:
    """Write bench.svg and bench.png; nothing where nothing was measured."""
    parts = [(f"{part} {title}", rows) for part in ("train", "decode") for title, _, rows in speeds(results, part)]
    shown = [(title, rows) for title, rows in parts if rows]
    if not shown:
        return
    from matplotlib.figure import Figure

    count = -(-len(shown) // COLUMNS)
    tall = [max(len(rows) for _, rows in shown[COLUMNS * n : COLUMNS * (n + 1)]) + 1.5 for n in range(count)]
    figure = Figure(figsize=(11, 0.32 * sum(tall) + 0.4), layout="constrained")
    axes = figure.subplots(count, COLUMNS, squeeze=False, height_ratios=tall)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, (title, rows) in zip(axes.flat, shown, strict=False):
        panel(axis, title, rows[::-1])
    figure.supxlabel("target tokens a second (median, smallest–largest)", fontsize=8)
    for name in ("bench.svg", "bench.png"):
        temporary = out / f".{name}"
        figure.savefig(temporary, format=name.rpartition(".")[2], dpi=130)
        temporary.replace(out / name)


def panel(axis: Any, title: str, rows: list[Record]) -> None:
    """Draw one bar for each row, the first at the bottom."""
    rates = [row["tokens_per_second"] for row in rows]
    errors = [[r["median"] - r["min"] for r in rates], [r["max"] - r["median"] for r in rates]]
    colours = [OURS if row["contender"] == "ours" else THEIRS for row in rows]
    bars = {"xerr": errors, "color": colours, "error_kw": {"lw": 0.8, "ecolor": "#444"}}
    axis.barh(range(len(rows)), [r["median"] for r in rates], **bars)
    axis.set_yticks(range(len(rows)), [label(f"{row['contender']} {row['precision']}") for row in rows], fontsize=8)
    axis.set_title(title, fontsize=9, loc="left")
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
