"""``seq2seq score``. Knows files and tables; the statistics are ``evaluation``'s. Loads no torch."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.errors import UserError
from seq2seq.study.options import BUCKETS, bucket_edges
from seq2seq.system.files import is_there

if TYPE_CHECKING:
    from seq2seq.evaluation.external import ExternalMetric
    from seq2seq.evaluation.scoring import System

NAME = re.compile(r"\w[\w.+-]{0,19}")  # of a metric that was computed elsewhere
TAKEN = ("bleu", "chrf", "ter", "system", "files")  # names that such a metric cannot have
WORDS = ("system", "minus", "in")  # columns that hold no figures
P_VALUES = """p-values. boot.: the paired bootstrap as in sacreBLEU, which is lenient, or from
three seeds on the t of the interval; rand.: approximate randomisation, of these
very outputs; Holm: corrected for the number of pairs"""
UNSIGNED = "no signature of {0} is given, and its scores compare only with those of the same: --signature {0}=TEXT"
PER_TABLE = 2  # metrics; more are not in 80 columns


@dataclass(frozen=True)
class Asked:
    """The files of each system, the ends of the buckets, and of each further metric the files and its signature."""

    systems: dict[str, list[str]]
    edges: list[int] | None
    scores: dict[str, dict[str, list[str]]]  # by metric and system: a file for each of the system's
    signatures: dict[str, str]


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
    scores = (
        "scores of each sentence by another metric, a number a line: METRIC=FILE, or METRIC:NAME=FILE,… of a system"
    )
    taken.add_argument("--scores", action="append", default=[], metavar="METRIC=FILE", help=scores)
    signature = "which version of which model or program such a metric is: METRIC=TEXT"
    taken.add_argument("--signature", action="append", default=[], metavar="METRIC=TEXT", help=signature)
    taken.add_argument("--json", action="store_true", help="print everything as JSON")
    return taken


def validate(given: Arguments) -> Asked:
    """What is to be scored, by what. Raises ``UserError``."""
    if given.buckets is not None and not given.src:
        raise UserError("--buckets are of source length: give --src as well")
    edges = None if given.buckets is None else bucket_edges(given.buckets)
    systems: dict[str, list[str]] = {}
    for name, paths in map(_named, given.systems):
        if name in systems:
            raise UserError(f"two systems are called {name}: name them, NAME=FILE (seeds of one: NAME=FILE,FILE)")
        systems[name] = paths
    scores: dict[str, dict[str, list[str]]] = {}
    for argument in given.scores:
        metric, system, paths = _scores_of_system(argument, systems)
        if system in scores.setdefault(metric, {}):
            raise UserError(f"--scores {argument}: scores of {system} by {metric} are given twice")
        scores[metric][system] = paths
    for metric, system in ((metric, system) for metric in scores for system in systems):
        if system not in scores[metric]:
            raise UserError(f"no scores of {system} by {metric}: give them too, --scores {metric}:{system}=FILE")
    return Asked(systems, edges, scores, _signatures(given.signature, scores))


def run(given: Arguments, asked: Asked) -> int:
    """Score, compare, print. Raises ``UserError``: a file is missing, not UTF-8, or has another number of lines."""
    from seq2seq.data.files import all_lines
    from seq2seq.data.lengths import unit_of
    from seq2seq.evaluation.languages import form_notices, read_language, word_notices
    from seq2seq.evaluation.metrics import USUAL, tokenizer_notices
    from seq2seq.evaluation.scoring import Scored, System, score_systems

    references = _lines(given.ref)
    sources = all_lines(given.src, references, given.ref) if given.src else []
    unit = unit_of(sources)
    texts = {
        name: {path: _lines(path, references, given.ref) for path in paths} for name, paths in asked.systems.items()
    }
    sides = {given.ref: references, **{path: text for seeds in texts.values() for path, text in seeds.items()}}
    tgt, told = read_language(given.lang, references, "--lang")
    language = tgt or ""
    notices = [told] if told else []
    notices += [UNSIGNED.format(name) for name in asked.scores if name not in asked.signatures]
    notices += [*tokenizer_notices(language), *word_notices(language, references, "--lang"), *form_notices(sides)]
    for notice in notices:
        print(notice, file=sys.stderr)
    systems = [System.of(name, seeds, references, language) for name, seeds in texts.items()]
    others = _with_scores(systems, asked, references, given.ref)
    metrics: list[Scored] = [*USUAL, *others]
    lengths, edges = unit.counts(sources), unit.edges(asked.edges)
    report = score_systems(systems, lengths, edges, language, unit.name, metrics)
    if given.json:
        from seq2seq.system.files import to_json

        print(to_json(report, indent=2))
    else:
        _print(report, {metric.label: metric.decimals for metric in metrics})
    return 0


def _named(argument: str) -> tuple[str, list[str]]:
    """A system's name and its files; what exists as it stands is a file, whatever signs are in its name."""
    name, equals, rest = argument.partition("=")
    if not equals or is_there(argument):
        return argument, [argument]
    paths = _paths(rest)
    if not name or not all(paths):
        raise UserError(f"{argument}: give NAME=FILE, or NAME=FILE,FILE for the seeds of one system")
    if len(set(paths)) < len(paths):
        raise UserError(f"{argument}: one file stands for two seeds")
    return name, paths


