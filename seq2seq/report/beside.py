"""What the page of another study says, to be put beside this one's. Knows the files of a page; knows no run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.errors import UserError
from seq2seq.report.page.document import Row

CURVE = "bleu-by-length"
"""The name of the figure that opens every page."""
GAPS = "gap-by-length"
"""The name of the table of differences by source length."""


@dataclass(frozen=True)
class Beside:
    """Another study: its page's title and answer, and BLEU and its differences by source length."""

    title: str
    answer: list[str]
    curve: list[Row]  # of the figure that opens the page
    source_length: str  # the column of the curve with the mean length of a bucket
    gaps: list[Row]  # of the table of differences


def pages_beside(own: Path, names: Sequence[str]) -> tuple[list[Beside], list[str]]:
    """The pages of further studies in the folders beside this study's, and a warning for each that is not there.

    Args:
        own: the folder of this study's page, ``outputs/studies/NAME/report``.
    """
    found, warnings = list[Beside](), list[str]()
    for name in names:
        try:
            found.append(read_page(own.parent.parent / name / "report" / "report.json"))
        except UserError as error:
            warnings.append(f"study {name} is not shown beside: {error}: make it, then start this one again")
    return found, warnings


def read_page(path: Path) -> Beside:
    """Read the numbers that a page was written with. Raises ``UserError`` where there are none, or not these."""
    try:
        page: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        figure = page["figure"]
        tables = {table["name"]: table for section in page["sections"] for table in section["tables"]}
        gaps = [dict(zip(tables[GAPS]["columns"], row, strict=True)) for row in tables[GAPS]["rows"]]
        if figure["name"] != CURVE:
            raise ValueError(f"it opens with {figure['name']}")
        return Beside(page["title"], list(page["answer"]), list(figure["rows"]), figure["x"], gaps)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such page") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no page of this version ({error})") from error
