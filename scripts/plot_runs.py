"""Draw finished runs beside each other: validation BLEU while training, and test BLEU by source length.

    python scripts/plot_runs.py outputs/embedded/*/seed1 --out docs/three-models.svg

Every figure comes from what the runs left behind (metrics.jsonl and evaluations/test/scores.json).
"""

from __future__ import annotations

import argparse
import sys
from itertools import cycle
from pathlib import Path

from seq2seq.errors import UserError
from seq2seq.runs.run import Run

MARKERS = "osD^v"


def draw(runs: list[Run], out: Path) -> None:
    """Two panels: how BLEU grew, and how it depends on the length of the source."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for run, marker in zip(runs, cycle(MARKERS), strict=False):
        name = run.load_config().model.name
        curve = run.curve("valid/bleu")
        left.plot(list(curve), list(curve.values()), label=name, marker=marker, markersize=3)
        rows = run.load_summary()["test"]["by_length"]
        labels = [f"{row['third']}\n{row['from_words']}–{row['to_words']} words" for row in rows]
        right.plot(labels, [row["bleu"] for row in rows], label=name, marker=marker)
    left.set(xlabel="updates", ylabel="validation BLEU (greedy)", ylim=(0, 100))
    right.set(xlabel="third of the test sentences, by source length", ylabel="test BLEU", ylim=(0, 100))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def main() -> int:
    """Read the command line, draw, say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--out", type=Path, default=Path("runs.svg"), help="picture, SVG or PNG")
    given = parser.parse_args()
    try:
        draw([Run(folder) for folder in given.runs], given.out)
    except UserError as error:
        print(f"plot_runs: error: {error}", file=sys.stderr)
        return 2
    print(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
