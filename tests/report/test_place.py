"""Where a page is written: files that are of no page stay as they are, and a page that was cut off is replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.errors import UserError
from seq2seq.report.page import charts
from seq2seq.report.page.document import Page, Section, Table
from seq2seq.report.page.write import check_place, write_page


@pytest.fixture
def small(sample: Page) -> Page:
    """A page of one figure and one table."""
    table = Table("cost", "Cost", ["model"], [["lstm"]])
    return replace(sample, sections=[Section("s", "S", ["text"], [], [table])], explorer=None)


def theirs(folder: Path) -> list[Path]:
    """Files of the user's that the page's would replace."""
    files = [folder / "figures" / "bleu-by-length.png", folder / "tables" / "cost.csv"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    return files


def test_figures_and_tables_of_the_users_are_told_before_anything_is_measured_and_not_replaced(
    small: Page, tmp_path: Path
) -> None:
    files = theirs(tmp_path)
    for refused in (check_place, lambda folder: write_page(small, folder)):
        with pytest.raises(UserError, match=r"figures/bleu-by-length\.png is there, and of no page of this program"):
            refused(tmp_path)
    files[0].unlink()
    with pytest.raises(UserError, match=r"tables/cost\.csv is there, and of no page"):
        check_place(tmp_path)
    with pytest.raises(UserError, match=r"tables/cost\.csv is there, and of no page"):
        write_page(small, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == files[1:] and files[1].read_text() == "mine"


@pytest.mark.slow
def test_beside_an_earlier_page_only_its_own_files_are_replaced(small: Page, tmp_path: Path) -> None:
    without = replace(small, sections=[])
    write_page(without, tmp_path)
    table = theirs(tmp_path)[1]
    check_place(tmp_path)
    with pytest.raises(UserError, match=r"tables/cost\.csv is there, and of no page"):
        write_page(small, tmp_path)
    assert table.read_text() == "mine"
    write_page(without, tmp_path)
    assert (tmp_path / "figures" / "bleu-by-length.png").read_bytes()[1:4] == b"PNG"


def test_a_page_that_was_cut_off_is_made_anew(small: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "to_png", lambda svg: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_page(small, tmp_path)
    assert (tmp_path / "figures").exists() and not (tmp_path / "report.html").exists()
    monkeypatch.undo()
    check_place(tmp_path)
    assert write_page(small, tmp_path).exists()
