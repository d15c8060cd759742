"""The records of a benchmark on disk, and what all reports read from them. Measures nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.bench.contention import DISTURBED
from scripts.bench.figures import Record, Results, records
from scripts.bench.plan import LABELS, PARTS


def load(out: Path) -> Results:
    """The results of an earlier run in ``out``; empty where there is none."""
    path = out / "bench.json"
    found: Results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def place(found: list[Record], new: Record) -> None:
    """Put a record in the place of an earlier one of the same case, or at the end."""

    def identity(record: Record) -> list[Any]:
        return [record.get(key) for key in ("kind", "case", "beam")]

    same = [n for n, record in enumerate(found) if identity(record) == identity(new)]
    if same:
        found[same[0]] = new
    else:
        found.append(new)


def lines(results: Results) -> list[Record]:
    """Every line of the table of ratios, in the order of the parts that a reader expects."""
    order = ("train", "decode", "quality", "memory", "parallel", "startup", "scaling", "machine")
    return [line for part in order for record in records(results, part) for line in record.get("ratios", [])]


def left_out(results: Results) -> list[str]:
    """The contenders and parts that are left out, where and why: a line each."""
    parts: dict[tuple[str, str], list[str]] = {}
    for part in PARTS:
        compared = [record for record in records(results, part) if "rows" in record]
        for left in dict.fromkeys(left for record in compared for left in record.get("missing", {}).items()):
            parts.setdefault(left, []).append(part)
    found = [f"{LABELS.get(name, name)} ({', '.join(where)}): {why}" for (name, why), where in parts.items()]
    return [*found, *(f"{part}: {why}" for part, why in results.get("failed", {}).items())]


def kept(results: Results) -> list[str]:
    """The records that an earlier run has measured: for each part and run a line with the date and the command."""
    cases: dict[str, list[str]] = {}
    for part in PARTS:
        for record in records(results, part):
            run = record.get("measured", {})
            if run and run["date"] != results["about"]["date"]:
                how = f"{run['date']}, commit {run['commit'] or 'unknown'}, `{run['command']}`"
                cases.setdefault(f"- {part}: {how}", []).append(record.get("case", ""))
    return [line + (f" ({', '.join(dict.fromkeys(names))})" if any(names) else "") for line, names in cases.items()]


def disturbed(results: Results) -> str | None:
    """A warning where other programs used more than a little of the machine; else None."""
    rows = [
        row for part in ("train", "decode", "memory") for record in records(results, part) for row in record["rows"]
    ]
    shares = [row["taken"]["max"] for row in [*rows, *records(results, "parallel")] if row.get("taken")]
    worst = max(shares, default=0.0)
    if worst < DISTURBED:
        return None
    return (
        f"Other processes took up to {worst:.0%} of the machine while this was measured: the figures are NOT TO BE "
        "TRUSTED, those with several threads least."
    )


def speeds(results: Results, part: str) -> list[tuple[str, Record, list[Record]]]:
    """For each record of ``train`` or ``decode``: its title, itself, and the rows that were measured, fastest first."""
    found = []
    for record in records(results, part):
        how = "" if part == "train" else ", greedy" if record["beam"] == 1 else f", beam {record['beam']}"
        rows = [row for row in record["rows"] if row["tokens_per_second"]]
        rows.sort(key=lambda row: -float(row["tokens_per_second"]["median"]))
        found.append((f"{record['case']}{how}", record, rows))
    return found
