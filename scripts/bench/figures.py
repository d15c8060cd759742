"""Arithmetic on measurements: rates, spreads, ratios, and the lines of the table of ratios. Starts no process."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from scripts.bench.worker import Row

Spread = dict[str, float]
"""``median``, ``min`` and ``max`` of a figure over the rounds."""
Record = dict[str, Any]
"""Plain data as it is written to bench.json."""
Results = dict[str, Any]
"""The content of bench.json: for each part its records, and ``about`` and ``failed``."""
Points = list[list[float]]
"""Memory after each slice: target tokens so far, MiB resident then, and MiB at most so far."""

SAME_LOSS = 1e-3  # relative difference up to which two losses are the same quantity


def records(results: Results, part: str) -> list[Record]:
    """The records of a part so far, those kept from an earlier run included."""
    return results.get(part) or []


def spread(values: Sequence[float]) -> Spread | None:
    """Median, smallest and largest; None of an empty sequence."""
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """The spread of ours / theirs, round by round: both slices of a round were measured side by side."""
    return spread([a / b for a, b in zip(ours, theirs, strict=False) if b])


def compared(
    what: str, against: str | None, ratio: Spread | None, target: float | None = None, lower: bool = False
) -> Record:
    """A line of the table of ratios. The target is reached at its value or above; with ``lower``, at it or below."""
    reached = None
    if ratio is not None and target is not None:
        reached = ratio["median"] <= target if lower else ratio["median"] >= target
    line = {"what": what, "against": against, "ratio": ratio, "target": target, "reached": reached}
    return {**line, **({"lower": True} if lower else {})}


def record_of(row: Row) -> Record:
    """A row as it is written to bench.json."""
    latest = row.slices[-1] if row.slices else {}
    rates = [one["tokens"] / one["seconds"] for one in row.slices]
    updates = sum(one["updates"] for one in row.slices)
    return {
        "contender": row.contender,
        "precision": row.about.get("precision", row.precision),
        "asked": row.precision,
        "failed": row.failed,
        **{key: row.about.get(key) for key in ("version", "parameters", "seconds_to_ready")},
        "notes": row.about.get("notes", []),
        "first_update_seconds": row.warmup.get("first_update_seconds"),
        "tokens_per_second": spread(rates),
        "rates": rates,
        # Tokens a processor second: they can be compared even when other programs use the machine.
        "cpu_rates": [one["tokens"] / one["cpu_seconds"] for one in row.slices if one.get("cpu_seconds")],
        "taken": spread([one["taken"] for one in row.slices if one.get("taken") is not None]),
        "updates": updates,
        "tokens_per_update": sum(one["tokens"] for one in row.slices) / max(updates, 1),
        **{key: latest.get(key) for key in ("rss_mb", "cuda_mb")},
        "check": row.check,
        "flops_per_token": row.about.get("flops_per_token"),
    }


def checked(answer: Record) -> Record:
    """A worker's answer to a check, with ``same``: whether the toolkit's loss and the one recomputed agree."""
    check = answer.get("check")
    if not check:
        return {"same": None, "error": answer.get("error", "no answer")}
    own, recomputed = float(check["own"]), float(check["recomputed"])
    return {"own": own, "recomputed": recomputed, "same": abs(own - recomputed) <= SAME_LOSS * abs(recomputed)}


def median(row: Record) -> float:
    """Median tokens a second of a record; 0 where the record must not be compared with.

    That is a record without a rate, one that failed after some slices, or one whose loss is not the cross-entropy.
    """
    counts = row["tokens_per_second"] and not row["failed"] and (row.get("check") or {}).get("same") is not False
    return float(row["tokens_per_second"]["median"]) if counts else 0.0


def fastest(rows: Sequence[Record], contenders: Sequence[str], precision: str | None = None) -> Record | None:
    """The fastest record of some contenders, in any precision or in one; None where none was measured."""
    fit = [row for row in rows if row["contender"] in contenders and precision in (None, row["precision"])]
    best = max(fit, key=median, default=None)
    return best if best and median(best) else None


def our_default(rows: Sequence[Record], contender: str = "ours") -> Record | None:
    """Our record (an older commit's) in the precision that a user gets by default; None where it was not measured."""
    return next((row for row in rows if row["contender"] == contender and row["asked"] == "auto" and median(row)), None)


def versus(what: str, ours: Record | None, theirs: Record | None, target: float | None = None) -> Record:
    """The line that compares two records; without a ratio where one of them is None."""
    if not ours or not theirs:
        return compared(what, None, None, target)
    against = f"{theirs['contender']} {theirs['precision']}"
    by_cpu = ratio(ours.get("cpu_rates", []), theirs.get("cpu_rates", []))
    line = compared(what, against, ratio(ours["rates"], theirs["rates"]), target)
    return {**line, "by_cpu": by_cpu, "ours": f"ours {ours['precision']}"}


def earlier(what: str, rows: Sequence[Record], commits: Sequence[str]) -> list[Record]:
    """The lines that compare ours with older commits of this project, in the default precision and in float32."""
    lines = []
    for commit in commits:
        theirs = our_default(rows, commit)
        lines.append(versus(f"{what}: an older commit", our_default(rows), theirs))
        both = fastest(rows, ["ours"], "fp32"), fastest(rows, [commit], "fp32")
        if all(both) and both[1] is not theirs:
            lines.append(versus(f"{what}: an older commit, both in float32", *both))
    return lines


def held_after(points: Points, tokens: float) -> float | None:
    """MiB resident after so many target tokens; None where so many were not trained on."""
    return next((resident for done, resident, _ in points if done >= tokens), None)
