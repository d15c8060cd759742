"""``seq2seq score``. Knows files and tables; the statistics are ``evaluation``'s. Loads no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.errors import UserError
from seq2seq.study.options import BUCKETS, bucket_edges
from seq2seq.system.files import is_there

WORDS = ("system", "less", "in")  # columns that hold no figures
P_VALUES = """p-values. boot.: the paired bootstrap as in sacreBLEU, which is lenient, or from
three seeds on the t of the interval; rand.: approximate randomisation, of these
very outputs; Holm: corrected for the number of pairs"""


def parser() -> Parser:
    taken = Parser("score", "Scores of any systems' translations, with intervals and tests.")
    kinds = "translations, a line each: FILE, NAME=FILE, or NAME=FILE,FILE,… (seeds)"
    taken.add_argument("systems", nargs="+", metavar="HYP", help=kinds)
    taken.add_argument("--ref", metavar="FILE", required=True, help="the reference translations, line by line")
    taken.add_argument("--src", metavar="FILE", help="the source text: scores by its length as well")
    lang = "code of the target language, which decides BLEU's tokeniser (default: by the references' letters)"
    taken.add_argument("--lang", metavar="CODE", help=lang)
    buckets = f"where buckets of source length end (default: {BUCKETS})"
    taken.add_argument("--buckets", metavar="N,N,…", help=buckets)
    taken.add_argument("--json", action="store_true", help="print everything as JSON")
    return taken


def validate(given: Arguments) -> tuple[dict[str, list[str]], list[int] | None]:
    """The files of each system, by its name, and the ends of the buckets, if given. Raises ``UserError``."""
    if given.buckets and not given.src:
        raise UserError("--buckets are of source length: give --src as well")
    edges = bucket_edges(given.buckets) if given.buckets else None
    named: dict[str, list[str]] = {}
    for name, paths in map(_named, given.systems):
        if name in named:
            raise UserError(f"two systems are called {name}: name them, NAME=FILE (seeds of one: NAME=FILE,FILE)")
        named[name] = paths
    return named, edges


def run(given: Arguments, valid: tuple[dict[str, list[str]], list[int] | None]) -> int:
    """Score, compare, print. Raises ``UserError``: a file is missing, not UTF-8, or has another number of lines."""
    from seq2seq.data.files import all_lines
    from seq2seq.evaluation.languages import form_notices, read_language, word_notices
    from seq2seq.evaluation.lengths import unit_of
    from seq2seq.evaluation.metrics import tokenizer_notices
    from seq2seq.evaluation.scoring import System, score_systems

    named, edges = valid
    references = _lines(given.ref)
    sources = all_lines(given.src, references, given.ref) if given.src else []
    unit = unit_of(sources)
    texts = {name: {path: _lines(path, references, given.ref) for path in paths} for name, paths in named.items()}
    sides = {given.ref: references, **{path: text for seeds in texts.values() for path, text in seeds.items()}}
    tgt, told = read_language(given.lang, references, "--lang")
    language = tgt or ""
    notices = [told] if told else []
    notices += [*tokenizer_notices(language), *word_notices(language, references, "--lang"), *form_notices(sides)]
    for notice in notices:
        print(notice, file=sys.stderr)
    systems = [System.of(name, seeds, references, language) for name, seeds in texts.items()]
    report = score_systems(systems, unit.counts(sources), unit.edges(edges), language, unit.name)
    if given.json:
        from seq2seq.system.files import to_json

        print(to_json(report, indent=2))
    else:
        _print(report)
    return 0


def _named(argument: str) -> tuple[str, list[str]]:
    """A system's name and its files; what exists as it stands is a file, whatever signs are in its name."""
    name, equals, rest = argument.partition("=")
    if not equals or is_there(argument):
        return argument, [argument]
    paths = [rest] if Path(rest).is_file() else rest.split(",")
    if not name or not all(paths):
        raise UserError(f"{argument}: give NAME=FILE, or NAME=FILE,FILE for the seeds of one system")
    if len(set(paths)) < len(paths):
        raise UserError(f"{argument}: one file stands for two seeds")
    return name, paths


def _lines(path: str, references: Sequence[str] | None = None, ref: str = "") -> list[str]:
    """The lines of a file that is to be scored, one for each of the ``references``, which stand in ``ref``."""
    from seq2seq.data.files import all_lines
    from seq2seq.evaluation.metrics import USUAL, check_scored_lengths

    lines = all_lines(path, references, ref)
    check_scored_lengths(lines, path, USUAL)
    return lines


def _print(report: dict[str, Any]) -> None:
    from seq2seq.evaluation.statistics import SEEDS
    from seq2seq.terminal.tables import print_table, say

    names = list(report["signatures"])
    rows = [(row["system"], str(len(row["files"])), *_ranges(row, names)) for row in report["systems"]]
    print_table(f"{report['sentences']:,} sentences", ("system", "seeds", *names), rows, WORDS)
    if report["differences"]:
        for name in names:
            columns = ("system", "less", name, "boot.", "Holm", "rand.", "Holm")
            chosen = (row for row in report["differences"] if row["metric"] == name)
            gaps = [(row["a"], row["b"], *_gap(row, "", "_holm")) for row in chosen]
            print_table(f"differences in {name}", columns, gaps, WORDS)
        print(P_VALUES)
    if report["by_length"]:
        _print_lengths(report["by_length"], names)
    for name, signature in report["signatures"].items():
        say(f"{name} signature  {signature}")
    covers = {row[name]["covers"] for row in report["systems"] for name in names}
    for each in sorted(covers, reverse=True):
        which = f"of {SEEDS} seeds or more" if each != "sentences" else f"of fewer than {SEEDS} seeds"
        print(f"95 % intervals {which} cover {each}{'' if each != 'sentences' else ' alone'}")


def _print_lengths(by_length: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    from seq2seq.evaluation.statistics import SMALL
    from seq2seq.terminal.tables import print_table

    scores: list[tuple[str, ...] | None] = []
    gaps: list[tuple[str, ...] | None] = []
    for bucket in by_length:
        length, size = f"{bucket['words']}{'*' if bucket['small'] else ''}", f"{bucket['sentences']:,}"
        scores += [*((length, size, row["system"], *_ranges(row, names)) for row in bucket["systems"]), None]
        differences = bucket["differences"]
        gaps += [*((length, row["a"], row["b"], row["metric"], *_gap(row, "_holm")) for row in differences), None]
    unit = by_length[0]["unit"]
    print_table(f"by {unit} of the source", (unit, "sent.", "system", *names), scores, (unit, *WORDS))
    if any(gaps):
        columns = (unit, "system", "less", "in", "points", "boot.", "rand.")
        print_table(f"differences by {unit} of the source", columns, gaps, (unit, *WORDS))
        print("p-values by Holm, corrected for all pairs and buckets")
    if any(bucket["small"] for bucket in by_length):
        print(f"* fewer than {SMALL} sentences: too few to speak")


def _ranges(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [f"{row[name]['value']:.2f} [{row[name]['low']:.2f}, {row[name]['high']:.2f}]" for name in names]


def _gap(row: dict[str, Any], *endings: str) -> list[str]:
    """A difference with half the width of its interval, and its p-values."""
    from seq2seq.evaluation.scoring import TESTS
    from seq2seq.terminal.numbers import number

    p_values = [row[test + ending] for test in TESTS for ending in endings]
    gap = f"{number(row['value'], 2, signed=True)} ± {(row['high'] - row['low']) / 2:.2f}"
    return [gap, *(f"{value:.4f}".removeprefix("0") for value in p_values)]
