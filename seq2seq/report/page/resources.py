"""The styles, scripts and templates of a page, as text. Knows the names of files in this folder."""

from __future__ import annotations

from importlib.resources import files


def resource(name: str) -> str:
    """The text of a file that lies beside this module."""
    return (files("seq2seq.report.page") / name).read_text(encoding="utf-8")
