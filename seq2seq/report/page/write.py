"""A page as files: HTML, Markdown, JSON, pictures and CSV, TensorBoard events. Knows no run and no statistic."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from seq2seq.errors import UserError
from seq2seq.report.page.document import Page
from seq2seq.report.page.explorer import pack_explorer
from seq2seq.report.page.formatting import plain, to_csv
from seq2seq.report.page.markdown import as_markdown
from seq2seq.system.files import os_errors_as_user_errors, write_atomically, write_json

OWN_EVENTS = ".report"  # ends the names of the page's event files, which alone are replaced
PAGE = ("report.html", "report.md", "report.json")
"""The files of every page, beside those of its figures and tables."""
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def require_charts() -> None:
    """Check that the packages of the extra ``report`` are installed. Raises ``UserError``."""
    try:
        from seq2seq.report.page import charts, html  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the report needs {error.name}, which is not installed: pip install 'seq2seq-trainer[report]'"
        ) from error


def check_place(folder: Path) -> None:
    """Check, before anything is measured, that a page in ``folder`` would replace none but an earlier page.

    The names of its figures and tables are not known yet: without an earlier page their folders must be empty.

    Raises:
        UserError: files that are of no page are there, or the folder cannot be read.
    """
    if _files_named_in(folder / "report.json"):
        return
    with os_errors_as_user_errors(folder):
        inside = [
            path for name in ("figures", "tables") if (folder / name).is_dir() for path in (folder / name).iterdir()
        ]
    _refuse_if_there(folder, [*map(Path, PAGE), *sorted(path.relative_to(folder) for path in inside)])


def _refuse_if_there(folder: Path, paths: Sequence[Path]) -> None:
    """Raise ``UserError`` for the first of the ``paths``, relative to ``folder``, that is there."""
    for path in paths:
        if (folder / path).exists():
            raise UserError(f"{folder / path} is there, and of no page of this program: choose another folder")


def write_page(page: Page, folder: Path) -> Path:
    """Write ``report.html``, after the files beside it: numbers as JSON, figures, tables, Markdown. Returns its path.

    The numbers come first, since they name the files that are the page's: one that was cut off is replaced later.

    Raises:
        UserError: a package of the extra ``report`` is not installed, the folder cannot be written, or it holds a file
            of no page that would be replaced.
        ValueError: two figures, tables or sections share a name, or a name is no safe file name.
    """
    require_charts()
    from seq2seq.report.page import charts, html

    for named in (page.figures, page.tables, page.sections):
        names = [each.name for each in named]
        for name in names:
            if not _SAFE_NAME.fullmatch(name) or names.count(name) > 1:
                raise ValueError(f"{name!r} must be a file name of a-z, 0-9, dots and dashes, and only one may have it")
    figures, tables = [figure.name for figure in page.figures], [table.name for table in page.tables]
    earlier, own = _files_named_in(folder / "report.json"), _files_of(figures, tables)
    _refuse_if_there(folder, [*([] if earlier else map(Path, PAGE)), *sorted(own - earlier)])
    with os_errors_as_user_errors(folder):
        for path in earlier - own:  # of other runs: they would pass for this page's
            (folder / path).unlink(missing_ok=True)
    explorer = pack_explorer(page.explorer) if page.explorer else None
    write_json(folder / "report.json", plain(asdict(replace(page, explorer=None)) | {"explorer": explorer}))
    for figure in page.figures:
        svg = charts.to_svg(figure, page.colours)
        write_atomically(folder / "figures" / f"{figure.name}.svg", svg)
        write_atomically(folder / "figures" / f"{figure.name}.png", charts.to_png(svg))
        write_atomically(folder / "figures" / f"{figure.name}.csv", to_csv(figure.numbers))
    for table in page.tables:
        write_atomically(folder / "tables" / f"{table.name}.csv", to_csv(table))
    write_atomically(folder / "report.md", as_markdown(page))
    write_atomically(folder / "report.html", html.as_html(page, explorer))
    return folder / "report.html"


def _files_of(figures: Sequence[str], tables: Sequence[str]) -> set[Path]:
    """Paths of the files of figures and tables, relative to the page's folder."""
    drawn = {Path("figures") / f"{name}.{kind}" for name in figures for kind in ("svg", "png", "csv")}
    return drawn | {Path("tables") / f"{name}.csv" for name in tables}


def _files_named_in(numbers: Path) -> set[Path]:
    """The files of the page whose ``report.json`` this is; none where it is missing, or that of no page."""
    try:
        page = json.loads(numbers.read_text(encoding="utf-8"))
        figures = [page["figure"], *(figure for section in page["sections"] for figure in section["figures"])]
        tables = [table for section in page["sections"] for table in section["tables"]]
        names = [[str(each["name"]) for each in named] for named in (figures, tables)]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return _files_of(*([name for name in named if _SAFE_NAME.fullmatch(name)] for named in names))


def write_tensorboard(page: Page, folder: Path) -> None:
    """Write the page's text and the pictures that ``write_page`` left in ``folder`` as TensorBoard events."""
    import numpy as np
    from PIL import Image
    from torch.utils.tensorboard.writer import SummaryWriter

    with os_errors_as_user_errors(folder):
        older = folder / "tensorboard"  # where earlier versions wrote
        earlier = [path for place in (folder, older) for path in place.glob(f"events.out.tfevents.*{OWN_EVENTS}")]
        with SummaryWriter(str(folder), filename_suffix=OWN_EVENTS) as writer:
            writer.add_text("comparison/summary", as_markdown(page, pictures=False))
            for figure in page.figures:
                with Image.open(folder / "figures" / f"{figure.name}.png") as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                writer.add_image(f"comparison/{figure.name}", pixels, dataformats="HWC")
        for path in earlier:
            path.unlink()