def _paths(text: str) -> list[str]:
    """The files of ``FILE,FILE,…``; a file whose name has a comma is one."""
    return [text] if is_there(text) else text.split(",")


def _scores_of_system(argument: str, systems: Mapping[str, list[str]]) -> tuple[str, str, list[str]]:
    """The metric, the system and the files of ``METRIC:SYSTEM=FILE,…``; the only system need not be named."""
    metric, rest = re.split(r"(?=[:=])", argument, maxsplit=1) if re.search("[:=]", argument) else (argument, "")
    if not NAME.fullmatch(metric) or metric.casefold() in TAKEN:
        advice = f"a name of letters and digits, but none of {', '.join(TAKEN)}"
        raise UserError(f"--scores {argument}: give METRIC=FILE or METRIC:SYSTEM=FILE, with {advice}")
    known = ", ".join(systems)
    if rest.startswith("="):
        if len(systems) > 1:
            raise UserError(f"--scores {argument}: of which system? Give {metric}:NAME=FILE for each of {known}")
        [system], files = systems, rest[1:]
    else:
        fitting = [name for name in systems if rest[1:].startswith(f"{name}=")]
        if not fitting:
            raise UserError(f"--scores {argument}: give {metric}:NAME=FILE, where NAME is one of {known}")
        system = max(fitting, key=len)
        files = rest[len(system) + 2 :]
    paths = _paths(files)
    if not all(paths) or len(paths) != len(systems[system]):
        number = len(systems[system])
        raise UserError(f"--scores {argument}: give {number} file{'s' * (number > 1)}, one for each of {system}'s")
    return metric, system, paths


