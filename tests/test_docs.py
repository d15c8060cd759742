"""What the documentation names exists: files and headings that it links to, options, make targets and verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seq2seq.config.validation import known_keys

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTION = re.compile(r"((?:data|model|trainer|decode)(?:\.[a-z_0-9]+)+)(?:=.*)?")


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def option_keys(page: Path) -> Iterator[str]:
    """The options that a page names in code spans; a span may name a module instead, which has a file."""
    for span in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        option = OPTION.fullmatch(span)
        if option and not (ROOT / "seq2seq" / Path(*option[1].split(".")[:2])).with_suffix(".py").exists():
            yield option[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_exists(page: Path) -> None:
    keys = known_keys()
    for named in option_keys(page):
        assert any(key == named or key.startswith(f"{named}.") for key in keys), named


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^make ([a-z]+)", text, flags=re.MULTILINE)
        assert set(code) <= targets, page.name


def test_every_script_exists() -> None:
    for page in PAGES:
        for module in re.findall(r"python -m\s+(scripts(?:\.\w+)*)", page.read_text(encoding="utf-8")):
            path = ROOT / Path(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), (page.name, module)
