"""The plot: tokens a second of everybody, a panel for each case. Knows plain data and matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plan import LABELS

OURS, THEIRS = "#1f5fa8", "#b8bfc7"


def panels(results: dict[str, Any]) -> list[tuple[str, list[tuple[str, dict[str, float], bool]]]]:
    """Title and bars (label, spread, ours?) of each panel, the slowest bar first."""
    found = []
    for part in ("train", "decode"):
        for piece in results.get(part) or []:
            how = "" if part == "train" else ", greedy" if piece["beam"] == 1 else f", beam {piece['beam']}"
            bars = [
                (f"{LABELS[row['contender']]} {row['precision']}", row["tokens_per_second"], row["contender"] == "ours")
                for row in piece["rows"]
                if row["tokens_per_second"]
            ]
            if bars:
                found.append((f"{part} {piece['case']}{how}", sorted(bars, key=lambda bar: bar[1]["median"])))
    return found


def draw(results: dict[str, Any], out: Path) -> None:
    """bench.svg and bench.png; nothing where there is nothing to draw."""
    shown = panels(results)
    if not shown:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 2
    heights = [len(bars) for _, bars in shown]
    rows = -(-len(shown) // columns)
    tall = [max(heights[columns * row : columns * (row + 1)]) + 1.5 for row in range(rows)]
    figure, axes = pyplot.subplots(
        rows,
        columns,
        squeeze=False,
        figsize=(11, 0.32 * sum(tall) + 0.4),
        height_ratios=tall,
        layout="constrained",
    )
    for panel, axis in enumerate(axes.flat):
        if panel >= len(shown):
            axis.axis("off")
            continue
        title, bars = shown[panel]
        middle = [bar[1]["median"] for bar in bars]
        errors = [
            [bar[1]["median"] - bar[1]["min"] for bar in bars],
            [bar[1]["max"] - bar[1]["median"] for bar in bars],
        ]
        colours = [OURS if bar[2] else THEIRS for bar in bars]
        axis.barh(range(len(bars)), middle, xerr=errors, color=colours, error_kw={"lw": 0.8, "ecolor": "#444"})
        axis.set_yticks(range(len(bars)), [bar[0] for bar in bars], fontsize=8)
        axis.set_title(title, fontsize=9, loc="left")
        axis.tick_params(axis="x", labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("target tokens a second (median, smallest–largest)", fontsize=8)
    for name in ("bench.svg", "bench.png"):
        temporary = out / f".{name}"
        figure.savefig(temporary, format=name.rpartition(".")[2], dpi=130)
        temporary.replace(out / name)
    pyplot.close(figure)