def _signatures(arguments: Sequence[str], known: Mapping[str, Any]) -> dict[str, str]:
    """The signature of each metric for which one was given."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, _, text = argument.partition("=")
        if name not in known:
            raise UserError(f"--signature {argument}: give METRIC=TEXT for a metric of --scores")
        if name in found or not text.strip() or not text.isprintable():
            raise UserError(f"--signature {argument}: give one line of text, once for each metric")
        found[name] = text.strip()
    return found


def _with_scores(systems: Sequence[System], asked: Asked, references: list[str], ref: str) -> list[ExternalMetric]:
    """The metrics that were computed elsewhere; their statistics are added to those of the systems."""
    from seq2seq.data.files import all_lines
    from seq2seq.evaluation.external import ExternalMetric, statistics_of

    for metric, of_systems in asked.scores.items():
        for system in systems:
            paths = of_systems[system.name]
            system.statistics[metric] = [statistics_of(all_lines(path, references, ref), path) for path in paths]
    return [
        ExternalMetric.named(
            metric, [seed for each in systems for seed in each.statistics[metric]], asked.signatures.get(metric)
        )
        for metric in asked.scores
    ]


def _lines(path: str, references: Sequence[str] | None = None, ref: str = "") -> list[str]:
    """The lines of a file that is to be scored, one for each of the ``references``, which stand in ``ref``."""
    from seq2seq.data.files import all_lines
    from seq2seq.evaluation.metrics import USUAL, check_scored_lengths

    lines = all_lines(path, references, ref)
    check_scored_lengths(lines, path, USUAL)
    return lines


def _print(report: dict[str, Any], decimals: Mapping[str, int]) -> None:
    from seq2seq.evaluation.statistics import SEEDS
    from seq2seq.terminal.tables import print_table, say

    names = list(report["signatures"])
    for shown in _portions(names):
        rows = [(row["system"], str(len(row["files"])), *_ranges(row, shown, decimals)) for row in report["systems"]]
        print_table(f"{report['sentences']:,} sentences", ("system", "seeds", *shown), rows, WORDS)
    if report["differences"]:
        for name in names:
            columns = ("system", "minus", name, "boot.", "Holm", "rand.", "Holm")
            chosen = (row for row in report["differences"] if row["metric"] == name)
            gaps = [(row["a"], row["b"], *_gap(row, decimals, "", "_holm")) for row in chosen]
            print_table(f"differences in {name}", columns, gaps, WORDS)
        print(P_VALUES)
    if report["by_length"]:
        _print_lengths(report["by_length"], names, decimals)
    for name, signature in report["signatures"].items():
        say(f"{name} signature  {signature or 'not given'}")
    covers = {row[name]["covers"] for row in report["systems"] for name in names}
    for each in sorted(covers, reverse=True):
        which = f"of {SEEDS} seeds or more" if each != "sentences" else f"of fewer than {SEEDS} seeds"
        print(f"95 % intervals {which} cover {each}{'' if each != 'sentences' else ' alone'}")


def _print_lengths(by_length: Sequence[dict[str, Any]], names: Sequence[str], decimals: Mapping[str, int]) -> None:
    from seq2seq.evaluation.statistics import SMALL
    from seq2seq.terminal.tables import print_table

    unit = by_length[0]["unit"]
    words = [f"{bucket['words']}{'*' if bucket['small'] else ''}" for bucket in by_length]
    for shown in _portions(names):
        scores: list[tuple[str, ...] | None] = []
        for label, bucket in zip(words, by_length, strict=True):
            size = f"{bucket['sentences']:,}"
            scores += [
                *((label, size, row["system"], *_ranges(row, shown, decimals)) for row in bucket["systems"]),
                None,
            ]
        print_table(f"by {unit} of the source", (unit, "sent.", "system", *shown), scores, (unit, *WORDS))
    gaps: list[tuple[str, ...] | None] = []
    for label, bucket in zip(words, by_length, strict=True):
        differences = bucket["differences"]
        gaps += [
            *((label, row["a"], row["b"], row["metric"], *_gap(row, decimals, "_holm")) for row in differences),
            None,
        ]
    if any(gaps):
        columns = (unit, "system", "minus", "in", "points", "boot.", "rand.")
        print_table(f"differences by {unit} of the source", columns, gaps, (unit, *WORDS))
        print("p-values by Holm, corrected for all pairs and buckets")
    if any(bucket["small"] for bucket in by_length):
        print(f"* fewer than {SMALL} sentences: too few to conclude anything")


def _portions(names: Sequence[str]) -> list[Sequence[str]]:
    """The metrics of each table."""
    return [names[start : start + PER_TABLE] for start in range(0, len(names), PER_TABLE)]


def _ranges(row: dict[str, Any], names: Sequence[str], decimals: Mapping[str, int]) -> list[str]:
    from seq2seq.terminal.numbers import number

    figures = [[number(row[name][key], decimals[name]) for key in ("value", "low", "high")] for name in names]
    return [f"{value} [{low}, {high}]" for value, low, high in figures]


def _gap(row: dict[str, Any], decimals: Mapping[str, int], *endings: str) -> list[str]:
    """A difference with half the width of its interval, and its p-values."""
    from seq2seq.evaluation.scoring import TESTS
    from seq2seq.terminal.numbers import number

    p_values = [row[test + ending] for test in TESTS for ending in endings]
    digits = decimals[row["metric"]]
    gap = f"{number(row['value'], digits, signed=True)} ± {number((row['high'] - row['low']) / 2, digits)}"
    return [gap, *(f"{value:.4f}".removeprefix("0") for value in p_values)]
