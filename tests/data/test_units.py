"""Units without text, XLIFF of several files, and columns that nothing has."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.config.schema import DataConfig, GrammarConfig, SplitConfig
from seq2seq.data.sources import open_source
from seq2seq.data.units import units
from seq2seq.errors import UserError

UNIT = "<trans-unit id='1'><source>{src}</source><target>{tgt}</target></trans-unit>"
FILE = f"<file source-language='en'{{more}}><body>{UNIT}</body></file>"


def corpus(path: Path) -> DataConfig:
    split = SplitConfig(file=str(path))
    return DataConfig(source="text", src="en", tgt="de", train=split, valid=split, test=split)


def test_a_unit_of_tmx_with_an_empty_side_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [("one", "eins"), ("two", ""), ("", "drei"), ("four", " \n "), ("five", "fünf")]
    pair = "<tu><tuv xml:lang='en'><seg>{}</seg></tuv><tuv xml:lang='de'><seg>{}</seg></tuv></tu>"
    body = "".join(pair.format(*each) for each in sides)
    path = tmp_path / "a.tmx"
    path.write_text(f"<tmx version='1.4'><header srclang='en'/><body>{body}</body></tmx>", encoding="utf-8")
    assert list(open_source(corpus(path)).pairs("train")) == [sides[0], sides[4]]
    assert "3 of 5 units have no translation and are left out" in capsys.readouterr().err


def test_each_file_of_xliff_says_its_own_languages(tmp_path: Path) -> None:
    german = FILE.format(more=" target-language='de'", src="a", tgt="A")
    path = tmp_path / "a.xlf"
    path.write_text(f"<xliff version='1.2'>{german}{FILE.format(more='', src='b', tgt='bé')}</xliff>", encoding="utf-8")
    assert [unit.texts for unit in units(path, "xliff")] == [{"en": "a", "de": "A"}, {"en": "b", "": "bé"}]
    assert list(open_source(corpus(path)).pairs("train")) == [("a", "A")]
    path.write_text(f"<xliff version='1.2'>{FILE.format(more='', src='', tgt='b')}</xliff>")
    assert [unit.texts for unit in units(path, "xliff")] == [{"": "b"}]


def test_columns_are_refused_where_nothing_has_any(tmp_path: Path) -> None:
    for side in ("en", "de"):
        (tmp_path / f"a.{side}").write_text("a\nb\nc\n")
    split = SplitConfig(src=str(tmp_path / "a.en"), tgt=str(tmp_path / "a.de"))
    plain = DataConfig(source="text", train=split, valid=split, test=split, src_column="english")
    with pytest.raises(UserError, match=r"data\.src_column=english is not read with data\.source=text"):
        open_source(plain)
    assert open_source(plain, "test"), "of a finished run, whose file with both sides may be forgotten"
    small = GrammarConfig(pairs=4, valid=2, test=2)
    with pytest.raises(UserError, match=r"data\.tgt_column=2 is not read with data\.source=grammar"):
        open_source(DataConfig(grammar=small, tgt_column="2", cache=str(tmp_path)))
