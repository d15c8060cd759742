"""Fonts that draw what matplotlib's own does not, such as Thai and Chinese. Knows characters and installed fonts."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

OWN = "DejaVu Sans"  # comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic
BOXES = "Last Resort"  # a family that has a box for every character
_by_script: dict[str, str] = {}  # an installed family, "" where there is none


def families(labels: Iterable[str]) -> list[str]:
    """The font families that draw the labels, in the order in which matplotlib should look for a character.

    What no installed font draws becomes a box, which is said once for each script.
    """
    signs = {sign for label in labels for sign in label if unicodedata.category(sign)[0] in "LMNPS"}
    missing = {unicodedata.name(sign, "UNKNOWN").split()[0].split("-")[0]: sign for sign in sorted(signs - _own())}
    for script, sign in missing.items():
        if script not in _by_script:
            _by_script[script] = _installed(sign)
            if not _by_script[script]:
                print(
                    f"no installed font draws {script.capitalize()} characters: TensorBoard's pictures of attention "
                    "show boxes; install one, such as Noto (Debian: fonts-noto)",
                    file=sys.stderr,
                )
    return list(dict.fromkeys([OWN, *filter(None, map(_by_script.__getitem__, missing))]))


@cache
def _own() -> set[str]:
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return set(map(chr, FT2Font(findfont(OWN)).get_charmap()))


def _installed(sign: str) -> str:
    """The first family in which a character is; "" if it is in none."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    for font in fontManager.ttflist:
        if font.name != OWN and not font.name.startswith(BOXES):
            with suppress(OSError, RuntimeError):  # the list is remembered: a font in it may be gone or broken by now
                if FT2Font(font.fname).get_char_index(ord(sign)):
                    return font.name
    return ""
