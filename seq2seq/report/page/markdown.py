"""A page as Markdown: answer, texts, tables, and links to the figures. Writes no file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seq2seq.report.page.document import Figure, Page, Section, Table
from seq2seq.report.page.formatting import format_rows


def as_markdown(page: Page, pictures: bool = True) -> str:
    """The whole page; ``pictures=False`` leaves out the links to figures, which TensorBoard could not follow."""
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
    rules = ["---:" if is_number else "---" for is_number in table.numeric]
    cells = [[_escaped(cell) for cell in row] for row in format_rows(table)]
    yield f"**{_escaped(table.title)}**"
    yield "\n".join(f"| {' | '.join(row)} |" for row in [[*map(_escaped, table.columns)], rules, *cells])
    if table.note:
        yield _prose(table.note)


def _prose(text: str) -> str:
    """Escape text, except for what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a stray backtick
        return _escaped(text)
    return "`".join(part if n % 2 else _escaped(part) for n, part in enumerate(parts))


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", re.sub(r"\s+", " ", text))
