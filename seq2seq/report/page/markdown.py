"""The page as Markdown: the answer, what was found, the tables, and links to the figures. Knows no file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seq2seq.report.page.document import Figure, Page, Section, Table, numeric
from seq2seq.report.page.formatting import shown


def as_markdown(page: Page, pictures: bool = True) -> str:
    """The whole report; without ``pictures`` for where their files cannot be reached."""
    blocks = [f"# {_prose(page.title)}", *map(_prose, page.answer)]
    blocks += [f"> **Warning:** {_prose(warning)}" for warning in page.warnings]
    blocks += _figure(page.figure) if pictures else []
    for section in page.sections:
        blocks += _section(section, pictures)
    return "\n\n".join(blocks) + "\n"


def _section(section: Section, pictures: bool) -> Iterator[str]:
    yield f"## {_prose(section.title)}"
    yield from map(_prose, section.text)
    for figure in section.figures if pictures else []:
        yield from _figure(figure)
    for table in section.tables:
        yield from _table(table)
    if section.code:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", section.code)), default=0))
        yield f"{fence}\n{section.code}\n{fence}"


def _figure(figure: Figure) -> Iterator[str]:
    yield f"![{_escaped(figure.title)}](figures/{figure.name}.svg)"
    yield f"*{_escaped(figure.title)}.* {_prose(figure.caption)} ([numbers](figures/{figure.name}.csv))"


def _table(table: Table) -> Iterator[str]:
    rules = ["---:" if numeric(table, n) else "---" for n in range(len(table.columns))]
    cells = [[_escaped(cell) for cell in row] for row in shown(table)]
    yield f"**{_escaped(table.title)}**"
    yield "\n".join(f"| {' | '.join(row)} |" for row in [[*map(_escaped, table.columns)], rules, *cells])
    if table.note:
        yield _prose(table.note)


def _prose(text: str) -> str:
    """Text in which `code` stays code, and all else means nothing but itself."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a stray backtick
        return _escaped(text)
    return "`".join(part if n % 2 else _escaped(part) for n, part in enumerate(parts))


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", re.sub(r"\s+", " ", text))
