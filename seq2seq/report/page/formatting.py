"""Numbers into text: JSON that may stand in a page, CSV, cells to read, attention in few bytes. Knows no HTML."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from seq2seq.report.page.document import Explorer, Sentence, Table, is_number

ENCODING = (
    "attention: base64 of zlib of bytes, weight × 255; for each model, for each of its maps (none where the output "
    "says attends=false), target words × source words"
)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: lists for tuples, Python numbers for numpy's, None for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def script_json(value: Any) -> str:
    """JSON for a <script> block: nothing in it can end the block, open a comment or break a line of JavaScript."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def to_csv(columns: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """Columns and rows; None is an empty cell, and no digit is lost."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([plain(list(row)) for row in rows])
    return text.getvalue()


def shown(table: Table) -> list[list[str]]:
    """The cells to read: two digits after the point unless a whole column needs none, more where one is small."""
    rows = [plain(list(row)) for row in table.rows]
    whole = [all(float(row[n]).is_integer() for row in rows if is_number(row[n])) for n in range(len(table.columns))]
    return [[shown_cell(cell, digits=not whole[n]) for n, cell in enumerate(row)] for row in rows]


def shown_cell(value: Any, digits: bool = True) -> str:
    """One cell to read."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return str(value)
    if float(value).is_integer() and (not digits or abs(value) >= 1000):
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    if 0 < abs(value) < 0.005:
        return f"{value:.1g}" if abs(value) >= 1e-4 else f"{value:.0e}"
    return f"{value:,.2f}"


def pack_explorer(explorer: Explorer) -> dict[str, Any]:
    """The explorer as plain data, each sentence's attention in one string.

    Raises:
        ValueError: a matrix is not target words × source words, or the models do not match the outputs.
    """
    return {
        "encoding": ENCODING,
        "models": explorer.models,
        "maps": explorer.maps,
        "sentences": [_pack_sentence(sentence, explorer) for sentence in explorer.sentences],
    }


def _pack_sentence(sentence: Sentence, explorer: Explorer) -> dict[str, Any]:
    packed = bytearray()
    for output, names in zip(sentence.outputs, explorer.maps, strict=True):
        if output.attention:
            shape = (len(names), len(output.words), len(sentence.src))
            weights = np.asarray(output.attention, dtype=np.float64)
            if weights.size != math.prod(shape) or (weights.size and weights.shape != shape):
                raise ValueError(f"attention is {weights.shape}, not maps × target words × source words {shape}")
            packed += np.rint(np.clip(weights, 0, 1) * 255).astype(np.uint8).tobytes()
    outputs = [{"words": o.words, "nll": o.nll, "chrf": o.chrf, "attends": bool(o.attention)} for o in sentence.outputs]
    attention = base64.b64encode(zlib.compress(bytes(packed))).decode() if packed else ""
    return {"src": sentence.src, "reference": sentence.reference, "outputs": outputs, "attention": attention}
