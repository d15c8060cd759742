"""Values as text: JSON that is safe inside a page, CSV, cells of a table. Knows no HTML."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from typing import Any

import numpy as np

from seq2seq.report.page.document import Table, is_number
from seq2seq.terminal.numbers import MINUS, number


def plain(value: Any) -> Any:
    """Convert to what JSON can hold: tuples to lists, NumPy's numbers to Python's, NaN and infinity to None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def script_json(value: Any) -> str:
    """JSON for a <script> block, escaped so that it cannot end the block, open a comment or break a JavaScript line."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def to_csv(table: Table) -> str:
    """A table as CSV with all digits; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(plain(table.rows))
    return text.getvalue()


def format_rows(table: Table) -> list[list[str]]:
    """All cells as text. Numbers have two decimals, none if the whole column is integers, more if they are small."""
    rows = plain(table.rows)
    whole = [all(float(row[n]).is_integer() for row in rows if is_number(row[n])) for n in range(len(table.columns))]
    return [[format_cell(cell, digits=not whole[n]) for n, cell in enumerate(row)] for row in rows]


def format_cell(value: Any, digits: bool = True) -> str:
    """One cell as text; ``digits``: whether its column has decimals."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return str(value)
    if float(value).is_integer() and (not digits or abs(value) >= 1000):
        return number(value, 0) if abs(value) >= 10_000 else number(value, 0).replace(",", "")
    if 0 < abs(value) < 0.005:
        return (f"{value:.1g}" if abs(value) >= 1e-4 else f"{value:.0e}").replace("-", MINUS)
    return number(value, 2)
