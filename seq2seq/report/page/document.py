"""What a page is made of, as plain data. Knows nothing of runs, and nothing of HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Row = dict[str, Any]
"""One observation: column to text, number, truth value or None."""


@dataclass(frozen=True)
class Figure:
    """Tidy rows and how to draw them. The rows are also the figure's CSV.

    ``kind``: ``lines`` (x a number, one line a ``colour``, with points, a band from ``low`` to ``high`` where there is
    one), ``bars`` (x a category, grouped by ``colour``, with whiskers), ``points`` (x a category, single seeds as
    points beside a mean with whiskers: rows with ``low`` and ``high`` are means, the others single), ``heat`` (x and
    ``row`` are ordered categories, y is the colour). ``facet`` splits into small charts side by side.
    """

    name: str  # of its files, e.g. bleu-by-length
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
    order: tuple[str, ...] = ()  # of the categories on x (and of ``row`` in a heat map, from the top)
    log_x: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows; numbers are shown with two digits after the point unless they are whole or smaller."""

    name: str  # of its CSV
    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, what was found in words, the figures, and the numbers behind them."""

    name: str  # of its anchor
    title: str
    text: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    code: str = ""  # shown as it stands: commands, a config


@dataclass(frozen=True)
class Output:
    """What one model made of a sentence.

    ``attention``: for each map (as named in ``Explorer.maps``) a matrix of target words by source words, 0 to 1; empty
    where the model has none.
    """

    words: list[str]
    nll: float  # of the reference, nats a token
    chrf: float  # of the translation
    attention: list[list[list[float]]]


@dataclass(frozen=True)
class Sentence:
    """A source sentence with its reference and each model's translation, in the order of ``Explorer.models``."""

    src: list[str]
    reference: str
    outputs: list[Output]


@dataclass(frozen=True)
class Explorer:
    """Sentences to look into. ``maps`` names the attention maps of each model, e.g. ``layer 1, head 2``."""

    models: list[str]
    maps: list[list[str]]
    sentences: list[Sentence]
    after: str = ""  # the name of the section that it follows; without one it stands at the end


@dataclass(frozen=True)
class Page:
    """The whole report: the answer in three sentences and one figure, then the sections, then the explorer."""

    title: str
    answer: list[str]
    figure: Figure
    sections: list[Section]
    explorer: Explorer | None = None
    warnings: list[str] = field(default_factory=list)
    colours: tuple[str, ...] = ()  # the models in the order in which they get their colours, the same in all figures


def is_number(value: Any) -> bool:
    """Whether a cell is aligned, sorted and drawn as a number; truth values are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def numeric(table: Table, column: int) -> bool:
    """Whether a column holds numbers and gaps alone: it is then set to the right."""
    cells = [row[column] for row in table.rows]
    return any(map(is_number, cells)) and all(cell is None or is_number(cell) for cell in cells)
