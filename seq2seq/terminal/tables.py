"""Tables and lines on stdout, within 80 columns. Knows figures and texts; not what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WIDEST = 10_000  # columns of a terminal


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str] | None],
    left: Sequence[str] | None = None,
    whole: Sequence[str] = (),
) -> None:
    """Print a table; square brackets are text, not markup.

    Args:
        title: one line or several.
        columns: the heads.
        rows: a cell for each column; None draws a line between two sections.
        left: heads of the columns that hold words, not figures (default: the first).
        whole: heads of the columns whose cells are not broken where the terminal is narrow, at the cost of the others;
            there is no room beside the cells then.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        words = column in (columns[:1] if left is None else left)
        table.add_column(column, justify="left" if words else "right", overflow="fold", no_wrap=column in whole)
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    console = Console(markup=False, emoji=False)
    if whole and Measurement.get(console, console.options.update(width=WIDEST), table).maximum > console.width:
        table.padding = 0
    console.print(table)


def print_figures(title: str, figures: Mapping[str, str]) -> None:
    """Print names and values, one pair a row."""
    print_table(title, ("figure", "value"), list(figures.items()))


def print_texts(texts: Mapping[str, str]) -> None:
    """Print an empty line and then texts beside their labels; long ones go on below, and break between words."""
    grid = Table.grid(padding=(0, 2))
    for label, text in texts.items():
        grid.add_row(Text(label), Text(text))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print()
    console.print(grid)


def say(line: str) -> None:
    """Print a line as it is, however long."""
    Console(highlight=False, soft_wrap=True, markup=False, emoji=False).print(line)


def shortened(name: str, longest: int) -> str:
    """A name of at most ``longest`` characters: of a longer one, its beginning and its end."""
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[: longest - 1 - half]}…{name[-half:]}"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``1 h 5 min``, ``2 min 3 s``, ``4.5 s``."""
    minutes, rest = divmod(round(seconds) if seconds >= 59.95 else seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
