"""Writes the results and both reports of them into a folder, each file whole or not at all."""

from __future__ import annotations

from pathlib import Path

from scripts.bench.figures import Results
from scripts.bench.report.markdown import report
from scripts.bench.report.plot import draw


def write(results: Results, out: Path) -> None:
    """bench.json and bench.md, and bench.svg and bench.png where there is something to draw."""
    from seq2seq.system.files import write_atomically, write_json

    write_json(out / "bench.json", results)
    write_atomically(out / "bench.md", report(results))
    draw(results, out)
