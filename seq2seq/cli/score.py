"""What ``seq2seq score`` does: statistics of plain hypothesis files from any system. Knows files; loads no torch."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seq2seq.data import files
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import USUAL, SufficientStatistics, TextMetric
from seq2seq.evaluation.statistics import SEEDS, SMALL, Indices, by_bucket, difference, holm, interval
from seq2seq.study.options import BUCKETS, bucket_edges

TESTS = ("p_bootstrap", "p_randomisation")
Row = dict[str, Any]


@dataclass(frozen=True)
class _System:
    """A system's name, the file of each seed, and by metric the sufficient statistics of each seed's sentences."""

    name: str
    files: list[str]
    statistics: dict[str, list[SufficientStatistics]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "systems",
        nargs="+",
        metavar="HYP",
        help="translations, a line each: FILE, NAME=FILE, or NAME=FILE,FILE,… (seeds)",
    )
    parser.add_argument("--ref", metavar="FILE", required=True, help="the reference translations, line by line")
    parser.add_argument("--src", metavar="FILE", help="the source text: scores by its length in words as well")
    parser.add_argument("--lang", default="en", help="target language: zh, ja and ko are tokenised their own way")
    parser.add_argument("--buckets", metavar="N,N,…", help=f"where buckets of source length end (default {BUCKETS})")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(given: argparse.Namespace) -> None:
    """Score, compare and print.

    Raises:
        UserError: files that are missing, not UTF-8 or not line by line beside each other; buckets that are none.
    """
    if given.buckets and not given.src:
        raise UserError("--buckets are of source length: give --src as well")
    edges = bucket_edges(given.buckets or BUCKETS)
    named = [_named(argument) for argument in given.systems]
    for name, _ in named:
        if [other for other, _ in named].count(name) > 1:
            raise UserError(f"two systems are called {name}: name them, NAME=FILE (seeds of one: NAME=FILE,FILE)")
    references = _lines(given.ref)
    lengths = [len(line.split()) for line in _beside(given.src, given.ref, references)] if given.src else []
    texts = {path: _beside(path, given.ref, references) for _, paths in named for path in paths}
    systems = [
        _System(
            name,
            paths,
            {metric.label: [metric.statistics(texts[p], references, given.lang) for p in paths] for metric in USUAL},
        )
        for name, paths in named
    ]
    report = _report(systems, lengths, edges)
    report["signatures"] = {metric.label: metric.signature(given.lang) for metric in USUAL}
    if given.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report)


# -------------------------------------------------------------------------------------------------------- files


def _named(argument: str) -> tuple[str, list[str]]:
    """A system's name and its files; what exists as it stands is a file, whatever signs are in its name."""
    name, equals, rest = argument.partition("=")
    if not equals or Path(argument).exists():
        return argument, [argument]
    paths = [rest] if Path(rest).is_file() else rest.split(",")
    if not name or not all(paths):
        raise UserError(f"{argument}: give NAME=FILE, or NAME=FILE,FILE for the seeds of one system")
    if len(set(paths)) < len(paths):
        raise UserError(f"{argument}: one file stands for two seeds")
    return name, paths


def _lines(path: str) -> list[str]:
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise UserError(f"{path}: not a regular file: write it to one first")
    files.measure(path)
    return list(files.lines(path))


def _beside(path: str, ref: str, references: Sequence[str]) -> list[str]:
    lines = _lines(path)
    if len(lines) != len(references):
        raise UserError(f"{path} has {len(lines):,} lines but {ref} has {len(references):,}: give a line for each")
    return lines


# ------------------------------------------------------------------------------------------------------- report


def _report(systems: Sequence[_System], lengths: Sequence[int], edges: Sequence[int]) -> dict[str, Any]:
    """Everything that is printed, as plain data."""
    sentences = len(systems[0].statistics[USUAL[0].label][0])
    everything = np.arange(sentences)
    buckets = by_bucket(lengths, edges) if lengths else []
    by_length: list[Row] = [
        {
            "words": bucket.name,
            "sentences": len(bucket.indices),
            "small": bucket.small,
            "systems": _scored(systems, bucket.indices),
            "differences": _compared(systems, bucket.indices),
        }
        for bucket in buckets
    ]
    overall = _compared(systems, everything)
    _correct(overall)
    _correct([row for bucket in by_length for row in bucket["differences"]])
    return {
        "sentences": sentences,
        "systems": _scored(systems, everything),
        "differences": overall,
        "by_length": by_length,
    }


