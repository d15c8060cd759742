"""Headers, the languages of files and texts, and the other direction."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq import grammar
from seq2seq.config.compose import compose
from seq2seq.config.direction import directed
from seq2seq.config.schema import Config, DataConfig, SplitConfig
from seq2seq.data import languages
from seq2seq.data.sides import doubts, misplaced, sides_of
from seq2seq.data.sources import open_source
from seq2seq.runs.run import differences, run_of

PAIRS = [grammar.sentence(random.Random(n), 8) for n in range(60)]
TEXT = {"en": [pair.src for pair in PAIRS], "de": [pair.tgt for pair in PAIRS]}
TEXT["ru"] = ["Мы не знаем, что он сказал вчера вечером."] * 20
TEXT["zh"] = ["我们不知道他昨天晚上说了什么。"] * 20
TEXT["ja"] = ["私たちは彼が昨日の夜に何を言ったのか知りません。"] * 20
TEXT["fr"] = ["Il ne sait pas ce que les enfants ont dit dans la maison avec nous."] * 20


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def warned(data: DataConfig, src: str = "en", tgt: str = "de") -> list[str]:
    return list(doubts(data, [TEXT[src], TEXT[tgt]]))


@pytest.mark.parametrize(("said", "text"), [(a, b) for a in TEXT for b in TEXT])
def test_a_text_is_told_from_another_language(said: str, text: str) -> None:
    guess = languages.of_text(TEXT[text], said)
    assert (guess is None) == (said == text or (said, text) == ("ja", "zh"))
    if text in ("en", "de", "fr") and said in ("en", "de", "fr") and said != text:
        assert guess == text


@pytest.mark.parametrize("said", ["eo", "xx", ""])
def test_of_an_unknown_language_nothing_is_said(said: str) -> None:
    assert languages.of_text(TEXT["de"], said) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a/train.de", "de"),
        ("train.en.gz", "en"),
        ("x-de.txt", "de"),
        ("train.deu_Latn", "de"),
        ("eng.txt", None),
        ("v1.src", None),
        ("corpus.zho", "zh"),
        ("with-gan.txt", None),
        ("loss-nan.txt", None),
        ("cost_per", None),
        ("train.gan_Hans", "zh"),
        ("a.tok.fr", "fr"),
    ],
)
def test_the_language_of_a_name(name: str, code: str | None) -> None:
    assert languages.of_name(name) == code


@pytest.mark.parametrize(
    ("first", "said"),
    [("source\ttarget", True), ("EN\tDe", True), ("English\tGerman", True), ("en\tHallo", False), ("Hi\tHallo", False)],
)
def test_a_first_line_that_names_columns_is_warned_of(first: str, said: bool) -> None:
    Path("c.tsv").write_text(f"{first}\n" + "a\tb\n" * 9)
    split = SplitConfig(file="c.tsv")
    data = DataConfig(source="tsv", train=split, valid=split, test=split)
    src, tgt = first.split("\t")
    cure = f"set data.src_column={src} data.tgt_column={tgt}"
    assert (
        warned(data)
        == [f"c.tsv: its first line, {src} and {tgt}, is read as a pair: if it names the columns, {cure}"] * said
    )
    assert warned(replace(data, src_column=src, tgt_column=tgt)) == []
    other = replace(data, src_column="2", tgt_column="1")
    assert len(warned(other)) == said


def text(src: str, tgt: str, **more: Any) -> DataConfig:
    for name in (src, tgt):
        Path(name).write_text("x\n")
    split = SplitConfig(src=src, tgt=tgt)
    return DataConfig(source="text", train=split, valid=split, test=split, **{"src": "en", "tgt": "de", **more})


def test_it_is_said_which_file_is_which_language_and_what_does_not_fit() -> None:
    right = text("a.en", "a.de")
    assert sides_of(right) == [("source", "en", "a.en"), ("target", "de", "a.de")]
    assert warned(right) == []
    [swapped] = warned(replace(right, src="de", tgt="en"))
    assert swapped.startswith("a.en is read as de (data.src) and a.de as en (data.tgt), but not so named: ")
    assert "data.reverse=true" in swapped
    [name] = warned(text("a.fr", "a.de"))
    assert name.startswith("a.fr is read as en (data.src), but its name says fr: set data.src")
    [guess] = warned(text("a", "b"), "en", "fr")
    assert guess.startswith("data.tgt=de, but the validation text on this side looks like fr: set data.tgt")
    [script] = warned(text("a", "b"), "ru", "de")
    assert "looks like Cyrillic script" in script
    assert warned(replace(text("a", "b"), src="xx", tgt="yy"), "ru", "zh") == []
    table = replace(right, source="csv", train=SplitConfig(file="a.en"), valid=SplitConfig(), test=SplitConfig())
    assert sides_of(table) == [("source", "en", "column en of a.en"), ("target", "de", "column de of a.en")]


@pytest.mark.parametrize("source", ["text", "tsv", "csv", "jsonl", "parquet"])
def test_reverse_swaps_every_side(source: str) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [{"en": f"e{n}", "de": f"d{n}"} for n in range(4)]
    Path("c.en").write_text("".join(f"{row['en']}\n" for row in rows))
    Path("c.de").write_text("".join(f"{row['de']}\n" for row in rows))
    Path("c.tsv").write_text("".join(f"{row['en']}\t{row['de']}\n" for row in rows))
    Path("c.csv").write_text("en,de\n" + "".join(f"{row['en']},{row['de']}\n" for row in rows))
    Path("c.jsonl").write_text("".join(f'{{"en": "{row["en"]}", "de": "{row["de"]}"}}\n' for row in rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), "c.parquet")
    split = SplitConfig(src="c.en", tgt="c.de") if source == "text" else SplitConfig(file=f"c.{source}")
    there = DataConfig(
        source=source, src="en", tgt="de", train=split, valid=split, test=split, tests={"more": split}, cache="cache"
    )
    back = directed(Config(data=replace(there, reverse=True))).data
    assert (back.src, back.tgt, back.reverse, back.name) == ("de", "en", False, "embedded-de-en")
    for name in ("train", "valid", "test", "more"):
        pairs = list(open_source(there, name).pairs(name))
        assert list(open_source(back, name).pairs(name)) == [(tgt, src) for src, tgt in pairs]
    columns = DataConfig(source="tsv", src_column="3", train=split, reverse=True)
    swapped = directed(Config(data=columns)).data
    assert (swapped.src_column, swapped.tgt_column) == ("2", "3")


def test_reverse_of_the_grammar_swaps_its_alignments_and_names_another_run() -> None:
    few = ["data.grammar.pairs=20", "data.grammar.valid=3", "data.grammar.test=3", "data.grammar.max_words=8"]
    there, back = (compose(["experiment=lstm", *few, f"data.reverse={on}"]) for on in ("false", "true"))
    one, other = open_source(there.data), open_source(back.data)
    assert [pair[::-1] for pair in one.pairs("test")] == list(other.pairs("test"))
    links = [
        [sorted(link.split("-")) for link in file.read_text().split()]
        for file in (source.alignment_file("test") for source in (one, other))
        if file is not None
    ]
    assert len(links) == 2 and sorted(links[0]) == sorted(links[1])
    assert run_of(there).folder != run_of(back).folder
    assert "data.src: en -> de" in differences(there, back)
    assert directed(back) == back
    assert warned(there.data) == warned(back.data, "de", "en") == []


@pytest.mark.parametrize(
    ("names", "texts", "codes", "said"),
    [
        (("a.en", "a.de"), ("en", "de"), ("en", "de"), []),
        (
            ("a.de", "a.en"),
            ("de", "en"),
            ("en", "de"),
            ["--src a.de is read as en, but its name says de", "--ref a.en"],
        ),
        (("a", "b"), ("de", "en"), ("en", "de"), ["--src a is read as en, but it looks like de", "--ref b is read"]),
        (("a.de", "a.en"), ("de", "en"), (None, None), []),
        (("/dev/fd/63", "a.de"), ("en", "fr"), ("en", "de"), ["--ref a.de is read as de, but it looks like fr"]),
    ],
)
def test_files_given_to_a_trained_model_are_doubted(names: Any, texts: Any, codes: Any, said: list[str]) -> None:
    found = list(misplaced(dict(zip(("--src", "--ref"), names, strict=True)), codes, [TEXT[text] for text in texts]))
    assert len(found) == len(said)
    assert all(doubt.startswith(begin) for doubt, begin in zip(found, said, strict=True))
