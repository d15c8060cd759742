"""A page as plain data: sections with texts, figures and tables, and the explorer. Knows no run and no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seq2seq.runs.records import ExploredSentence

Row = dict[str, Any]
"""One observation: column name to text, number, truth value or None."""


@dataclass(frozen=True)
class Figure:
    """Rows and how to draw them: ``x``, ``y``, … name columns of the rows. The rows are also the figure's CSV.

    Kinds:
        lines: x is a number; one line with points for each value of ``colour``, with a band from ``low`` to ``high``.
        bars: x is a category; bars grouped by ``colour``, with error bars from ``low`` to ``high``.
        points: x is a category; rows with ``low`` and ``high`` are means with error bars, the others single seeds.
        heat: x and ``row`` are categories, y is the colour of a cell.

    ``facet`` splits the figure into one panel for each of the column's values.
    """

    name: str  # stem of the names of its files, e.g. bleu-by-length
    title: str
    caption: str
    rows: list[Row]
    kind: Literal["lines", "bars", "points", "heat"]
    x: str
    y: str
    colour: str | None = None
    low: str | None = None
    high: str | None = None
    row: str | None = None
    facet: str | None = None
    x_title: str = ""
    y_title: str = ""
    order: tuple[str, ...] = ()  # order of the categories on x (and of ``row`` in a heat map, from the top)
    log_x: bool = False
    tints: Mapping[str, str] = field(default_factory=dict)  # values of ``colour`` drawn in a tint of another's colour

    @property
    def numbers(self) -> Table:
        """All columns of the rows as a table."""
        return table_of(self.name, self.title, self.rows)


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells."""

    name: str  # stem of the name of its CSV
    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds nothing but numbers and gaps, and at least one number."""
        columns = [[row[n] for row in self.rows if row[n] is not None] for n in range(len(self.columns))]
        return [bool(cells) and all(map(is_number, cells)) for cells in columns]


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs of text, figures, and tables."""

    name: str  # the anchor of its heading
    title: str
    text: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    code: str = ""  # shown verbatim: commands, a config


@dataclass(frozen=True)
class Explorer:
    """Sentences with all translations and attention maps, which the reader chooses among."""

    models: list[str]
    maps: list[list[str]]  # names of each model's attention maps, e.g. ``layer 1, head 2``
    sentences: list[tuple[ExploredSentence, ...]]  # each as the models translated it, in their order
    lengths: list[int]  # source length of each sentence, counted as the buckets count it
    units: tuple[str, str] = ("words", "words")  # of the lengths and the source, and of translations
    after: str = ""  # name of the section that it follows; empty: it comes last


@dataclass(frozen=True)
class Page:
    """The whole report: the answer in a few sentences and one figure, then the sections and the explorer."""

    title: str
    answer: list[str]
    figure: Figure
    sections: list[Section]
    explorer: Explorer | None = None
    warnings: list[str] = field(default_factory=list)
    colours: tuple[str, ...] = ()  # models in the order of their colours, which are the same in all figures

    @property
    def figures(self) -> list[Figure]:
        """All figures, the opening one first."""
        return [self.figure, *(figure for section in self.sections for figure in section.figures)]

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for section in self.sections for table in section.tables]


def is_number(value: Any) -> bool:
    """Whether a cell is aligned, sorted and drawn as a number: truth values are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def table_of(
    name: str,
    title: str,
    rows: Sequence[Row],
    columns: Sequence[str] = (),
    headings: Mapping[str, str] | None = None,
    note: str = "",
) -> Table:
    """A table of ``columns`` of the rows (default: all, in the order in which they first occur).

    ``headings``: columns that the table calls by another name than the rows do.
    """
    chosen = columns or list(dict.fromkeys(column for row in rows for column in row))
    shown = [(headings or {}).get(column, column) for column in chosen]
    return Table(name, title, shown, [[row.get(column) for column in chosen] for row in rows], note)