def _scored(systems: Sequence[_System], chosen: Indices) -> list[Row]:
    rows = []
    for system in systems:
        row: Row = {"system": system.name, "files": system.files}
        for metric in USUAL:
            counts = [seed[chosen] for seed in system.statistics[metric.label]]
            seeds = [float(metric.score(seed.sum(0))) for seed in counts]
            row[metric.label] = {**asdict(interval(counts, metric)), "seeds": seeds}
        rows.append(row)
    return rows


def _compared(systems: Sequence[_System], chosen: Indices) -> list[Row]:
    """The difference of each pair of systems in each metric."""

    def of(system: _System, metric: TextMetric) -> list[SufficientStatistics]:
        return [seed[chosen] for seed in system.statistics[metric.label]]

    return [
        {"a": a.name, "b": b.name, "metric": metric.label, **asdict(difference(of(a, metric), of(b, metric), metric))}
        for metric in USUAL
        for a, b in itertools.combinations(systems, 2)
    ]


def _correct(rows: Sequence[Row]) -> None:
    """Add to each p-value what is left of it after Holm's correction for all that were asked in its metric."""
    for metric, test in itertools.product(USUAL, TESTS):
        family = [row for row in rows if row["metric"] == metric.label]
        for row, adjusted in zip(family, holm([row[test] for row in family]), strict=True):
            row[f"{test}_holm"] = adjusted


# ------------------------------------------------------------------------------------------------------- tables


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False, markup=False)
    names = [metric.label for metric in USUAL]
    table = _table(f"{report['sentences']:,} sentences", ["system", "seeds", *names])
    for row in report["systems"]:
        table.add_row(Text(row["system"]), str(len(row["files"])), *(_range(row[name]) for name in names))
    console.print(table)
    if report["differences"]:
        _print_differences(console, report["differences"])
    if report["by_length"]:
        _print_lengths(console, report["by_length"], names)
    for name, signature in report["signatures"].items():
        Console(highlight=False, markup=False, soft_wrap=True).print(f"{name} signature  {signature}")
    covers = {row[name]["covers"] for row in report["systems"] for name in names}
    for each in sorted(covers, reverse=True):
        which = f"of {SEEDS} seeds or more" if each != "sentences" else f"of fewer than {SEEDS} seeds"
        console.print(f"95 % intervals {which} cover {each}{'' if each != 'sentences' else ' alone'}")


def _print_differences(console: Console, differences: Sequence[Row]) -> None:
    for metric in USUAL:
        columns = ["system", "less", metric.label, "boot.", "Holm", "rand.", "Holm"]
        table = _table(f"differences in {metric.label}", columns)
        for row in differences:
            if row["metric"] == metric.label:
                p_values = (_p(row[test + end]) for test in TESTS for end in ("", "_holm"))
                table.add_row(Text(row["a"]), Text(row["b"]), _gap(row), *p_values)
        console.print(table)
    console.print(
        "p-values. boot.: the paired bootstrap as in sacreBLEU, which is lenient, or from\n"
        "three seeds on the t of the interval; rand.: approximate randomisation, of these\n"
        "very outputs; Holm: corrected for the number of pairs"
    )


def _print_lengths(console: Console, by_length: Sequence[Row], names: Sequence[str]) -> None:
    scores = _table("by words of the source", ["words", "sent.", "system", *names])
    gaps = _table("differences by words of the source", ["words", "system", "less", "in", "points", "boot.", "rand."])
    for bucket in by_length:
        words = f"{bucket['words']}{'*' if bucket['small'] else ''}"
        for row in bucket["systems"]:
            scores.add_row(
                words, f"{bucket['sentences']:,}", Text(row["system"]), *(_range(row[name]) for name in names)
            )
        for row in bucket["differences"]:
            p_values = (_p(row[f"{test}_holm"]) for test in TESTS)
            gaps.add_row(words, Text(row["a"]), Text(row["b"]), row["metric"], _gap(row), *p_values)
        scores.add_section()
        gaps.add_section()
    console.print(scores)
    if gaps.row_count:
        console.print(gaps)
        console.print("p-values by Holm, corrected for all pairs and buckets")
    if any(bucket["small"] for bucket in by_length):
        console.print(f"* fewer than {SMALL} sentences: too few to speak")


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        text = column in ("words", "system", "less", "in")
        table.add_column(column, justify="left" if text else "right", overflow="fold")
    return table


def _range(row: Row) -> str:
    return f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _gap(row: Row) -> str:
    return f"{row['value']:+.2f} ± {(row['high'] - row['low']) / 2:.2f}"


def _p(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
