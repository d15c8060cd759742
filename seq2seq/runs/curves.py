"""Reads the curves of a run. Knows ``metrics.jsonl``; not what is drawn in it."""

from __future__ import annotations

import json
from pathlib import Path

from seq2seq.errors import UserError
from seq2seq.system.typed_json import mismatch

ADVICE = "remove the line, or train the run anew with overwrite=true"


def read_points(path: Path) -> list[tuple[str, dict[str, float | None]]]:
    """The lines of ``metrics.jsonl``, each with its point. A last line that a crash cut short is left out.

    Raises:
        UserError: a line that is no point; it is named by its number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: no curves there ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not the curves of a run (no UTF-8): {ADVICE}") from error
    points = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            point = json.loads(line)
            wrong = mismatch(point, dict[str, float | None]) or mismatch(point.get("step"), int, "step")
        except (ValueError, RecursionError) as error:
            wrong = str(error)
        if wrong:
            raise UserError(f"{path}:{number}: not a point of a curve ({wrong}): {ADVICE}")
        points.append((line, point))
    return points
