"""The page as texts in memory: its HTML with the models' description, the report's theme and cards, its own script."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from seq2seq.report.page import theme
from seq2seq.report.page.formatting import script_json
from seq2seq.report.page.resources import resource

Assets = dict[str, tuple[str, str]]
"""From a path, without its first slash, to the media type and the content."""


def assets(described: dict[str, Any]) -> Assets:
    """All that a browser asks for. ``described``: the models and limits, which are put into the page."""
    data = script_json({**described, "dashes": theme.DASHES, "shapes": theme.SHAPES})
    html = _own("page.html").replace("{data}", data)
    style = theme.stylesheet() + resource("page.css") + _own("page.css")
    script = "text/javascript"
    return {
        "": ("text/html", html),
        "page.css": ("text/css", style),
        "theme.js": (script, resource("theme.js")),
        "attention.js": (script, resource("attention.js")),
        "page.js": (script, _own("page.js")),
    }


def _own(name: str) -> str:
    return (files("seq2seq.serve") / name).read_text(encoding="utf-8")
