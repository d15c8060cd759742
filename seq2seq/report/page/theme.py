"""Colours, dashes and point shapes of the page and of the figures' files. Knows no data.

The eight hues are distinguishable under simulated red and green blindness and have enough contrast with both
backgrounds (tests compute both). Dashes and shapes differ with them, so that a figure can be read in grey.
"""

from __future__ import annotations

from typing import Any

HUES = 8
STEPS = 7  # colours of a heat map
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"


def mixed(colour: str, other: str, share: float = 0.45) -> str:
    """A colour (``#rrggbb``) of which ``share`` is the first one, the rest the other."""
    pairs = ((int(colour[n : n + 2], 16), int(other[n : n + 2], 16)) for n in (1, 3, 5))
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


_NAMES = (
    *("paper", "raised", "ink", "quiet", "line", "grid", "accent", "warning", "warned"),
    *(f"c{n}" for n in range(HUES)),
    *(f"h{n}" for n in range(STEPS)),
    *("on-low", "on-high"),  # text in a heat map's pale and strong cells
)

LIGHT, DARK = (
    dict(zip(_NAMES, colours, strict=True))
    for colours in (
        (
            *("#ffffff", "#f6f7f9", "#1b1e25", "#596170", "#d9dde4", "#e8ebef", "#3c5170", "#8a4b00", "#fff6e5"),
            *("#bb3511", "#1c74d4", "#2f9d88", "#57287a", "#a4840c", "#55636f", "#2c9cc6", "#7d1434"),
            *("#f1f5fa", "#d6e3f1", "#b2cce5", "#85aed6", "#4178b2", "#2a5f9b", "#153f72"),
            *("#1b1e25", "#ffffff"),
        ),
        (
            *("#14161b", "#1d2027", "#e7e9ee", "#a3abb9", "#383d48", "#2a2e37", "#a9bddb", "#ffc36b", "#2e2516"),
            *("#f2713f", "#4f97f5", "#5fe3bb", "#a06fae", "#f5cb4d", "#b9c6d3", "#2fb8ec", "#ea5a73"),
            *("#1c222c", "#22354c", "#2a4b6f", "#376695", "#5088bd", "#7fb0de", "#bcdcf8"),
            *("#e7e9ee", "#14161b"),
        ),
    )
)
for _theme in (LIGHT, DARK):
    _theme.update({f"t{n}": mixed(_theme[f"c{n}"], _theme["paper"]) for n in range(HUES)})  # tints of the hues
ON_PAGE = {name: f"var(--{name})" for name in LIGHT}
"""Colours of charts on the page, as CSS variables: the browser resolves them, so that they follow the theme at once."""

DASHES: tuple[tuple[float, ...], ...] = ((1, 0), (7, 3), (2, 2.5), (10, 3, 2, 3), (4, 2), (12, 4), (1, 3), (6, 2, 1, 2))
SHAPES = (  # SVG paths between -1 and 1: circle, square, triangle, diamond, down, plus, left, right
    "M.9 0A.9 .9 0 1 1 -.9 0A.9 .9 0 1 1 .9 0Z",
    "M-.8-.8H.8V.8H-.8Z",
    "M0-1L1 .8H-1Z",
    "M0-1.1L1.1 0L0 1.1L-1.1 0Z",
    "M0 1L1-.8H-1Z",
    "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
    "M-1 0L.8-1V1Z",
    "M1 0L-.8-1V1Z",
)


def stylesheet() -> str:
    """The colours as CSS variables: light or dark as the reader's system is, or as the button says; light on paper."""
    light, dark = (
        f"{''.join(f'--{name}:{colour};' for name, colour in colours.items())}color-scheme:{scheme}"
        for colours, scheme in ((LIGHT, "light"), (DARK, "dark"))
    )
    return f""":root{{{light}}}
@media (prefers-color-scheme:dark){{:root{{{dark}}}}}
:root[data-theme=light]{{{light}}}
:root[data-theme=dark]{{{dark}}}
@media print{{:root:root{{{light}}}}}
"""


def vega_config(theme: dict[str, str]) -> dict[str, Any]:
    """Vega-Lite's config for all charts: fonts, axes, legends."""
    text = {"labelFont": FONT, "titleFont": FONT}
    quiet, line = theme["quiet"], theme["line"]
    axis = {
        **text,
        **{"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        **{"labelColor": quiet, "titleColor": quiet, "titlePadding": 10, "labelPadding": 6, "labelFlush": False},
        **{"domainColor": line, "tickColor": line, "gridColor": theme["grid"], "tickSize": 4},
    }
    legend = {"labelColor": theme["ink"], "titleColor": quiet, "labelFontSize": 13, "titleFontWeight": "normal"}
    title = {"color": theme["ink"], "subtitleColor": quiet, "anchor": "start", "fontSize": 17}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisQuantitative": {"ticks": False, "domain": False},
        "axisBand": {"ticks": False, "grid": False},
        "legend": {"font": FONT, **text, **legend},
        "title": {"font": FONT, **text, **title},
        "text": {"font": FONT},
    }
