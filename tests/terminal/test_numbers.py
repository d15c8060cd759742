"""Numbers as a reader sees them."""

from __future__ import annotations

import pytest

from seq2seq.report.page.formatting import format_cell
from seq2seq.terminal.numbers import number


@pytest.mark.parametrize(
    ("value", "digits", "signed", "shown"),
    [
        (-0.004, 2, False, "0.00"),
        (-0.004, 2, True, "+0.00"),
        (-0.0, 1, False, "0.0"),
        (-1.25, 2, True, "−1.25"),
        (-12345.6, 0, False, "−12,346"),
        (3.14159, 2, False, "3.14"),
    ],
)
def test_a_number_has_one_minus_and_zero_has_none(value: float, digits: int, signed: bool, shown: str) -> None:
    assert number(value, digits, signed) == shown


def test_cells_of_the_page_have_the_same_minus() -> None:
    cells = [format_cell(value) for value in (-0.0, -0.004, -0.00001, -5.0, -12345.0, -3.25)]
    assert cells == ["0.00", "−0.004", "−1e−05", "−5.00", "−12,345", "−3.25"]
    assert [format_cell(value, digits=False) for value in (-0.0, -5, -1200)] == ["0", "−5", "−1200"]
