"""A page as one HTML file that works offline. Knows templates and resources; no file that is written."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from seq2seq.report.page import charts, theme
from seq2seq.report.page.document import Page, Section
from seq2seq.report.page.formatting import format_cell, format_rows, plain, script_json
from seq2seq.report.page.resources import resource


def as_html(page: Page, explorer: dict[str, Any] | None) -> str:
    """The page with styles, scripts and data inside it. ``explorer``: as ``pack_explorer`` returns it."""
    drawn = {figure.name: charts.on_page(figure, page.colours) for figure in page.figures}
    own = ("theme.js", "page.js", *(("attention.js", "explorer.js") if explorer else ()))
    scripts = [charts.runtime(), *map(resource, own)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.loader = FunctionLoader(resource)
    environment.filters.update(format_rows=format_rows, format_cell=format_cell, script_json=script_json)
    environment.globals.update(plain=plain)
    return environment.get_template("page.html.jinja").render(
        page=page,
        sections=_sections(page),
        charts=drawn,
        specs={name: [spec for _, spec in chart.panels] for name, chart in drawn.items()},
        explorer=explorer,
        theme=theme,
        style=theme.stylesheet() + resource("page.css"),
        scripts=scripts,
        # The page's content security policy runs scripts with these hashes alone.
        hashes=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts],
    )


def _sections(page: Page) -> list[Section | None]:
    """The sections in their order, with None in the explorer's place."""
    sections: list[Section | None] = list(page.sections)
    if page.explorer:
        names = [section.name for section in page.sections]
        sections.insert(names.index(page.explorer.after) + 1 if page.explorer.after else len(names), None)
    return sections
