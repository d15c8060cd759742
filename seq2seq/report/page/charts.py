"""Figures as Vega-Lite charts, one function for each kind of figure. Knows Altair and the theme; no page and no file.

A figure becomes one panel, or one for each value of its facet. On the page a panel is as wide as its container and the
legend is HTML beside it; in a file all panels are one picture of fixed size with the legend inside. Columns are renamed
to their channels (x, y, low, high, colour, row, facet), so that names from data never reach Vega's syntax.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from seq2seq.report.page.document import Figure, Row, is_number
from seq2seq.report.page.theme import DASHES, HUES, LIGHT, ON_PAGE, SHAPES, STEPS, vega_config

WIDTH, HEIGHT = 720, 360  # of a figure's file, in points
CROWDED = 40  # characters of all category names together that fit below a chart on a phone
ROOM = 16  # characters of a category name beside a chart; a longer one takes two lines


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    label: str
    colour: str  # name in the theme
    shape: str
    dash: tuple[float, ...]

    @property
    def edge(self) -> str | None:
        """The hue that a tint is outlined with, since it has little contrast with the page; None for other colours."""
        return f"c{self.colour[1:]}" if self.colour.startswith("t") else None


@dataclass(frozen=True)
class PageChart:
    """A figure as the page draws it: Vega-Lite panels, with the legend beside them as text."""

    panels: list[tuple[str, dict[str, Any]]]  # title (empty without a facet) and spec, as wide as its container
    legend: list[Key]
    span: tuple[float, float]  # values at the ends of a heat map's colours


def legend(figure: Figure, colours: tuple[str, ...]) -> list[Key]:
    """An entry for each value of ``colour``: models in their order and with their fixed colours, then the others."""
    if figure.colour is None or figure.kind == "heat":
        return []
    found = list(dict.fromkeys(row[figure.colour] for row in figure.rows))
    if all(map(is_number, found)):  # a quantity such as a width: from pale to strong
        palest = 3 if len(found) <= STEPS - 3 else 2
        part = (STEPS - 1 - palest) / max(len(found) - 1, 1)
        steps = {value: palest + int(n * part) for n, value in enumerate(sorted(found))}
        return [Key(str(v), f"h{n}", SHAPES[i % HUES], DASHES[0]) for i, (v, n) in enumerate(steps.items())]
    order = {label: n for n, label in enumerate(dict.fromkeys([*colours, *map(str, found)]))}
    hues = {label: order[figure.tints.get(label, label)] for label in order}
    shown = sorted({str(label) for label in found}, key=lambda label: (hues[label], label in figure.tints))
    return [
        Key(label, f"{'t' if label in figure.tints else 'c'}{n}", SHAPES[n], DASHES[n])
        for label in shown
        for n in [hues[label] % HUES]
    ]


@contextmanager
def unchecked() -> Iterator[None]:
    """Turn off Altair's check of every part against Vega-Lite's schema, a third of a chart's time: the tests check."""
    with debug_mode(False):
        yield


@unchecked()
def on_page(figure: Figure, colours: tuple[str, ...]) -> PageChart:
    """The figure for the page: its colours are CSS variables, so that a chart follows the page's theme at once."""
    plan = _Plan(figure, colours, in_file=False)
    panels = []
    for title, chart in plan.panels():
        spec = chart.properties(width="container", height=plan.height).to_dict()
        del spec["config"]  # the page has one for all
        panels.append((title, {**spec, "autosize": {"type": "fit", "contains": "padding", "resize": True}}))
    return PageChart(panels, plan.keys, plan.span)


