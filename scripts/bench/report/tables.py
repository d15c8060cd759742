"""Figures as people read them, and tables of them: one for Markdown, one of columns for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scripts.bench.figures import Record, Results, Spread
from scripts.bench.plan import LABELS
from scripts.bench.report.results import disturbed, lines

Columns = Mapping[str, Callable[[Any], object]]
"""The columns of a table: their headings, and the text that each takes from a record."""


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many significant digits; integers above 100 keep all of theirs."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(digits - len(str(int(abs(value)))), 0)}f}"


def spread(value: Spread | None, suffix: str = "") -> str:
    """Median [smallest–largest]; of a figure that was measured once, that figure alone."""
    if not value:
        return "–"
    if value["min"] == value["max"]:
        return f"{number(value['median'])}{suffix}"
    return f"{number(value['median'])}{suffix} [{number(value['min'])}–{number(value['max'])}]"


def label(name: str | None) -> str:
    """The name of a contender, and of its precision where it has one, as people know it."""
    contender, _, precision = (name or "–").partition(" ")
    return f"{LABELS[contender]} {precision}".strip() if contender in LABELS else (name or "–")


def target(line: Record) -> str:
    """The target of a line of the table of ratios: at least, or at most."""
    if line.get("target") is None:
        return ""
    return f"{'≤ ' if line.get('lower') else '≥ '}{line['target']:g}×"


def verdict(line: Record) -> str:
    """Whether a line's target is reached; empty where it has none."""
    if line.get("target") is None:
        return ""
    return {True: "reached", False: "not reached", None: "not measured"}[line.get("reached")]


def markdown(columns: Columns, records: Iterable[Any]) -> list[str]:
    """A Markdown table of a row for each record, all columns but the first aligned to the right; empty without rows."""
    head, align = list(columns), ["---"] + ["---:"] * (len(columns) - 1)
    rows = [[str(column(record)) for column in columns.values()] for record in records]
    return [f"| {' | '.join(row)} |" for row in (head, align, *rows)] + [""] if rows else []


def ratios(results: Results) -> tuple[Columns, list[Record]]:
    """The table of ratios: its columns and its lines. On a disturbed machine it has ratios by processor seconds too."""
    columns: dict[str, Callable[[Any], object]] = {
        "ours": lambda line: line["what"],
        "against": lambda line: label(line["against"]),
        "ratio": lambda line: spread(line["ratio"], "×"),
        "target": target,
        "": verdict,
    }
    if disturbed(results):
        columns["by processor seconds"] = lambda line: spread(line.get("by_cpu"), "×")
    return columns, lines(results)
