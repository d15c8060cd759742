"""Fonts of the pictures in TensorBoard: what matplotlib's own lacks is looked for on the machine, or said once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.font_manager import FontEntry, fontManager

from seq2seq.decoding.translator import Translation
from seq2seq.training import fonts
from seq2seq.training.logging import attention_picture

RARE = "\N{MATHEMATICAL BOLD SCRIPT CAPITAL A}"  # in STIX, which comes with matplotlib, and not in its default


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No script has been looked for, and no other fonts than matplotlib's are installed."""
    monkeypatch.setattr(fonts, "_by_script", {})
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "matplotlib" in font.fname])


def test_fonts_that_are_gone_or_broken_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    gone = [FontEntry(fname=str(tmp_path / f"{name}.ttf"), name=name) for name in ("gone", "broken")]
    monkeypatch.setattr(fontManager, "ttflist", [*gone, *fontManager.ttflist])
    assert len(fonts.families([RARE])) == 2


def test_latin_greek_cyrillic_hebrew_and_arabic_need_no_other_font(capsys: Any) -> None:
    assert fonts.families(["Älter", "ήλιος", "дождь", "גשם", "مطر", "▁", "</s>"]) == [fonts.OWN]
    assert not capsys.readouterr().err


def test_a_font_that_has_the_character_is_found() -> None:
    own, other = fonts.families(["plain", RARE])
    assert own == fonts.OWN
    assert other != fonts.OWN


def test_what_no_font_draws_is_said_once_and_not_at_every_picture(capsys: Any) -> None:
    tokens = ["▁ฝน", "ตก", "雨", "नि"]
    translation = Translation("雨", 0.0, 0.0, tokens, tokens, torch.eye(4)[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = [attention_picture(translation) for _ in range(2)]
    assert (pictures[0] == pictures[1]).all()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "no installed font draws Thai characters" in "".join(said)
