"""Numbers as text for a reader: one minus sign, and no negative zero. Knows no table and no page."""

from __future__ import annotations

MINUS = "−"  # U+2212; files for machines keep the ASCII hyphen


def number(value: float, digits: int = 1, signed: bool = False) -> str:
    """``value`` with that many decimals and commas between thousands; what rounds to zero has no minus.

    ``signed``: a plus before what is not negative.
    """
    rounded = round(value, digits) + 0.0  # −0.0 becomes 0.0
    return f"{rounded:{'+' if signed else ''},.{digits}f}".replace("-", MINUS)
