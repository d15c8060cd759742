"""All runs below a folder, as rows: scores, cost, state, and the options in which they differ. Knows run folders."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from seq2seq.config.schema import DataConfig
from seq2seq.config.validation import known_keys, sections
from seq2seq.errors import UserError, nearest
from seq2seq.runs.run import CONTENT, FREE_TO_DIFFER, Run

HIGHER_IS_BETTER = ("bleu", "chrf", "valid_bleu")
FIGURES = (*HIGHER_IS_BETTER, "nll", "parameters", "steps", "tokens", "seconds", "tokens_per_second")
"""What is told of a run: scores of its test (of the best validation), nats a token, and what they cost."""
FINISHED, UNFINISHED, DAMAGED = "finished", "unfinished", "damaged"
TRACES = ("metrics.jsonl", "fingerprint.json", "summary.json", "checkpoints")
"""Files of which a run folder has at least two, even if its config is lost."""
CORPUS = ("source", "src", "tgt", "src_column", "tgt_column", "train", "valid", "test", "tests", "hub")
"""Options and sections of ``data`` that say where a corpus is and what it is, not what a training takes of it."""
_OF_DATA = {f.name: f for f in fields(DataConfig)}
SOURCES = _OF_DATA.keys() & set(_OF_DATA["source"].metadata["choices"])
"""The sections of ``data`` that are called like a source: no other source reads them."""
COMPARISON = re.compile(r"(?P<key>[\w.]+)(?P<sign>!=|>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    **{"=": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
}


@dataclass
class Row:
    """One run folder; ``why`` it is damaged, if it is."""

    run: str
    state: str
    figures: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(FIGURES))
    options: dict[str, Any] = field(default_factory=dict)  # by dotted key
    why: str = ""

    def value(self, key: str) -> Any:
        """Of a figure, an option, ``run`` or ``state``; None where the run has none."""
        named = {"run": self.run, "state": self.state, **self.figures}
        return named[key] if key in named else self.options.get(key)


def rows_below(folders: Sequence[Path]) -> list[Row]:
    """A row for each run folder in ``folders`` or below them, by name. Raises ``UserError`` for a folder not there."""
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no folder there: give the folder of the runs, or start where {folder} is")
    found = dict.fromkeys(path for folder in folders for path in _run_folders(folder))
    return [_row(Run(path)) for path in sorted(found)]


def _run_folders(top: Path) -> Iterable[Path]:
    for name, folders, files in os.walk(top):
        folder = Path(name)
        is_run = Run(folder).has_config() or len({*folders, *files} & set(TRACES)) > 1
        if is_run:
            yield folder
        folders[:] = [each for each in folders if not (is_run and each in CONTENT)]


def _row(run: Run) -> Row:
    name = str(run.folder)
    try:
        options = {key: value for key, _, value in sections(run.load_config())}
        row = Row(name, FINISHED if run.finished else UNFINISHED, options=options)
        _add_curves(run, row)
        if run.finished:
            summary = run.load_summary()
            test = summary["test"]
            row.figures |= {"bleu": test.get("bleu"), "chrf": test.get("chrf"), "nll": test["nll"]}
            row.figures |= {"parameters": summary["parameters"]["total"], "steps": summary["steps"]}
            row.figures |= {"tokens": summary["tokens"], "seconds": summary["seconds"]}
            row.figures["tokens_per_second"] = summary["tokens_per_second"]
    except (UserError, OSError) as error:
        return Row(name, DAMAGED, why=str(error))
    except (KeyError, TypeError) as error:
        return Row(name, DAMAGED, why=f"{run.summary_file}: not a run summary: {error}")
    return row


def _add_curves(run: Run, row: Row) -> None:
    """The best validation, and how far an unfinished training has come."""
    if not run.metrics_file.exists():
        return
    found = run.points("valid/bleu")
    row.figures["valid_bleu"] = max((point["valid/bleu"] for point in found), default=None)
    if found:
        last = found[-1]
        row.figures |= {"steps": last["step"], "tokens": last.get("train/tokens"), "seconds": last.get("train/seconds")}


def differing(rows: Sequence[Row]) -> list[str]:
    """The options in which runs differ that have them; not those of the machine and of the folders."""
    keys = dict.fromkeys(key for row in rows for key in row.options)
    seen = {key: {str(row.options[key]) for row in rows if key in row.options} for key in keys}
    return [key for key in keys if len(seen[key]) > 1 and key not in FREE_TO_DIFFER]


def named_by_corpus(rows: Sequence[Row]) -> set[str]:
    """The options that only say what a corpus is, and of which each ``data.name`` among the rows has one value."""
    whole = [row.options for row in rows if row.options]
    keys = {key for options in whole for key in options if key.startswith(tuple(f"data.{name}." for name in CORPUS))}
    keys |= {f"data.{name}" for name in CORPUS}
    names = {options["data.name"] for options in whole}
    return {key for key in keys if len({(o["data.name"], str(o.get(key))) for o in whole}) == len(names)}


def tells(key: str, options: Mapping[str, Any]) -> bool:
    """Whether the option is set and means something for a run: not where it is of another source than the run's."""
    of = key.removeprefix("data.").partition(".")[0]
    return options.get(key) not in (None, [], {}) and (of not in SOURCES or options.get("data.source") == of)


def key_of(typed: str, rows: Sequence[Row]) -> str:
    """The column that is meant, by its name or the end of an option's key. Raises ``UserError`` for none or several."""
    columns = ["run", "state", *FIGURES]
    options = list(dict.fromkeys([*(key for row in rows for key in row.options), *known_keys()]))
    if typed in columns or typed in options:
        return typed
    ends = [key for key in options if key.endswith(f".{typed}")]
    if len(ends) > 1:
        raise UserError(f"{typed} may be {' or '.join(ends)}: write out which")
    if not ends:
        raise UserError(
            f"unknown key {typed}{nearest(typed, [*columns, *options])}: give {', '.join(columns)} or an option"
        )
    return ends[0]


def filtered(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows that meet all of ``KEY=VALUE``, ``KEY>VALUE`` and so on. Raises ``UserError`` for another form."""
    kept = list(rows)
    for condition in conditions:
        parts = COMPARISON.fullmatch(condition)
        if parts is None:
            raise UserError(f"--filter {condition}: give KEY=VALUE, or !=, >, <, >=, <= in place of =")
        key, number = key_of(parts["key"], rows), _number(parts["value"])
        if number is None and parts["sign"] not in ("=", "!="):
            raise UserError(f"--filter {condition}: {parts['value']!r} is no number, which {parts['sign']} compares")
        kept = [row for row in kept if _meets(row.value(key), parts["sign"], parts["value"], number)]
    return kept


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _meets(value: Any, sign: str, text: str, number: float | None) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and number is not None:
        return SIGNS[sign](value, number)
    if sign not in ("=", "!="):
        return False
    return SIGNS[sign](text_of(value), text)


def text_of(value: Any) -> str:
    """A value as it is typed on a command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def in_order(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows by the values of ``key``, the best score first, other values growing; runs that have none come last."""
    there = [row for row in rows if row.value(key) is not None]
    numbers = all(isinstance(row.value(key), (int, float)) for row in there)
    there.sort(key=lambda row: row.value(key) if numbers else str(row.value(key)), reverse=key in HIGHER_IS_BETTER)
    return [*there, *(row for row in rows if row.value(key) is None)]