@unchecked()
def to_svg(figure: Figure, colours: tuple[str, ...]) -> str:
    """The figure as a self-contained SVG picture on white."""
    plan = _Plan(figure, colours, in_file=True)
    panels = plan.panels()
    columns = min(len(panels), 3)
    if len(panels) == 1:
        upright = plan.figure.kind != "heat" and not plan.lying
        whole = panels[0][1].properties(width=WIDTH, height=HEIGHT if upright else plan.height + 90)
        autosize: dict[str, Any] = {"type": "fit", "contains": "padding"}
    else:
        width = WIDTH // columns - 70
        heading = {"fontSize": 13, "fontWeight": 600, "color": LIGHT["quiet"]}
        charts = [
            chart.properties(title=alt.TitleParams(title, **heading), width=width, height=plan.height - 80)
            for title, chart in panels
        ]
        whole = alt.concat(*charts, columns=columns, spacing=28)
        autosize = {"type": "pad"}
    title = alt.TitleParams(figure.title, anchor="start", fontSize=17, fontWeight=600, offset=14)
    spec = whole.properties(title=title).to_dict()
    spec.update(config={**vega_config(LIGHT), "background": LIGHT["paper"]}, autosize=autosize, padding=18)
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])


def runtime() -> str:
    """The JavaScript that draws charts in a browser, safe inside a <script> element."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    assert "</script" not in bundle.lower() and "<!--" not in bundle
    return bundle


def to_png(svg: str) -> bytes:
    """An SVG picture as PNG, two pixels to a point."""
    return vl_convert.svg_to_png(svg, scale=2)


class _Plan:
    """A figure with everything that its panels share: categories, ranges and Altair's channels.

    Columns of a row that is drawn: x, y, low, high, colour, row, facet.
    """

    def __init__(self, figure: Figure, colours: tuple[str, ...], in_file: bool) -> None:
        self.figure, self.in_file, self.theme = figure, in_file, LIGHT if in_file else ON_PAGE
        self.keys = legend(figure, colours)
        self.labels = [key.label for key in self.keys]
        self.models = colours
        self.quantity = figure.kind == "lines" and all(is_number(row[figure.x]) for row in figure.rows)
        self.rows = [self._renamed(row) for row in figure.rows]

    def _renamed(self, row: Row) -> Row:
        figure = self.figure
        drawn = {"x": row[figure.x] if self.quantity else str(row[figure.x]), "y": _finite(row[figure.y])}
        if figure.low and figure.high:
            ends = [_finite(row[figure.low]), _finite(row[figure.high])]
            drawn["low"], drawn["high"] = ends if None not in (drawn["y"], *ends) else (None, None)
        for channel, column in (("colour", figure.colour), ("row", figure.row), ("facet", figure.facet)):
            drawn[channel] = str(row[column]) if column else ""
        return drawn

    def panels(self) -> list[tuple[str, alt.LayerChart]]:
        """Titles and charts, in the order of the models, else of the rows."""
        draw = _DRAW[self.figure.kind]
        titles = _ordered((row["facet"] for row in self.rows), (*self.models, *self.figure.order)) or [""]
        return [(title, draw(self, [row for row in self.rows if row["facet"] == title])) for title in titles]

    @cached_property
    def categories(self) -> list[str]:
        return _ordered((row["x"] for row in self.rows), self.figure.order or self.models)

    @cached_property
    def grouped(self) -> bool:
        return bool(self.keys) and self.figure.colour != self.figure.x

    @cached_property
    def lying(self) -> bool:
        """Whether categories are listed from top to bottom: always for points, for bars if their names are long."""
        if self.figure.kind != "bars":
            return self.figure.kind == "points"
        return sum(len(name) + 3 for name in self.categories) > CROWDED

    @cached_property
    def named_at_their_ends(self) -> bool:
        """Whether names at the lines' ends replace the legend: in a file of one panel, if all lines end at one x."""
        drawn = [row for row in self.rows if row["y"] is not None]
        ends = {max(row["x"] for row in drawn if row["colour"] == label) for label in {row["colour"] for row in drawn}}
        return self.in_file and self.quantity and self.grouped and self.figure.facet is None and len(ends) == 1

    @cached_property
    def height(self) -> int:
        if self.figure.kind == "heat":
            return 26 * len({row["row"] for row in self.rows}) + 80
        if self.lying:
            return (18 * (len(self.keys) if self.grouped else 2) + 16) * len(self.categories) + 60
        return 340

    @cached_property
    def span(self) -> tuple[float, float]:
        """The range of y over all panels. It includes zero unless the values lie far from zero."""
        values = [row[name] for row in self.rows for name in ("y", "low", "high") if row.get(name) is not None]
        low, high = min(values, default=0), max(values, default=1)
        if self.figure.kind in ("bars", "heat") or abs(low) <= high - low:
            low, high = min(low, 0), max(high, 0)
        return (low, high) if high > low else (low, low + 1)

    def value(self, field: str) -> dict[str, Any]:
        """The channel of a measured value, y or an end of its interval."""
        title = self.figure.y_title or self.figure.y
        scale = alt.Scale(domain=self.span, nice=True, zero=False)
        options: dict[str, Any] = {"type": "quantitative", "scale": scale, "title": title}
        if self.lying:
            return {"x": alt.X(field, axis=alt.Axis(tickCount=5), **options)}
        # A horizontal title above the axis is easier to read and leaves a phone more width.
        over = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleY": -12, "titleX": -32}
        return {"y": alt.Y(field, axis=alt.Axis(tickCount=5, **over), **options)}

    def category(self) -> dict[str, Any]:
        """The channel of the categories, and the one that offsets the bars of a group."""
        broken = {name: _halves(name) for name in self.categories if self.lying and len(name) > ROOM}
        breaks = {"labelExpr": f"{json.dumps(broken)}[datum.label] || datum.label"} if broken else {}
        axis = alt.Axis(labelAngle=0, labelLimit=170, **breaks)
        scale = alt.Scale(paddingInner=0.3, paddingOuter=0.15)
        name, along, beside = ("y", alt.Y, alt.YOffset) if self.lying else ("x", alt.X, alt.XOffset)
        title = self.figure.x_title or None
        channels: dict[str, Any] = {
            name: along("x", scale=scale, type="nominal", sort=self.categories, title=title, axis=axis)
        }
        if self.grouped:
            channels[f"{name}Offset"] = beside("colour:N", sort=self.labels)
        return channels

    def number(self) -> alt.X:
        """The channel of x where it is a quantity; if measured at few integers, these are its ticks."""
        known = sorted({row["x"] for row in self.rows if row["y"] is not None})
        few = len(known) <= 8 and all(float(x).is_integer() for x in known)
        ticks = {"values": known} if few else {"tickCount": 6}
        digits = "~s" if known and known[-1] >= 10_000 else ",~f"
        axis = alt.Axis(grid=False, domain=True, ticks=True, labelOverlap=True, format=digits, **ticks)
        ends = {"domain": (known[0], known[-1])} if known else {}
        scale = alt.Scale(type="log" if self.figure.log_x else "linear", nice=False, padding=12, **ends)
        return alt.X("x:Q", scale=scale, axis=axis, title=self.figure.x_title or self.figure.x)

    def colour(self) -> dict[str, Any]:
        """The channel of colours: a key's own, else one for all marks."""
        if not self.keys:
            return {"color": alt.value(self.theme["accent"])}
        return self._by_key("color", alt.Color, [self.theme[key.colour] for key in self.keys], self._legend())

    def edge(self) -> dict[str, Any]:
        """The channel of outlines, where a colour is a tint."""
        edges = [self.theme[key.edge or key.colour] for key in self.keys]
        return self._by_key("stroke", alt.Stroke, edges, None) if self.figure.tints else {}

    def shape(self) -> dict[str, Any]:
        return self._by_key("shape", alt.Shape, [key.shape for key in self.keys], self._legend())

    def dash(self) -> dict[str, Any]:
        return self._by_key("strokeDash", alt.StrokeDash, [list(key.dash) for key in self.keys], None)

    def _by_key(self, name: str, channel: Any, values: list[Any], legend: alt.Legend | None) -> dict[str, Any]:
        scale = alt.Scale(domain=self.labels, range=values)
        return {name: channel("colour:N", scale=scale, legend=legend)} if self.keys else {}

    def _legend(self) -> alt.Legend | None:
        if not self.in_file or not self.grouped or self.named_at_their_ends:
            return None
        across = max(len(key.label) for key in self.keys) * 8 + 50
        columns = max(1, min(len(self.keys), (WIDTH - 60) // across))
        offset = 12 if self.lying or self.figure.facet else 30
        marks = {"symbolSize": 120, "symbolOpacity": 1, "symbolStrokeWidth": 0}
        return alt.Legend(orient="top", title=None, columns=columns, columnPadding=22, offset=offset, **marks)

    def tooltip(self) -> list[alt.Tooltip]:
        """The values shown for the mark below the pointer."""
        figure, kind = self.figure, "quantitative" if self.quantity else "nominal"
        lines = [("x", kind, figure.x_title or figure.x, "")]
        lines += [("row", "nominal", figure.row, "")] if figure.row else []
        lines += [("colour", "nominal", figure.colour, "")] if figure.colour and self.grouped else []
        digits = format_of(row["y"] for row in self.rows)
        lines += [("y", "quantitative", figure.y_title or figure.y, digits)]
        if figure.low and figure.high:
            lines += [("low", "quantitative", "interval from", digits), ("high", "quantitative", "to", digits)]
        # Vega makes titles part of an expression: remove characters that would end its string.
        return [
            alt.Tooltip(name, type=type_, title=re.sub(r'[\\"\s]+', " ", title), format=digits)
            for name, type_, title, digits in lines
        ]


def _lines(plan: _Plan, rows: list[Row]) -> alt.LayerChart:
    x = {"x": plan.number()} if plan.quantity else plan.category()
    x.pop("xOffset", None)
    base = alt.Chart(alt.Data(values=rows)).encode(**x, **plan.colour())
    layers = []
    if plan.figure.low and plan.figure.high:
        layers.append(base.mark_area(opacity=0.17).encode(**plan.value("low"), y2="high:Q"))
    base = base.encode(**plan.value("y"))
    layers.append(base.mark_line(strokeWidth=2.4, strokeJoin="round").encode(**plan.dash()))
    seen = base.mark_point(filled=True, size=64, opacity=1, stroke=plan.theme["paper"], strokeWidth=1)
    layers.append(seen.encode(**plan.shape(), tooltip=plan.tooltip()))
    if not plan.in_file:  # large enough to touch
        layers.append(base.mark_point(filled=True, size=500, opacity=0).encode(tooltip=plan.tooltip()))
    if plan.named_at_their_ends:
        layers.append(_names(plan, rows))
    return alt.layer(*layers)


def _names(plan: _Plan, rows: list[Row]) -> alt.Chart:
    """Names of the lines at their last points, moved apart where they would overlap."""
    last = {row["colour"]: row for row in sorted(rows, key=lambda row: row["x"]) if row["y"] is not None}
    ends = sorted(({**row, "named": row["y"]} for row in last.values()), key=lambda row: row["y"])
    room = (plan.span[1] - plan.span[0]) * 19 / (HEIGHT - 120)
    for _ in range(100):
        for lower, upper in pairwise(ends):
            lack = max(room - (upper["named"] - lower["named"]), 0) / 2
            lower["named"], upper["named"] = lower["named"] - lack, upper["named"] + lack
    text = alt.Chart(alt.Data(values=ends)).mark_text(align="left", dx=12, fontSize=13, fontWeight=600)
    return text.encode(plan.number(), **plan.value("named"), **plan.colour(), text="colour:N")


def _whiskers(plan: _Plan, base: alt.Chart, colour: Any, width: float) -> alt.Chart:
    ends = {**plan.value("low"), "x2" if plan.lying else "y2": "high:Q"}
    return base.transform_filter("datum.low !== null").mark_rule(strokeWidth=width, opacity=1).encode(**ends, **colour)


def _bars(plan: _Plan, rows: list[Row]) -> alt.LayerChart:
    base = alt.Chart(alt.Data(values=rows)).encode(**plan.category(), tooltip=plan.tooltip())
    bars = base.mark_bar(cornerRadiusEnd=2, strokeWidth=1.2 if plan.figure.tints else 0)
    layers = [bars.encode(**plan.value("y"), **plan.colour(), **plan.edge())]
    if plan.figure.low and plan.figure.high:
        for colour, width in (("paper", 4), ("ink", 1.5)):  # a light border, to be seen in front of the bar
            layers.append(_whiskers(plan, base, {"color": alt.value(plan.theme[colour])}, width))
    return alt.layer(*layers)


def _points(plan: _Plan, rows: list[Row]) -> alt.LayerChart:
    base = alt.Chart(alt.Data(values=rows)).encode(**plan.category(), tooltip=plan.tooltip())
    mean = "isValid(datum.low)"
    marks = base.encode(**plan.value("y"), **plan.colour(), **plan.shape())
    layers = [marks.transform_filter(f"!{mean}").mark_point(filled=True, size=40, opacity=0.6, yOffset=10)]
    if plan.figure.low and plan.figure.high:
        layers.append(_whiskers(plan, base, plan.colour(), 2.4))
        edge = plan.theme["paper"]
        layers.append(marks.transform_filter(mean).mark_point(filled=True, size=110, opacity=1, stroke=edge))
    return alt.layer(*layers)


def _heat(plan: _Plan, rows: list[Row]) -> alt.LayerChart:
    names = _ordered((row["row"] for row in plan.rows), plan.figure.order)
    crowded = sum(map(len, plan.categories)) > CROWDED
    below = alt.Axis(labelAngle=-45 if crowded else 0, labelOverlap=True, domain=False)
    beside = alt.Axis(labelLimit=150, domain=False)
    x = alt.X("x:N", sort=plan.categories, title=plan.figure.x_title or None, axis=below)
    y = alt.Y("row:N", sort=names, title=None, axis=beside)
    base = alt.Chart(alt.Data(values=[row for row in rows if row["y"] is not None])).encode(x, y)
    colours = alt.Scale(type="quantize", domain=plan.span, range=[plan.theme[f"h{n}"] for n in range(STEPS)])
    digits = format_of(row["y"] for row in plan.rows)
    key = alt.Legend(orient="right", format=digits, title=plan.figure.y_title or None) if plan.in_file else None
    cells = base.mark_rect(stroke=plan.theme["paper"], strokeWidth=1.5, cornerRadius=2)
    layers = [cells.encode(alt.Color("y:Q", scale=colours, legend=key), tooltip=plan.tooltip())]
    low, high = plan.span
    strong = f"datum.y > {low + (high - low) * 4 / STEPS}"
    ink = alt.condition(strong, alt.value(plan.theme["on-high"]), alt.value(plan.theme["on-low"]))
    roomy = alt.ExprRef(f"width > {34 * len(plan.categories)} ? 1 : 0")  # hide the numbers where they would overlap
    layers.append(base.mark_text(fontSize=11, opacity=roomy).encode(alt.Text("y:Q", format=digits), color=ink))
    return alt.layer(*layers)


_DRAW = {"lines": _lines, "bars": _bars, "points": _points, "heat": _heat}


def format_of(values: Iterable[float | None]) -> str:
    """A d3 number format with as many digits as the values need."""
    known = [value for value in values if value is not None]
    if all(float(value).is_integer() for value in known):
        return ","
    largest = max(map(abs, known))
    return ",.0f" if largest >= 1000 else ".1f" if largest >= 10 else ".2f" if largest >= 0.1 else ".2~g"


def _finite(value: Any) -> float | None:
    return value if is_number(value) and math.isfinite(value) else None


def _ordered(found: Iterable[str], order: Iterable[str]) -> list[str]:
    """The categories in ``found``, beginning with those of ``order``."""
    known = dict.fromkeys(found)
    return list(dict.fromkeys([*(name for name in order if name in known), *known]))


def _halves(text: str) -> list[str]:
    """Break a name at the space nearest to its middle."""
    spaces = [n for n, letter in enumerate(text) if letter == " "]
    if not spaces:
        return [text]
    middle = min(spaces, key=lambda n: abs(n - len(text) / 2))
    return [text[:middle], text[middle + 1 :]]
