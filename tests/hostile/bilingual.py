"""Hostile TMX, XLIFF and zips, and packed files, as ``seq2seq train`` prepares them. No entity in them expands."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import zipfile
from collections.abc import Callable, Iterator

from tests.hostile.cases import Case, put
from tests.hostile.corpora import GOOD, LONG, SIDES

UNITS = "".join(
    f'<tu><tuv xml:lang="en"><seg>{src}</seg></tuv><tuv xml:lang="de"><seg>{tgt}</seg></tuv></tu>\n'
    for src, tgt in GOOD
)
TMX = f'<tmx version="1.4">\n<header srclang="en"/><body>\n{UNITS}</body></tmx>\n'
XLF = (
    '<xliff version="1.2"><file source-language="en" target-language="de"><body>\n'
    + "".join(f"<trans-unit><source>{src}</source><target>{tgt}</target></trans-unit>\n" for src, tgt in GOOD)
    + "</body></file></xliff>\n"
)
XLF2 = (
    '<xliff version="2.0" srcLang="en" trgLang="de"><file>\n'
    + "".join(f"<unit><segment><source>{src}</source><target>{tgt}</target></segment></unit>\n" for src, tgt in GOOD)
    + "</file></xliff>\n"
)
DEEP = f"<seg>{'<hi>' * 200}ab ca{'</hi>' * 200}</seg>"
EMPTY = "own.tmx is an empty corpus"

MARKED: dict[str, tuple[str, str | bytes, tuple[str, ...], int]] = {
    "tmx: whole": ("own.tmx", TMX, (), 0),
    "tmx: empty": ("own.tmx", "", (EMPTY,), 2),
    "tmx: blank": ("own.tmx", "\n\n", ("own.tmx:3: the file ends in the middle",), 2),
    "tmx: no units": ("own.tmx", TMX.replace(UNITS, ""), ("own.tmx has no en; it has no language",), 2),
    "tmx: cut in a tag": ("own.tmx", TMX[:900], ("own.tmx:11: the file ends in the middle, after 8 units",), 2),
    "tmx: cut behind its units": ("own.tmx", TMX[:-20], ("own.tmx:20: the file ends in the middle, after 17",), 2),
    "tmx: a control character": ("own.tmx", TMX.replace("ab ca a<", "\1<", 1), ("own.tmx:3: a control character",), 2),
    "tmx: NUL": ("own.tmx", TMX.replace("ab ca a<", "ab \0 a<", 1), ("own.tmx:3: a control character (0x00)",), 2),
    "tmx: a reference to NUL": ("own.tmx", TMX.replace("ab ca a<", "&#0;<", 1), ("own.tmx:3: reference to inv",), 2),
    "tmx: an unknown entity": ("own.tmx", TMX.replace("ab ca a<", "&nbsp;<", 1), ("own.tmx:3: undefined entity",), 2),
    "tmx: a bare ampersand": ("own.tmx", TMX.replace("ab ca a<", "a & b<", 1), ("own.tmx:3: not well-formed",), 2),
    "tmx: a DOCTYPE": ("own.tmx", f"<!DOCTYPE tmx>\n{TMX}", ("own.tmx:1: a DOCTYPE",), 2),
    "tmx: a DOCTYPE that names a file": ("own.tmx", f'<!DOCTYPE tmx SYSTEM "a.dtd">\n{TMX}', ("a DOCTYPE",), 2),
    "tmx: a DOCTYPE with an element": ("own.tmx", f"<!DOCTYPE tmx [<!ELEMENT tmx ANY>]>\n{TMX}", ("a DOCTYPE",), 2),
    "tmx: a tag that is not closed": ("own.tmx", TMX.replace("</seg>", "", 1), ("own.tmx:3: mismatched tag",), 2),
    "tmx: text behind the end": ("own.tmx", f"{TMX}more", ("own.tmx:22: junk after document element",), 2),
    "tmx: two documents": ("own.tmx", TMX + TMX, ("own.tmx:22: junk after document element",), 2),
    "tmx: elements in elements": ("own.tmx", TMX.replace("<seg>ab ca a</seg>", DEEP), ("more than 100 elements",), 2),
    "tmx: a web page": ("own.tmx", "<html><p>not found</p></html>", ("first element is <tmx>, not <html>",), 2),
    "tmx: XLIFF": ("own.tmx", XLF, ("first element is <tmx>, not <xliff>",), 2),
    "tmx: text": ("own.tmx", SIDES[0], ("own.tmx:1: syntax error",), 2),
    "tmx: garbage": ("own.tmx", random.Random(5).randbytes(300), ("own.tmx:1: ",), 2),
    "tmx: not UTF-8": ("own.tmx", TMX.replace("ab ca a<", "\xff<", 1).encode("latin-1"), ("own.tmx:3: not well-",), 2),
    "tmx: UTF-16": ("own.tmx", TMX.encode("utf-16"), (), 0),
    "tmx: an encoding that is none": (
        "own.tmx", f'<?xml version="1.0" encoding="klingon"?>{TMX}', ("own.tmx:1: ", "klingon"), 2,
    ),
    "tmx: an encoding that is no text": (
        "own.tmx", f'<?xml version="1.0" encoding="hex"?>{TMX}', ("own.tmx:1: ",), 2,
    ),
    "tmx: an encoding of several bytes": (
        "own.tmx", f'<?xml version="1.0" encoding="shift_jis"?>{TMX}', ("own.tmx:1: ",), 2,
    ),
    "tmx: a long text": ("own.tmx", TMX.replace("ab ca a<", f"{LONG}<", 1), (), 0),
    "tmx: a line end in a text": ("own.tmx", TMX.replace("ab ca a<", "ab\n\nca<", 1), (), 0),
    "tmx: no language": ("own.tmx", TMX.replace(" xml:lang=", " x="), ("own.tmx has no de; it has en",), 2),
    "tmx: no language anywhere": (
        "own.tmx", TMX.replace(" xml:lang=", " x=").replace(' srclang="en"', ""), ("one without a code",), 2,
    ),
    "tmx: other languages": (
        "own.tmx", TMX.replace('"en"', '"fr"').replace('"de"', '"it"'), ("has no en; it has fr, it",), 2,
    ),
    "tmx: one language": ("own.tmx", TMX.replace('"de"', '"en"'), ("own.tmx has no de; it has en",), 2),
    "tmx: never both": (
        "own.tmx", TMX.replace('</tuv><tuv xml:lang="de"', '</tuv></tu><tu><tuv xml:lang="de"'),
        ("empty corpus: none of its 36 units has both en and de",), 2,
    ),
    "tmx: a language in each unit": (
        "own.tmx",
        f"<tmx><body>{''.join(f'<tu><tuv lang=x{n}><seg>a</seg></tuv></tu>' for n in range(1_100))}</body></tmx>"
        .replace("lang=", 'lang="').replace("><seg", '"><seg'),
        ("more than 1,000 combinations of languages",), 2,
    ),
    "tmx: units in units": ("own.tmx", TMX.replace("<tu>", "<tu><tu/>"), (), 2),
    "xliff: whole": ("own.xlf", XLF, (), 0),
    "xliff 2: whole": ("own.xliff", XLF2, (), 0),
    "xliff: no targets": ("own.xlf", XLF.replace("target>", "note>"), ("own.xlf has no de; it has en",), 2),
    "xliff: one language": ("own.xlf", XLF.replace('"de"', '"en"'), ("own.xlf has no de",), 2),
    "xliff: no languages": ("own.xlf", XLF.replace("language=", "l="), ("one without a code",), 2),
    "xliff: cut short": ("own.xlf", XLF[:700], ("own.xlf:", "the file ends in the middle"), 2),
    "xliff: a DOCTYPE": ("own.xlf", f"<!DOCTYPE xliff>{XLF}", ("own.xlf:1: a DOCTYPE",), 2),
    "xliff: TMX": ("own.xlf", TMX, ("first element is <xliff>, not <tmx>",), 2),
    "file: no ending": ("own", TMX, ("file=own is not read with data.source=text",), 2),
    "file: another ending": ("own.xml", TMX, ("file=own.xml is not read with data.source=text",), 2),
    "file: only packed": ("own.gz", TMX, ("file=own.gz is not read with data.source=text",), 2),
}  # fmt: skip


def zipped(*files: tuple[str, bytes], **options: int) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


BOTH = (("own.de-en.en", SIDES[0]), ("own.de-en.de", SIDES[1]))
WHOLE = zipped(*BOTH)
PASSWORD = bytearray(WHOLE)
NAMED = zipped(("ü.de-en.en", SIDES[0]), ("ü.de-en.de", SIDES[1])).replace("ü".encode(), b"\xc2x")
for head, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # the flag "encrypted" of the first file
    PASSWORD[WHOLE.index(head) + offset] |= 1

ZIPS: dict[str, tuple[bytes, tuple[str, ...], int]] = {
    "whole": (WHOLE, (), 0),
    "with a note": (zipped(("README", b"x"), *BOTH, ("LICENSE", b"y")), (), 0),
    "bz2 inside": (zipped(*BOTH, compression=zipfile.ZIP_BZIP2), (), 0),
    "lzma inside": (zipped(*BOTH, compression=zipfile.ZIP_LZMA), (), 0),
    "empty": (b"", ("own.zip cannot be read",), 2),
    "no files": (zipped(), ("it holds none",), 2),
    "text": (SIDES[0], ("own.zip cannot be read",), 2),
    "cut short": (WHOLE[:-30], ("own.zip cannot be read",), 2),
    "its head cut off": (WHOLE[60:], ("own.zip",), 2),
    "a wrong checksum": (WHOLE.replace(b"ab ca b", b"ab cb b", 1), ("own.de-en.en cannot be read",), 2),
    "one side": (zipped(BOTH[0]), ("it holds none",), 2),
    "two corpora": (
        zipped(*BOTH, *((name.replace("own", "b"), text) for name, text in BOTH)), ("b.de-en, own.de-en",), 2,
    ),
    "a line too few": (zipped(BOTH[0], (BOTH[1][0], b"ba\n")), ("has 18 lines but", "has 1"), 2),
    "an empty side": (zipped((BOTH[0][0], b""), BOTH[1]), ("own.de-en.en is an empty corpus",), 2),
    "not UTF-8": (zipped((BOTH[0][0], b"\xff\n" * 18), BOTH[1]), ("own.de-en.en:1: not UTF-8",), 2),
    "encrypted": (bytes(PASSWORD), ("own.de-en.en is encrypted",), 2),
    "a name that is not UTF-8": (NAMED, ("own.zip cannot be read",), 2),
    "a path upwards": (zipped(("../own.de-en.en", SIDES[0]), BOTH[1]), ("a path that leads elsewhere",), 2),
    "an absolute path": (zipped(("/own.de-en.en", SIDES[0]), BOTH[1]), ("a path that leads elsewhere",), 2),
    "a drive": (zipped(("C:\\own.de-en.en", SIDES[0]), BOTH[1]), ("a path that leads elsewhere",), 2),
    "many files": (zipped(*((f"{n}", b"") for n in range(1_100))), ("more than 1,000 files",), 2),
    "a zip inside": (zipped(("own.zip", WHOLE)), ("it holds none",), 2),
    "garbage": (random.Random(6).randbytes(300), ("own.zip cannot be read",), 2),
}  # fmt: skip

PACKED: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...], int]] = {
    "bz2: whole": (bz2.compress, (), 0),
    "bz2: cut short": (lambda b: bz2.compress(b)[:-9], ("own.bz2 cannot be read",), 2),
    "bz2: text": (lambda b: b, ("own.bz2 cannot be read",), 2),
    "bz2: empty": (lambda b: b"", ("own.bz2",), 2),
    "xz: whole": (lzma.compress, (), 0),
    "xz: cut short": (lambda b: lzma.compress(b)[:-9], ("own.xz cannot be read",), 2),
    "xz: a flipped byte": (lambda b: lzma.compress(b)[:40] + b"?" + lzma.compress(b)[41:], ("own.xz cannot",), 2),
    "xz: text": (lambda b: b, ("own.xz cannot be read",), 2),
    "xz: empty": (lambda b: b"", ("own.xz",), 2),
    "zst: text": (lambda b: b, ("own.zst",), 2),
    "zst: empty": (lambda b: b"", ("own.zst",), 2),
}


def reading(path: str) -> Callable[[], object]:
    """Prepare a corpus of one file, of which two pairs are held out, as ``seq2seq train`` does."""

    def read() -> object:
        from seq2seq.config.schema import DataConfig, SplitConfig, SubwordConfig
        from seq2seq.data.encoded import prepare

        subwords = SubwordConfig(vocab_size=16, byte_fallback=False)
        source = "tsv" if path in ("own.bz2", "own.xz", "own.zst") else "text"
        options = {"src": "en", "tgt": "de", "holdout": 2, "subwords": subwords, "cache": "cache"}
        return prepare(DataConfig(source=source, train=SplitConfig(file=path), **options))

    return read


def bilingual() -> Iterator[Case]:
    """Every case of the tables above."""
    for name, (path, content, says, code) in MARKED.items():
        yield Case(name, reading(path), put(path, content), says, code, parts=())
    for name, (packed, says, code) in ZIPS.items():
        yield Case(f"zip: {name}", reading("own.zip"), put("own.zip", packed), says, code, parts=())
    table = b"".join(f"{src}\t{tgt}\n".encode() for src, tgt in GOOD)
    for name, (pack, says, code) in PACKED.items():
        path = f"own.{name.partition(':')[0]}"
        yield Case(name, reading(path), put(path, pack(table)), says, code, parts=())
    for path in ("own.tmx", "own.xlf", "own.zip", "own.tmx.xz"):
        yield Case(f"{path}: no file", reading(path), says=(f"{path}: no such file",), parts=())
        yield Case(f"{path}: a folder", reading(path), lambda f, p=path: (f / p).mkdir(), ("is a folder",), parts=())
