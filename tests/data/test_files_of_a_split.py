"""Lists and patterns of files, further test sets, and which files are opened for one split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.schema import DataConfig, SplitConfig
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c[1]"):
        for side in ("en", "de"):
            Path(f"{name}.{side}").write_text(f"{name} {side} 1\n{name} {side} 2\n")
    return tmp_path


def pairs_of(*names: str) -> list[tuple[str, str]]:
    return [(f"{name} en {n}", f"{name} de {n}") for name in names for n in (1, 2)]


def data(src: Any, tgt: Any, **more: Any) -> DataConfig:
    one = SplitConfig(src="a.en", tgt="a.de")
    return DataConfig(source="text", **{"train": SplitConfig(src=src, tgt=tgt), "valid": one, "test": one, **more})


@pytest.mark.parametrize(
    ("src", "tgt", "names"),
    [
        (["b.en", "a.en"], ["b.de", "a.de"], ("b", "a")),
        ("?.en", "?.de", ("a", "b")),
        ("*.en", "./*.de", ("a", "b", "c[1]")),
        (["b.en", "c*.en"], ["b.de", "c[1].de"], ("b", "c[1]")),
        ("[ab].en", "**/[ab].de", ("a", "b")),
    ],
)
def test_files_are_read_one_after_the_other(src: Any, tgt: Any, names: tuple[str, ...]) -> None:
    source = open_source(data(src, tgt))
    assert list(source.pairs("train")) == list(source.pairs("train")) == pairs_of(*names)


def test_one_file_in_a_list_is_that_file() -> None:
    assert open_source(data(["a.en"], ["a.de"])).fingerprint() == open_source(data("a.en", "a.de")).fingerprint()
    orders = {open_source(data([f"{n}.en" for n in o], [f"{n}.de" for n in o])).fingerprint() for o in ("ab", "ba")}
    assert len(orders) == 2


@pytest.mark.parametrize(
    ("src", "tgt", "said"),
    [
        (["a.en", "b.en"], "*.de", r"data.train.src names 2 files \(a.en, …\) but data.train.tgt 3 \(a.de, …\)"),
        ("x*.en", "a.de", r"data.train.src=x\*.en: no file fits this pattern"),
        (["a.en", "x.en"], ["a.de", "b.de"], "x.en: no such file"),
    ],
)
def test_what_does_not_fit_is_said(src: Any, tgt: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_source(data(src, tgt))


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "parquet"])
def test_tables_too(kind: str) -> None:
    import pyarrow
    from pyarrow import parquet

    for name in ("one", "two"):
        path, rows = Path(f"{name}.{kind}"), [{"en": f"{name}{n}", "de": f"{name}{n} de"} for n in range(3)]
        if kind == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
            continue
        lines = [f"{row['en']}\t{row['de']}" if kind == "tsv" else f"{row['en']},{row['de']}" for row in rows]
        lines = ["en,de", *lines] if kind == "csv" else lines
        path.write_text("".join(f"{line}\n" for line in lines))
        if kind == "jsonl":
            path.write_text("".join(f'{{"en": "{row["en"]}", "de": "{row["de"]}"}}\n' for row in rows))
    split = SplitConfig(file=f"*.{kind}")
    found = open_source(DataConfig(source=kind, train=split, valid=split, test=split, cache="cache"))
    assert [src for src, _ in found.pairs("train")] == [f"{name}{n}" for name in ("one", "two") for n in range(3)]


def test_further_test_sets_are_asked_for_by_name_and_change_no_corpus() -> None:
    plain = data("a.en", "a.de")
    further = replace(plain, tests={"news": SplitConfig(src=["b.en", "a.en"], tgt=["b.de", "a.de"])})
    assert open_source(plain).fingerprint() == open_source(further).fingerprint()
    assert list(open_source(further, "news").pairs("news")) == pairs_of("b", "a")
    with pytest.raises(UserError, match=r"data.tests.news.tgt is not set: data.source=text needs a file there"):
        open_source(replace(plain, tests={"news": SplitConfig(src="a.en")}))
    with pytest.raises(UserError, match=r"data.tests.news.file=x is not read .*: give data.tests.news.src and"):
        open_source(replace(plain, tests={"news": SplitConfig(file="x")}))
    with pytest.raises(UserError, match="the embedded corpus has no further test sets"):
        open_source(DataConfig(tests={"news": SplitConfig()}))


def test_only_the_files_of_the_split_that_is_asked_for_are_opened() -> None:
    gone = SplitConfig(src="gone.en", tgt="gone.de")
    given = data("gone.en", "gone.de", valid=gone, test=SplitConfig(src="b.en", tgt="b.de"), tests={"news": gone})
    assert list(open_source(given, "test").pairs("test")) == pairs_of("b")
    for split in ("train", "valid", "news"):
        with pytest.raises(UserError, match=r"gone.en: no such file"):
            open_source(given, split)
    Path("all.en").write_text("".join(f"{n}\n" for n in range(30)))
    held = DataConfig(source="text", train=SplitConfig(src="all.en", tgt="all.en"), test=gone, holdout=3)
    alone = replace(held, test=SplitConfig(src="a.en", tgt="a.de"))
    assert list(open_source(held, "valid").pairs("valid")) == list(open_source(alone).pairs("valid"))
