"""Attention weights as text. Knows numbers and labels; no model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, split_graphemes

SHADES = " ░▒▓█"


def attention_grid(
    weights: Sequence[Sequence[float]], src_tokens: Sequence[str], tgt_tokens: Sequence[str], width: int = 80
) -> str:
    """A row of shades for each target token; where that is wider than ``width``, the three largest weights of each.

    Args:
        weights: (T, S), 0 to 1.
        src_tokens: S labels, written upright above the columns.
        tgt_tokens: T labels.
        width: columns of the terminal.
    """
    src, tgt = ([token.replace("▁", "") or "▁" for token in tokens] for tokens in (src_tokens, tgt_tokens))
    margin = max(map(cell_len, tgt))
    upright = [_graphemes(label) for label in src]
    columns = [max(1, *map(cell_len, signs)) for signs in upright]
    if margin + sum(columns) + len(columns) + 1 > width:
        return "".join(_largest(token, row, src, margin) for token, row in zip(tgt, weights, strict=True))
    height = max(map(len, upright))
    rows = [("", [([""] * height + signs)[n - height] for signs in upright]) for n in range(height)]
    for token, row in zip(tgt, weights, strict=True):
        rows.append((token, [SHADES[min(int(value * 5), 4)] * size for value, size in zip(row, columns, strict=True)]))
    return "".join(" ".join(map(_padded, (token, *cells), (margin, *columns))) + "\n" for token, cells in rows)


def _graphemes(text: str) -> list[str]:
    """What stands in one place each: a letter with its marks."""
    return [text[start:end] for start, end, _ in split_graphemes(text)[0]]


def _padded(text: str, cells: int) -> str:
    """Text with spaces before it; a Chinese character takes two cells of a terminal, a mark none."""
    return " " * (cells - cell_len(text)) + text


def _largest(token: str, row: Sequence[float], src: Sequence[str], margin: int) -> str:
    most = sorted(range(len(row)), key=lambda n: -row[n])[:3]
    return f"{_padded(token, margin)}  " + "  ".join(f"{src[n]} {row[n]:.2f}" for n in most) + "\n"
