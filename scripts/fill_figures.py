"""Write the figures of ``docs/figures.yaml`` into the places of the pages that ask for them.

    python -m scripts.fill_figures

A place is ``<!-- figure KEY -->…<!-- / -->``. Prints the pages that it changed.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures.yaml"
PLACE = re.compile(r"(<!-- figure ([\w-]+) -->)(.*?)(<!-- / -->)", re.DOTALL)


def figures() -> dict[str, str]:
    """The figures by their keys, as they are written."""
    found: dict[str, str] = yaml.safe_load(FIGURES.read_text(encoding="utf-8"))
    return found


def filled(text: str, known: dict[str, str]) -> str:
    """A page's text with its places filled. Raises ``KeyError`` for a key that is unknown."""
    return PLACE.sub(lambda place: f"{place[1]}{known[place[2]]}{place[4]}", text)


def main() -> None:
    """Fill all pages."""
    known = figures()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        if (changed := filled(text, known)) != text:
            page.write_text(changed, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
