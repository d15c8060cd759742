"""Hostile corpora, in every format, as ``seq2seq train`` prepares them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.hostile.cases import Case, Harm, put

GOOD = [(f"ab ca {n}", f"ba cb {n}") for n in "aabbccabcabcaabbcc"]
LONG = "ab " * 30_000  # 90 kB


def corpus(source: str, path: str = "own", **options: Any) -> Callable[[], object]:
    """Prepare a corpus of one file, of which two pairs are held out, as ``seq2seq train`` does."""

    def read() -> object:
        from seq2seq.config.schema import DataConfig, SplitConfig, SubwordConfig
        from seq2seq.data.encoded import prepare

        split = SplitConfig(src=f"{path}.src", tgt=f"{path}.tgt") if source == "text" else SplitConfig(file=path)
        subwords = SubwordConfig(vocab_size=16, byte_fallback=False)
        data = {"train": split, "holdout": 2, "subwords": subwords, "cache": "cache", **options}
        return prepare(DataConfig(source=source, **data))

    return read


def text(src: bytes | None, tgt: bytes | None) -> Harm:
    """``own.src`` and ``own.tgt``; None: no such file."""

    def harm(folder: Path) -> None:
        for side, content in (("src", src), ("tgt", tgt)):
            if content is not None:
                (folder / f"own.{side}").write_bytes(content)

    return harm


SIDES = [b"".join(f"{pair[side]}\n".encode() for pair in GOOD) for side in (0, 1)]


def in_src(change: Callable[[bytes], bytes]) -> Harm:
    return text(change(SIDES[0]), SIDES[1])


def line_of(content: bytes, number: int = 5) -> Callable[[bytes], bytes]:
    """Another line in place of one."""

    def change(lines: bytes) -> bytes:
        split = lines.split(b"\n")
        split[number - 1] = content
        return b"\n".join(split)

    return change


def linked(folder: Path) -> None:
    for side in ("src", "tgt"):
        (folder / f"own.{side}").symlink_to(f"own.{side}")


def dangling(folder: Path) -> None:
    for side in ("src", "tgt"):
        (folder / f"own.{side}").symlink_to("nowhere")


def folders(folder: Path) -> None:
    for side in ("src", "tgt"):
        (folder / f"own.{side}").mkdir()


TEXT: dict[str, tuple[Harm, tuple[str, ...], int]] = {
    "no file": (text(None, None), ("own.src: no such file",), 2),
    "no target": (text(SIDES[0], None), ("own.tgt: no such file",), 2),
    "a folder": (folders, ("own.src is a folder",), 2),
    "a link to itself": (linked, ("own.src",), 2),
    "a link to nothing": (dangling, ("own.src: no such file",), 2),
    "empty": (text(b"", b""), ("own.src is an empty corpus",), 2),
    "an empty target": (text(SIDES[0], b""), ("own.tgt is an empty corpus",), 2),
    "empty lines": (text(b"\n" * 18, b"\n" * 18), ("no pair is left",), 2),
    "blank lines": (text(b" \t\n" * 18, SIDES[1]), ("no pair is left",), 2),
    "one line": (text(b"ab\n", b"ba\n"), ("too few to hold",), 2),
    "a line too few": (text(SIDES[0], SIDES[1][:-2].rpartition(b"\n")[0]), ("18 lines but own.tgt has 17",), 2),
    "a line too many": (text(SIDES[0] + b"\n", SIDES[1]), ("19 lines but own.tgt has 18",), 2),
    "not UTF-8": (in_src(line_of(b"caf\xe9")), ("own.src:5: not UTF-8 (byte 0xe9)",), 2),
    "not UTF-8 in the first byte": (in_src(line_of(b"\xff", 1)), ("own.src:1: not UTF-8",), 2),
    "a character cut off": (text(SIDES[0] + b"\xe2\x82", SIDES[1] + b"x"), ("own.src:19: not UTF-8",), 2),
    "a surrogate": (in_src(line_of(b"\xed\xa0\x80")), ("own.src:5: not UTF-8",), 2),
    "an overlong slash": (in_src(line_of(b"\xc0\xaf")), ("own.src:5: not UTF-8",), 2),
    "UTF-16": (in_src(lambda b: b.decode().encode("utf-16")), ("own.src:1: not UTF-8",), 2),
    "UTF-16 without a mark": (in_src(lambda b: b.decode().encode("utf-16-le")), ("19 lines but",), 2),
    "Latin-1": (in_src(lambda b: b + "é".encode("latin-1")), ("own.src:19: not UTF-8",), 2),
    "NUL in a line": (in_src(line_of(b"ab \0 ca")), (), 0),
    "a line of NUL": (in_src(line_of(bytes(9))), (), 0),
    "control characters": (in_src(line_of(b"\x01\x02\tab")), (), 0),
    "other line ends": (in_src(line_of("ab\u2028ca\u0085\x0bx\ry".encode())), (), 0),
    "Windows line ends": (in_src(lambda b: b.replace(b"\n", b"\r\n")), (), 0),
    "old Macintosh line ends": (in_src(lambda b: b.replace(b"\n", b"\r")), ("own.src has 1 lines",), 2),
    "a byte order mark": (in_src(lambda b: b"\xef\xbb\xbf" + b), (), 0),
    "no line end at the end": (in_src(lambda b: b[:-1]), (), 0),
    "a long line": (in_src(line_of(LONG.encode())), (), 0),
    "a long word": (in_src(line_of(b"a" * 90_000)), (), 0),
    "right to left and marks": (in_src(line_of("\u202eab\u200b\u0301".encode() * 50)), (), 0),
    "every line the same": (text(b"ab\n" * 18, b"ba\n" * 18), ("vocab_size",), 2),
    "another alphabet in each line": (
        text(
            "".join(f"{chr(0x4E00 + 9 * n)}{chr(0x4E01 + 9 * n)}\n" for n in range(18)).encode(),
            "".join(f"{chr(0x5E00 + 9 * n)}\n" for n in range(18)).encode(),
        ),
        ("data.subwords.vocab_size=16 is less than",),
        2,
    ),
    "gz that is named as text": (in_src(gzip.compress), ("own.src:1: not UTF-8",), 2),
}

GZ: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...], int]] = {
    "whole": (gzip.compress, (), 0),
    "cut short": (lambda b: gzip.compress(b)[:-9], ("own.gz cannot be read",), 2),
    "cut in its head": (lambda b: gzip.compress(b)[:5], ("own.gz cannot be read",), 2),
    "a wrong checksum": (lambda b: gzip.compress(b)[:-8] + bytes(8), ("own.gz cannot be read",), 2),
    "garbage": (lambda b: b"\x1f\x8b" + random.Random(1).randbytes(80), ("own.gz cannot be read",), 2),
    "text": (lambda b: b, ("own.gz cannot be read",), 2),
    "empty": (lambda b: b"", ("own.gz is an empty corpus",), 2),
    "packed nothing": (lambda b: gzip.compress(b""), ("own.gz is an empty corpus",), 2),
    "not UTF-8 inside": (lambda b: gzip.compress(line_of(b"\xff")(b)), ("own.gz:5: not UTF-8",), 2),
    "two members": (lambda b: gzip.compress(b) + gzip.compress(b), (), 0),
    "something behind": (lambda b: gzip.compress(b) + b"more", ("own.gz cannot be read",), 2),
}

TAB = b"".join(f"{src}\t{tgt}\n".encode() for src, tgt in GOOD)
CSV = b"en,de\n" + TAB.replace(b"\t", b",")
JSONL = b"".join(json.dumps({"en": src, "de": tgt}).encode() + b"\n" for src, tgt in GOOD)

TSV: dict[str, tuple[bytes, dict[str, Any], tuple[str, ...], int]] = {
    "empty": (b"", {}, ("own is an empty corpus",), 2),
    "no tab": (TAB.replace(b"\t", b" "), {}, ("own:1: 1 columns where at least 2 are needed",), 2),
    "a ragged line": (line_of(b"ab")(TAB), {}, ("own:5: 1 columns",), 2),
    "an empty line": (line_of(b"")(TAB), {}, ("own:5: 1 columns",), 2),
    "more columns": (line_of(b"ab\tba\tx\ty")(TAB), {}, (), 0),
    "not UTF-8": (line_of(b"a\xff\tb")(TAB), {}, ("own:5: not UTF-8",), 2),
    "NUL": (line_of(b"a\0\tb")(TAB), {}, (), 0),
    "a long cell": (line_of(LONG.encode() + b"\tb")(TAB), {}, (), 0),
    "column 0": (TAB, {"src_column": "0"}, ("data.src_column=0 is no column",), 2),
    "one column twice": (TAB, {"src_column": "2"}, ("both sides are column 2",), 2),
    "a column that is not there": (TAB, {"tgt_column": "9"}, ("at least 9 are needed",), 2),
    "an absurd column": (TAB, {"tgt_column": "9" * 18}, ("are needed",), 2),
    "a number of thousands of digits": (TAB, {"tgt_column": "9" * 5_000}, ("column",), 2),
    "a column by a wrong name": (TAB, {"src_column": "eng"}, ("own has no column eng",), 2),
    "a negative column": (TAB, {"src_column": "-1"}, ("own has no column -1",), 2),
    "a number of another script": (TAB, {"src_column": "٢", "tgt_column": "1"}, (), 0),
    "a superscript for a number": (TAB, {"src_column": "²"}, ("own has no column ²",), 2),
    "names alone": (b"en\tde\n", {"src_column": "en", "tgt_column": "de"}, ("own is an empty corpus",), 2),
}

COMMAS: dict[str, tuple[bytes, tuple[str, ...], int]] = {
    "empty": (b"", ("own is an empty corpus",), 2),
    "names alone": (b"en,de\n", ("own is an empty corpus",), 2),
    "other names": (CSV.replace(b"en,de", b"x,y", 1), ("has no column en; it has x, y",), 2),
    "no names": (CSV.partition(b"\n")[2], ("has no column en",), 2),
    "one name twice": (CSV.replace(b"en,de", b"en,en", 1), ("two columns have one name",), 2),
    "a name missing": (CSV.replace(b"en,de", b"en,", 1), ("has no column de",), 2),
    "a cell too many": (line_of(b"a,b,c")(CSV), ("own:5: 3 cells under 2 column names",), 2),
    "a cell too few": (line_of(b"a")(CSV), ("own:5: 1 cells under 2 column names",), 2),
    "an open quote": (line_of(b'"a,b')(CSV), ("own:5: ", "mend the quotes"), 2),
    "text behind a quote": (line_of(b'"a"b,c')(CSV), ("own:5: ", "mend the quotes"), 2),
    "not UTF-8": (line_of(b"a\xff,b")(CSV), ("own:5: not UTF-8",), 2),
    "NUL": (line_of(b"a\0b,c")(CSV), (), 0),
    "a cell above the reader's limit": (line_of(b"a" * 140_000 + b",b")(CSV), ("own:5: ",), 2),
    "semicolons": (CSV.replace(b",", b";"), ("has no column en; it has en;de",), 2),
    "old Macintosh line ends": (CSV.replace(b"\n", b"\r"), (), 0),
    "line ends in a cell": (line_of(b'"a\nb",c')(CSV), (), 0),
    "an empty row": (line_of(b"")(CSV), (), 0),
    "empty cells": (line_of(b",")(CSV), (), 0),
    "numbers": (b"en,de\n" + b"1,2\n" * 18, ("vocab_size",), 2),
    "garbage": (random.Random(2).randbytes(300), ("own:1: not UTF-8",), 2),
    "a web page": (b"<!DOCTYPE html>\n<html>\n<p>not found</p>\n</html>\n", ("has no column en",), 2),
}

OBJECTS: dict[str, tuple[bytes, tuple[str, ...], int]] = {
    "empty": (b"", ("own is an empty corpus",), 2),
    "blank lines": (b"\n" * 9, ("own",), 2),
    "no JSON": (b"ab ca\n" * 9, ("own",), 2),
    "cut short": (JSONL[:-9], ("own",), 2),
    "a line that is no JSON": (line_of(b"ab ca")(JSONL), ("own",), 2),
    "a line of a list": (line_of(b'["a", "b"]')(JSONL), ("own",), 2),
    "a line of a number": (line_of(b"3")(JSONL), ("own",), 2),
    "a line of null": (line_of(b"null")(JSONL), ("own",), 2),
    "one list": (b'["a", "b"]\n', ("own",), 2),
    "a key is missing": (line_of(b'{"en": "a"}')(JSONL), ("own", "row 5 has no text in column de"), 2),
    "null for text": (line_of(b'{"en": "a", "de": null}')(JSONL), ("own", "row 5 has no text"), 2),
    "a number for text": (line_of(b'{"en": "a", "de": 3}')(JSONL), ("own",), 2),
    "numbers for text": (b'{"en": 1, "de": 2}\n' * 18, ("column en holds int64, not text",), 2),
    "lists for text": (b'{"en": ["a"], "de": ["b"]}\n' * 18, ("column en holds", "not text"), 2),
    "objects for text": (b'{"en": {"x": "a"}, "de": {"x": "b"}}\n' * 18, ("own",), 2),
    "true for text": (b'{"en": true, "de": false}\n' * 18, ("column en holds bool, not text",), 2),
    "NaN for text": (b'{"en": NaN, "de": NaN}\n' * 18, ("own",), 2),
    "other keys": (JSONL.replace(b'"en"', b'"eng"'), ("own has no column en",), 2),
    "a key twice": (line_of(b'{"en": "a", "en": "b", "de": "c"}')(JSONL), ("own",), 2),
    "not UTF-8": (line_of(b'{"en": "\xff", "de": "b"}')(JSONL), ("own:5: not UTF-8",), 2),
    "NUL": (line_of(b'{"en": "\\u0000", "de": "b"}')(JSONL), (), 0),
    "half a surrogate": (line_of(b'{"en": "\\ud800", "de": "b"}')(JSONL), ("own",), 2),
    "a long text": (line_of(json.dumps({"en": LONG, "de": "b"}).encode())(JSONL), (), 0),
    "text behind an object": (line_of(b'{"en": "a", "de": "b"} x')(JSONL), ("own",), 2),
    "two objects in a line": (line_of(b'{"en": "a", "de": "b"}{"en": "a", "de": "b"}')(JSONL), ("own",), 2),
    "one object over lines": (JSONL.replace(b", ", b",\n"), ("own",), 2),
    "a comment": (b"// pairs\n" + JSONL, ("own",), 2),
    "a byte order mark": (b"\xef\xbb\xbf" + JSONL, (), 0),
    "garbage": (random.Random(3).randbytes(300), ("own:1: not UTF-8",), 2),
}


def table(columns: dict[str, list[Any]]) -> Callable[[], bytes]:
    """A Parquet file."""

    def write() -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        out = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), out)
        return out.getvalue().to_pybytes()

    return write


BOTH = {"en": [src for src, _ in GOOD], "de": [tgt for _, tgt in GOOD]}
ROWS = table(BOTH)
PARQUET: dict[str, tuple[Callable[[], bytes], tuple[str, ...], int]] = {
    "whole": (ROWS, (), 0),
    "empty": (lambda: b"", ("own is an empty corpus",), 2),
    "no rows": (table({"en": [], "de": []}), ("own",), 2),
    "cut short": (lambda: ROWS()[:-20], ("own cannot be read as parquet",), 2),
    "cut in half": (lambda: ROWS()[: len(ROWS()) // 2], ("own cannot be read as parquet",), 2),
    "its head alone": (lambda: b"PAR1", ("own cannot be read as parquet",), 2),
    "no head": (lambda: ROWS()[4:-4], ("own cannot be read as parquet",), 2),
    "text": (lambda: b"ab\tba\n" * 9, ("own cannot be read as parquet",), 2),
    "JSON": (lambda: JSONL, ("own cannot be read as parquet",), 2),
    "garbage": (lambda: random.Random(4).randbytes(400), ("own cannot be read as parquet",), 2),
    "other columns": (table({"x": ["a"], "y": ["b"]}), ("own has no column en; it has x, y",), 2),
    "one column": (table({"en": BOTH["en"]}), ("own has no column de",), 2),
    "numbers": (table({"en": [1] * 9, "de": [2] * 9}), ("column en holds int64, not text",), 2),
    "lists": (table({"en": [["a"]] * 9, "de": [["b"]] * 9}), ("column en holds", "not text"), 2),
    "bytes": (table({"en": [b"a"] * 9, "de": [b"b"] * 9}), ("column en holds binary, not text",), 2),
    "null": (table({"en": [*BOTH["en"][1:], None], "de": BOTH["de"]}), ("row 18 has no text in column en",), 2),
    "all null": (table({"en": [None] * 9, "de": [None] * 9}), ("column en holds null, not text",), 2),
    "pairs in a dictionary": (table({"translation": [{"en": src, "de": tgt} for src, tgt in GOOD]}), (), 0),
    "half a dictionary": (table({"translation": [{"en": src} for src, _ in GOOD]}), ("own has no column de",), 2),
}


def _corpora() -> Iterator[Case]:
    """Corpora in every format."""
    for name, (harm, says, code) in TEXT.items():
        yield Case(f"text: {name}", corpus("text"), harm, says, code)
    for name, (pack, says, code) in GZ.items():
        yield Case(f"gz: {name}", corpus("tsv", "own.gz"), put("own.gz", pack(TAB)), says, code)
    for name, (content, options, says, code) in TSV.items():
        yield Case(f"tsv: {name}", corpus("tsv", **options), put("own", content), says, code)
    for source, rows in (("csv", COMMAS), ("jsonl", OBJECTS)):
        for name, (content, says, code) in rows.items():
            yield Case(f"{source}: {name}", corpus(source), put("own", content), says, code)
    for name, (make, says, code) in PARQUET.items():
        yield Case(f"parquet: {name}", corpus("parquet"), lambda folder, m=make: put("own", m())(folder), says, code)
    for source in ("tsv", "csv", "jsonl", "parquet"):
        yield Case(f"{source}: no file", corpus(source), says=("own: no such file",))
        yield Case(f"{source}: a folder", corpus(source), lambda folder: (folder / "own").mkdir(), ("own is a folder",))
        yield Case(f"{source}: a path with NUL", corpus(source, "own\0"), says=("own",))
        yield Case(f"{source}: a path that is too long", corpus(source, "x" * 5_000), says=("x",))


def corpora() -> Iterator[Case]:
    """Corpora in every format."""
    return (replace(case, parts=()) for case in _corpora())
