"""Attention weights as text. Knows numbers and labels; no model."""

from __future__ import annotations

from collections.abc import Sequence

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
    margin = max(map(len, tgt))
    if margin + 2 * len(src) + 1 > width:
        return "".join(_largest(token, row, src, margin) for token, row in zip(tgt, weights, strict=True))
    height = max(map(len, src))
    upright = [label.rjust(height) for label in src]
    head = "".join(" " * margin + " " + " ".join(label[n] for label in upright) + "\n" for n in range(height))
    rows = (
        f"{token:>{margin}} " + " ".join(SHADES[min(int(value * 5), 4)] for value in row) + "\n"
        for token, row in zip(tgt, weights, strict=True)
    )
    return head + "".join(rows)


def _largest(token: str, row: Sequence[float], src: Sequence[str], margin: int) -> str:
    most = sorted(range(len(row)), key=lambda n: -row[n])[:3]
    return f"{token:>{margin}}  " + "  ".join(f"{src[n]} {row[n]:.2f}" for n in most) + "\n"
