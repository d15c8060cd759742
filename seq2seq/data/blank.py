"""Which lines hold nothing that can be seen. Knows only characters."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}  # categories: controls, formats (zero-width space), separators
FILLERS = {*"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"}
"""Characters of other categories that show nothing: joiners, Hangul fillers, the empty Braille cell."""
SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # variation selectors, which change the sign before them


def is_blank(line: str) -> bool:
    """Whether a line is empty, or made of spaces and invisible characters alone, such as zero-width spaces."""
    if "!" <= line[:1] <= "~":  # as most lines begin
        return False
    return not line.strip() or all(map(_is_unseen, line))  # stops at the first that is seen


@lru_cache(1 << 12)
def _is_unseen(sign: str) -> bool:
    return (
        unicodedata.category(sign) in UNSEEN
        or sign in FILLERS
        or any(ord(sign) in selectors for selectors in SELECTORS)
    )
