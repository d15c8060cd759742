"""How many placeholders of the source came through into its translation. Knows text and scores; no model."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from seq2seq.evaluation.evaluate import Evaluation
from seq2seq.runs.records import Placeholder, Scores
from seq2seq.terminal import tables


def note_placeholders(evaluation: Evaluation, symbols: Sequence[str], src: Sequence[str]) -> None:
    """Add to the scores what became of the ``symbols`` (``data.subwords.keep``) of the translated sources."""
    if symbols:
        best = [found[0].text for found in evaluation.translations]
        evaluation.scores["placeholders"] = [came_through(symbol, src, best) for symbol in symbols]


def came_through(symbol: str, src: Sequence[str], translations: Sequence[str]) -> Placeholder:
    """Count a symbol in the sources and in their translations, sentence by sentence."""
    symbol = unicodedata.normalize("NFC", symbol)
    sides = ([unicodedata.normalize("NFC", line).count(symbol) for line in side] for side in (src, translations))
    counts = list(zip(*sides, strict=False))  # translations may be of the first sources alone
    return {
        "symbol": symbol,
        "in_source": sum(before for before, _ in counts),
        "came_through": sum(map(min, counts)),
        "too_many": sum(max(after - before, 0) for before, after in counts),
    }


def print_placeholders(scores: Scores) -> None:
    """A table of the symbols, if there are any."""
    rows = [
        (each["symbol"], f"{each['in_source']:,}", f"{each['came_through']:,}", _share(each), f"{each['too_many']:,}")
        for each in scores.get("placeholders", [])
    ]
    if rows:
        tables.print_table("placeholders", ("symbol", "in source", "came through", "share", "too many"), rows)


def _share(of: Placeholder) -> str:
    return f"{of['came_through'] / of['in_source']:.1%}" if of["in_source"] else "–"
