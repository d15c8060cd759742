"""The page and the files beside it. Knows parts, templates and file names; no run, no model, no statistic."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from seq2seq.errors import UserError
from seq2seq.report.page import theme
from seq2seq.report.page.document import Figure, Page, Section, Table, numeric
from seq2seq.report.page.formatting import pack_explorer, plain, script_json, shown, shown_cell, to_csv
from seq2seq.report.page.markdown import as_markdown
from seq2seq.system.files import os_errors_as_user_errors, write_atomically, write_json

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def require_charts() -> ModuleType:
    """The module that draws; asked for before hours of training, too.

    Raises:
        UserError: what draws is not installed.
    """
    try:
        import jinja2  # noqa: F401

        from seq2seq.report.page import charts
    except ImportError as error:
        raise UserError(
            f"the report needs {error.name}, which is not installed: pip install 'seq2seq-trainer[report]'"
        ) from error
    return charts


def write_page(page: Page, folder: Path) -> Path:
    """Write ``report.html``, and beside it all numbers, figures and tables as files of their own; the page comes last.

    Raises:
        UserError: what draws is not installed, or the folder cannot be written.
        ValueError: two figures, tables or sections share a name, or a name is not one of a file.
    """
    charts = require_charts()
    figures, tables = list(all_figures(page)), list(all_tables(page))
    for parts in (figures, tables, page.sections):
        _check_names([part.name for part in parts])
    for figure in figures:
        svg = charts.to_svg(figure, page.colours)
        write_atomically(folder / "figures" / f"{figure.name}.svg", svg)
        write_atomically(folder / "figures" / f"{figure.name}.png", charts.to_png(svg))
        rows = as_table(figure)
        write_atomically(folder / "figures" / f"{figure.name}.csv", to_csv(rows.columns, rows.rows))
    for table in tables:
        write_atomically(folder / "tables" / f"{table.name}.csv", to_csv(table.columns, table.rows))
    explorer = pack_explorer(page.explorer) if page.explorer else None
    numbers = asdict(replace(page, explorer=None)) | {"explorer": explorer}
    write_json(folder / "report.json", plain(numbers))
    write_atomically(folder / "report.md", as_markdown(page))
    write_atomically(folder / "report.html", as_html(page, explorer))
    return folder / "report.html"


def as_html(page: Page, explorer: dict[str, Any] | None) -> str:
    """The page, whole: styles, scripts, charts and sentences inside it."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    charts = require_charts()
    drawn = {figure.name: charts.on_page(figure, page.colours) for figure in all_figures(page)}
    scripts = [charts.runtime(), _resource("page.js"), *([_resource("explorer.js")] if explorer else [])]
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=shown, shown_cell=shown_cell, script_json=script_json)
    environment.globals.update(as_table=as_table, numeric=numeric, plain=plain)
    return environment.get_template("page.html.jinja").render(
        page=page,
        sections=_sections(page),
        panels={name: [title for title, _ in panels] for name, panels in drawn.items()},
        legends={figure.name: charts.legend(figure, page.colours) for figure in all_figures(page)},
        ranges={figure.name: charts.range_of(figure) for figure in all_figures(page)},
        specs={name: [spec for _, spec in panels] for name, panels in drawn.items()},
        explorer=explorer,
        theme=theme,
        style=_resource("page.css"),
        scripts=scripts,
        hashes=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts],
    )


def write_tensorboard(page: Page, folder: Path) -> None:
    """The findings and the figures' pictures, as ``write_page`` left them in ``folder``, for TensorBoard."""
    import numpy as np
    from PIL import Image
    from torch.utils.tensorboard.writer import SummaryWriter

    events = folder / "tensorboard"
    with os_errors_as_user_errors(events):
        shutil.rmtree(events, ignore_errors=True)
        with SummaryWriter(str(events)) as writer:
            writer.add_text("comparison/summary", as_markdown(page, pictures=False))
            for figure in all_figures(page):
                with Image.open(folder / "figures" / f"{figure.name}.png") as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                writer.add_image(f"comparison/{figure.name}", pixels, dataformats="HWC")


def all_figures(page: Page) -> Iterator[Figure]:
    """Every figure, the opening one first."""
    yield page.figure
    for section in page.sections:
        yield from section.figures


def all_tables(page: Page) -> Iterator[Table]:
    """Every table."""
    for section in page.sections:
        yield from section.tables


def as_table(figure: Figure) -> Table:
    """The numbers behind a figure: all columns of its rows."""
    columns = list(dict.fromkeys(column for row in figure.rows for column in row))
    return Table(figure.name, figure.title, columns, [[row.get(column) for column in columns] for row in figure.rows])


def _sections(page: Page) -> list[Section | None]:
    """The sections in their order; None is where the explorer stands."""
    sections: list[Section | None] = list(page.sections)
    if page.explorer:
        names = [section.name for section in page.sections]
        sections.insert(names.index(page.explorer.after) + 1 if page.explorer.after else len(names), None)
    return sections


def _check_names(names: list[str]) -> None:
    for name in names:
        if not _SAFE_NAME.fullmatch(name) or names.count(name) > 1:
            raise ValueError(f"{name!r} must be a file name of a-z, 0-9, dots and dashes, and only one may have it")


def _resource(name: str) -> str:
    return (files("seq2seq.report.page") / name).read_text(encoding="utf-8")
