"""``seq2seq runs``. Knows how rows are printed: as tables, CSV or JSON; what they hold is ``runs.listing``'s."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.runs.listing import (
    DAMAGED,
    FIGURES,
    Row,
    differing,
    filtered,
    in_order,
    key_of,
    named_by_corpus,
    rows_below,
    tells,
    text_of,
)
from seq2seq.system.files import to_json

ABOUT = """List the runs below folders: scores, cost, and the options in which they
differ. KEY is run, state, bleu, chrf, valid_bleu, nll, parameters, steps,
tokens, seconds, tokens_per_second or an option, such as trainer.optimizer.lr;
the end of its name is enough (lr)."""

LONGEST_VALUE = 40  # characters of the value of an option, in the table


def parser() -> Parser:
    taken = Parser("runs", ABOUT)
    taken.add_argument("folders", nargs="*", metavar="FOLDER", help="where to look (default: outputs)")
    taken.add_argument("--sort", metavar="KEY", help="order: the best score first, other values growing (default: run)")
    several = "only runs that meet it; also !=, >, <, >=, <=, and several times"
    taken.add_argument("--filter", metavar="KEY=VALUE", action="append", default=[], help=several)
    form = taken.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print a line of CSV for each run")
    form.add_argument("--json", action="store_true", help="print a list of objects as JSON")
    return taken


def validate(given: Arguments) -> list[Row]:
    """The rows that are asked for, in order. Raises ``UserError`` for a folder or a key that is not there."""
    rows = rows_below([Path(folder) for folder in given.folders or ["outputs"]])
    kept = filtered(rows, given.filter)
    return in_order(kept, key_of(given.sort, rows)) if given.sort else kept


def run(given: Arguments, rows: list[Row]) -> int:
    """Print the rows."""
    keys = differing(rows)
    if given.json:
        print(to_json([_plain(row, keys) for row in rows], indent=2))
    elif given.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["run", "state", *FIGURES, *keys, "why"])
        for row in rows:
            writer.writerow([row.run, row.state, *row.figures.values(), *map(row.options.get, keys), row.why])
    elif rows:
        named = named_by_corpus(rows)
        _print_tables(rows, [key for key in keys if key not in named])
    else:
        _say_that_none_is_there(given)
    return 0


def _say_that_none_is_there(given: Arguments) -> None:
    from seq2seq.terminal.tables import say

    where = " or ".join(given.folders or ["outputs"])
    if given.filter:
        say(f"no run below {where} with {' and '.join(given.filter)}: leave --filter out, or give another folder")
    else:
        say(f"no run below {where}: seq2seq train makes them below outputs, or give another folder")


def _plain(row: Row, keys: Sequence[str]) -> dict[str, Any]:
    own = {key: row.options[key] for key in keys if key in row.options}
    why = {"why": row.why} if row.why else {}
    return {"run": row.run, "state": row.state, **row.figures, "differs": own, **why}


def _print_tables(rows: Sequence[Row], keys: Sequence[str]) -> None:
    """A table of scores and cost, one of what differs, and what is wrong with damaged runs; within 80 columns."""
    from seq2seq.config.validation import short_keys
    from seq2seq.terminal.tables import print_table, say

    heads = ("", "run", "state", "BLEU", "loss", "valid", "tokens", "time", "params")
    top = os.path.commonpath([Path(row.run).parent.absolute() for row in rows])
    lines = [(str(n), os.path.relpath(row.run, top), row.state, *_cells(row)) for n, row in enumerate(rows, start=1)]
    shown = top if os.path.relpath(top).startswith("..") else os.path.relpath(top)
    print_table(f"{len(rows)} run{'s' * (len(rows) != 1)} below {shown}", heads, lines, ("run", "state"), heads[2:])
    if keys:
        short = short_keys(keys)
        told = [
            " ".join(f"{short[key]}={_value(row.options[key])}" for key in keys if tells(key, row.options))
            for row in rows
        ]
        title = "what differs"
        print_table(title, ("", "options"), [(str(n), each) for n, each in enumerate(told, start=1)], left=("options",))
    for row in rows:
        if row.state == DAMAGED:
            say(f"damaged: {row.why}")


def _value(value: Any) -> str:
    """A value as it is typed; of a long one, its beginning and its end."""
    from seq2seq.terminal.tables import shortened

    return shortened(text_of(value), LONGEST_VALUE)


def _cells(row: Row) -> list[str]:
    from seq2seq.terminal.tables import duration

    figures = row.figures
    scores = [("bleu", ".2f"), ("nll", ".3f"), ("valid_bleu", ".2f")]
    cells = ["" if (value := figures[key]) is None else f"{value:{form}}" for key, form in scores]
    seconds = figures["seconds"]
    return [
        *cells,
        _short(figures["tokens"]),
        "" if seconds is None else duration(seconds),
        _short(figures["parameters"]),
    ]


def _short(count: float | None) -> str:
    """A count in thousands or millions, to three digits."""
    if count is None or count < 1_000:
        return "" if count is None else f"{count:g}"
    return f"{count / 1e6:.3g}M" if count >= 1e6 else f"{count / 1e3:.3g}k"
