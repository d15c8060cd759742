"""TMX, XLIFF, Moses zips and packed files: the pairs of an independent reading, and every fault in one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

from seq2seq.config.direction import directed
from seq2seq.config.schema import Config, DataConfig, SplitConfig
from seq2seq.data.encoded import prepare
from seq2seq.data.sources import SPLITS, Pair, open_source
from seq2seq.errors import UserError

PAIRS: list[Pair] = [
    ("a cat & a <dog>", "eine Katze und ein Hund"),
    ("line\u2028separator \x85 kept", "schlicht"),
    ("😀 ½ … ﬁ", "e\u0301 ≠ é"),
    ("\u3000wide", "007"),
    *((f"source {n}", f"Ziel {n}") for n in range(40)),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(train: Any, **options: Any) -> DataConfig:
    """A corpus whose validation and test are the training files."""
    split = train if isinstance(train, SplitConfig) else SplitConfig(file=train)
    given = {"src": "en", "tgt": "de", **options}
    return replace(DataConfig(source="text", train=split, valid=split, test=split, cache="cache"), **given)


def read(train: Any, **options: Any) -> list[Pair]:
    """The pairs, which are the same in each split and in each reading."""
    source = open_source(config(train, **options))
    found = list(source.pairs("train"))
    assert all(list(source.pairs(split)) == found for split in SPLITS)
    return found


def refuse(train: Any, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(train, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def tmx(pairs: list[Pair], codes: tuple[str, str] = ("en", "de"), attribute: str = "xml:lang", head: str = "") -> str:
    units = "".join(
        "<tu>"
        + "".join(
            f"<note>x</note><tuv {attribute}='{code}'><prop type='a'>b</prop><seg>{escape(text)}</seg></tuv>\n"
            for code, text in zip(codes, pair, strict=True)
        )
        + "</tu>\n"
        for pair in pairs
    )
    header = '<header srclang="en" datatype="plaintext"><note>no text</note></header>'
    return f'<?xml version="1.0"?>\n{head}<tmx version="1.4">{header}<body>\n{units}</body></tmx>\n'


def xliff(pairs: list[Pair], codes: tuple[str, str] = ("en", "de")) -> str:
    units = "".join(
        f"<trans-unit id='{n}'><source>{escape(src)}</source><target state='translated'>{escape(tgt)}</target>"
        "<alt-trans><source>other</source><target>anders</target></alt-trans></trans-unit>\n"
        for n, (src, tgt) in enumerate(pairs)
    )
    name = f'<file source-language="{codes[0]}" target-language="{codes[1]}" original="a" datatype="plaintext">'
    return (
        f'<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">{name}<body>{units}</body></file></xliff>'
    )


def xliff2(pairs: list[Pair]) -> str:
    units = "".join(
        f"<unit id='u{n}'><notes><note>no</note></notes><segment><source>{escape(src)}</source><target>{escape(tgt)}"
        "</target></segment><ignorable><source> </source><target> </target></ignorable></unit>\n"
        for n, (src, tgt) in enumerate(pairs)
    )
    space = "urn:oasis:names:tc:xliff:document:2.0"
    return f'<xliff version="2.0" xmlns="{space}" srcLang="en" trgLang="de"><file id="f">{units}</file></xliff>'


def moses(path: str, pairs: list[Pair], name: str = "books.de-en", codes: tuple[str, str] = ("en", "de")) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "about: en-de\n")
        archive.writestr("LICENSE", "free\n")
        for side, code in enumerate(codes):
            archive.writestr(f"{name}.{code}", "".join(f"{pair[side]}\n" for pair in pairs))
        archive.writestr(f"{name}.ids", "1\n")
    return path


def put(path: str, content: str | bytes) -> str:
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zstd() -> Any:
    return pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstd().compress(data),
}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(("name", "write"), [("a.tmx", tmx), ("a.xlf", xliff), ("b.xliff", xliff2)])
def test_both_sides_are_read_from_each_format(name: str, write: Callable[..., str], ending: str) -> None:
    assert read(put(name + ending, PACKERS[ending](write(PAIRS).encode()))) == [
        tuple(side.strip() for side in pair) for pair in PAIRS
    ]


def test_a_zip_in_moses_format_is_its_two_text_files() -> None:
    assert read(moses("de-en.txt.zip", PAIRS)) == PAIRS
    assert read("de-en.txt.zip", src="de", tgt="en") == [(tgt, src) for src, tgt in PAIRS]
    for side in (0, 1):
        put(f"plain.{side}", "".join(f"{pair[side]}\n" for pair in PAIRS))
    same = open_source(config(SplitConfig(src="plain.0", tgt="plain.1"))).fingerprint()
    assert open_source(config("de-en.txt.zip")).fingerprint() == same  # the text is the same


@pytest.mark.parametrize("ending", PACKERS)
def test_text_files_are_unpacked_by_their_ending(ending: str) -> None:
    for side in ("src", "tgt"):
        put(f"a.{side}{ending}", PACKERS[ending]("".join(f"{side} {n}\n" for n in range(30)).encode()))
    found = read(SplitConfig(src=f"a.src{ending}", tgt=f"a.tgt{ending}"))
    assert found == [(f"src {n}", f"tgt {n}") for n in range(30)]


def by_elementtree(path: str) -> list[Pair]:
    """A reading of TMX by another parser, whole in memory."""

    def text(element: ElementTree.Element) -> str:
        kept = element.text or ""
        for child in element:
            if child.tag not in ("bpt", "ept", "ph", "it", "ut"):
                kept += text(child)
            kept += child.tail or ""
        return kept

    found = []
    for unit in ElementTree.parse(path).iter("tu"):
        sides = {}
        for variant in unit.iter("tuv"):
            segment = variant.find("seg")
            assert segment is not None
            code = variant.get("{http://www.w3.org/XML/1998/namespace}lang") or variant.get("lang", "")
            sides[code[:2].lower()] = re.sub(r"\s*\n\s*", " ", text(segment)).strip()
        found.append((sides["en"], sides["de"]))
    return found


INLINE = """<tu><tuv xml:lang="EN-US"><seg>
   Press <bpt i="1">&lt;b&gt;<sub>hidden</sub></bpt>the <hi>red <hi>hot</hi></hi> button<ept i="1">&lt;/b&gt;</ept>,
   then
   <ph x="1">{n}<sub>too</sub></ph>wait<it pos="begin">[</it>.<ut>x</ut> End</seg></tuv>
  <tuv lang="de-de"><seg>Den <hi>roten</hi><ph/>Knopf &#8211; <![CDATA[a < b]]><!-- no --> drücken</seg></tuv></tu>"""


def test_inline_codes_are_dropped_and_marked_text_stays() -> None:
    put("a.tmx", tmx(PAIRS, ("EN-US", "de-de")).replace("</body>", f"{INLINE}</body>"))
    found = read("a.tmx")
    assert found[-1] == (
        "Press the red hot button, then wait. End",
        "Den rotenKnopf – a < b drücken",
    )
    assert found == by_elementtree("a.tmx")


def test_a_file_that_changes_while_it_is_read_is_one_line() -> None:
    put("a.tmx", tmx(PAIRS))
    source = open_source(config("a.tmx"))
    put("a.tmx", tmx(PAIRS[1:]))
    with pytest.raises(UserError, match=r"^a\.tmx changed while it was read: start the same command again$"):
        list(source.pairs("train"))


def test_a_long_run_of_spaces_takes_no_time_and_stays() -> None:
    spaces = " " * 40_000
    start = time.process_time()
    assert read(put("a.tmx", tmx([(f"a{spaces}b \n\n c", "x")]))) == [(f"a{spaces}b c", "x")]
    assert time.process_time() - start < 5  # four times as many where the time grows with the square


def test_the_marks_of_xliff_stay_and_its_codes_go() -> None:
    unit = """<trans-unit id="i"><source>a<x id="1"/> <g id="2">b<ph id="3">code</ph></g> <bpt id="4">[</bpt>c</source>
    <seg-source><mrk mtype="seg">no</mrk></seg-source><target><mrk mtype="seg" mid="1">d <g id="2">e</g></mrk></target>
    </trans-unit>"""
    put("a.xlf", xliff([]).replace("<body>", f"<body>{unit}"))
    assert read("a.xlf") == [("a b c", "d e")]
    segment = """<unit id="u"><mda:metadata><mtc:match><source>x</source><target>y</target></mtc:match></mda:metadata>
    <segment><source>a <pc id="1">b</pc><ph id="2"/><cp hex="001A"/></source><target>c<sc id="3"/> d</target>
    </segment></unit>"""
    put("b.xlf", xliff2([]).replace('<file id="f">', f'<file id="f">{segment}'))
    assert read("b.xlf") == [("a b", "c d")]


def test_units_that_are_not_translated_are_left_out_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    more = "<trans-unit id='x'><source>alone</source></trans-unit><trans-unit id='y'><source>a</source><target/>"
    more += (
        "</trans-unit><trans-unit id='z'><source>a</source><target state='needs-translation'>a</target></trans-unit>"
    )
    put("a.xlf", xliff(PAIRS).replace("</body>", f"{more}</body>"))
    assert len(read("a.xlf")) == len(PAIRS)
    assert f"a.xlf: 3 of {len(PAIRS) + 3} units have no translation and are left out" in capsys.readouterr().err
    initial = "<unit id='x'><segment state='initial'><source>a</source><target>a</target></segment></unit>"
    put("b.xlf", xliff2(PAIRS).replace("</file>", f"{initial}</file>"))
    assert len(read("b.xlf")) == len(PAIRS)


@pytest.mark.parametrize("attribute", ["xml:lang", "lang"])
@pytest.mark.parametrize("codes", [("EN-us", "de_AT"), ("eng", "deu"), ("en", "de"), ("en-Latn-US", "de-DE")])
def test_a_region_is_found_by_its_language(codes: tuple[str, str], attribute: str) -> None:
    put("a.tmx", tmx(PAIRS[4:], codes, attribute))
    assert read("a.tmx") == PAIRS[4:]
    assert read("a.tmx", src="de", tgt="en") == [(tgt, src) for src, tgt in PAIRS[4:]]


def test_of_several_regions_one_has_to_be_named() -> None:
    extra = "<tu><tuv xml:lang='en-GB'><seg>colour</seg></tuv><tuv xml:lang='de'><seg>Farbe</seg></tuv></tu>"
    put("a.tmx", tmx(PAIRS[4:], ("en-US", "de")).replace("</body>", f"{extra}</body>"))
    assert refuse("a.tmx") == "a.tmx has en-US, en-GB: set data.src_column to one of them"
    assert read("a.tmx", src_column="en-GB") == [("colour", "Farbe")]
    assert read("a.tmx", src="en-us") == PAIRS[4:]
    assert refuse("a.tmx", src="en-AU") == "a.tmx has no en-AU; it has en-US, de, en-GB: set data.src_column"
    assert refuse("a.tmx", src="en-US", tgt="fr") == "a.tmx has no fr; it has en-US, de, en-GB: set data.tgt"
    assert "both sides are de" in refuse("a.tmx", src="de", tgt="de-DE")


def test_a_variant_without_a_language_is_in_that_of_the_header() -> None:
    put("a.tmx", tmx(PAIRS[4:]).replace(" xml:lang='en'", "").replace('srclang="en"', 'srclang="en-US"'))
    assert read("a.tmx") == PAIRS[4:]


def test_an_xliff_without_a_target_language_is_taken_at_the_users_word() -> None:
    put("a.xlf", xliff(PAIRS[4:]).replace(' target-language="de"', ""))
    assert read("a.xlf") == PAIRS[4:]
    assert read("a.xlf", src="de", tgt="en") == [(tgt, src) for src, tgt in PAIRS[4:]]


def test_without_codes_the_file_says_which_side_is_which() -> None:
    put("a.tmx", tmx(PAIRS[4:]))
    put("b.tmx", tmx(PAIRS[4:]).replace('srclang="en"', 'srclang="de"'))
    put("c.tmx", tmx(PAIRS[4:]).replace('srclang="en"', 'srclang="*all*"'))
    swapped = [(tgt, src) for src, tgt in PAIRS[4:]]
    assert read("a.tmx", src=None, tgt=None) == PAIRS[4:]
    assert read("b.tmx", src=None, tgt=None) == swapped
    assert read("c.tmx", src=None, tgt="en") == swapped
    assert refuse("c.tmx", src=None, tgt=None) == "c.tmx has en, de: say with data.src and data.tgt which is which"
    assert read(put("a.xlf", xliff(PAIRS[4:])), src=None, tgt=None) == PAIRS[4:]
    assert read(moses("d.zip", PAIRS), src=None, tgt=None) == [(tgt, src) for src, tgt in PAIRS]  # d.de-en
    with pytest.raises(UserError, match=r"needs data.src and data.tgt to tell them"):
        directed(Config(data=config("a.tmx", src=None, tgt=None, reverse=True)))
    assert (
        read(
            "a.tmx",
            **{key: getattr(directed(Config(data=config("a.tmx", reverse=True))).data, key) for key in ("src", "tgt")},
        )
        == swapped
    )


def test_lists_patterns_splits_and_text_files_go_together() -> None:
    for n, part in enumerate((PAIRS[4:20], PAIRS[20:30])):
        put(f"part{n}.tmx.gz", gzip.compress(tmx(part).encode()))
    moses("rest.zip", PAIRS[30:])
    data = config(["part*.tmx.gz", "rest.zip"])
    put("v.en", "v\n")
    put("v.de", "w\n")
    put("t.xlf", xliff(PAIRS[4:7]))
    data = replace(data, valid=SplitConfig(src="v.en", tgt="v.de"), test=SplitConfig(file="t.xlf"))
    data.tests["news"] = SplitConfig(file="part1.tmx.gz")
    source = open_source(data)
    assert list(source.pairs("train")) == PAIRS[4:]
    assert list(source.pairs("valid")) == [("v", "w")]
    assert list(source.pairs("test")) == PAIRS[4:7]
    assert list(open_source(data, "news").pairs("news")) == PAIRS[20:30]
    held = replace(data, valid=SplitConfig(), test=SplitConfig(), holdout=3, tests={})
    assert len({pair for split in SPLITS for pair in open_source(held).pairs(split)}) == len(PAIRS[4:])


def test_a_file_and_two_sides_of_one_split_are_refused() -> None:
    put("a.tmx", tmx(PAIRS))
    message = refuse(SplitConfig(file="a.tmx", src="a.en"))
    assert message == "data.train.src=a.en is not read with data.train.file, which has both sides: give data.train.file"
    assert refuse(put("corpus.xml", tmx(PAIRS))) == (
        "data.train.file=corpus.xml is not read with data.source=text: give data.train.src and data.train.tgt, "
        "or a file that ends with .zip (Moses), .tmx, .xlf, .xliff, also with .gz, .bz2, .xz, .zst"
    )
    assert refuse(["a.tmx", "corpus.xml"]).startswith("corpus.xml: its name ends with none of .zip")


def test_the_fingerprint_follows_the_text_and_the_languages() -> None:
    put("a.tmx", tmx(PAIRS))
    put("b.tmx", tmx(PAIRS))
    put("c.tmx", tmx([*PAIRS[:-1], ("other", "anders")]))
    prints = [open_source(config(name)).fingerprint() for name in ("a.tmx", "b.tmx", "c.tmx")]
    assert prints[0] == prints[1] != prints[2]
    assert open_source(config("a.tmx", src="de", tgt="en")).fingerprint() != prints[0]


def test_a_prepared_corpus_of_tmx_is_the_one_of_its_text() -> None:
    put("a.tmx", tmx(PAIRS))
    data = config("a.tmx")
    data.subwords.vocab_size, data.subwords.byte_fallback = 64, False
    corpus = prepare(data)
    assert corpus.splits["test"].lines(1) == [tgt for _, tgt in PAIRS]
    assert prepare(data).folder == corpus.folder


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "windows-1252"])
def test_an_xml_file_says_its_encoding(encoding: str) -> None:
    content = tmx([("café", "über")] * 3).replace('"1.0"', f'"1.0" encoding="{encoding}"')
    assert read(put("a.tmx", content.encode(encoding))) == [("café", "über")] * 3


def test_a_fault_is_said_with_its_place() -> None:
    whole = tmx(PAIRS)
    lines = whole.split("\n")
    at = lines.index(next(line for line in lines if "source 7" in line))
    broken = "\n".join([*lines[:at], lines[at].replace("source 7", "sour\x03ce"), *lines[at + 1 :]])
    assert refuse(put("a.tmx", broken)) == (
        f"a.tmx:{at + 1}: a control character (0x03), which XML cannot hold, after 11 units: mend the line"
    )
    cut = whole[: whole.index("source 7")]
    assert refuse(put("b.tmx", cut)) == f"b.tmx:{at + 1}: the file ends in the middle, after 11 units: get it whole"
    doctype = tmx(PAIRS, head='<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n')
    assert refuse(put("c.tmx", doctype)).startswith("c.tmx:2: a DOCTYPE")
    assert "first element is <tmx>, not <html>" in refuse(put("d.tmx", "<html><p>not found</p></html>"))


def test_paths_in_an_archive_may_not_lead_elsewhere(here: Path) -> None:
    for name in ("../own.de-en.en", "/own.de-en.en", "a/../../own.de-en.en", "..\\own.de-en.en", "C:own.de-en.en"):
        with zipfile.ZipFile("a.zip", "w") as archive:
            archive.writestr(name, "a\n")
            archive.writestr("own.de-en.de", "b\n")
        assert "a path that leads elsewhere" in refuse("a.zip")
    assert [path.name for path in here.iterdir()] == ["a.zip"]


def test_a_zip_must_hold_one_corpus() -> None:
    assert "but it holds none" in refuse(moses("a.zip", PAIRS, codes=("fr", "it")))
    assert refuse(moses("b.zip", PAIRS, "b.fr-it", ("fr", "it"))) == "b.zip has no en; it has fr, it: set data.src"
    moses("c.zip", PAIRS, "c.en_GB-pt_BR", ("en_GB", "pt_BR"))
    assert read("c.zip", tgt="pt") == PAIRS
    with zipfile.ZipFile("d.zip", "w") as archive:
        archive.writestr("d.de-en.en", "a\n")
        archive.writestr("d.de-en.de", "b\nc\n")
    assert refuse("d.zip").startswith("d.zip/d.de-en.en has 1 lines but d.zip/d.de-en.de has 2")


def test_a_packed_file_that_is_cut_short_is_refused() -> None:
    for ending, pack in PACKERS.items():
        if ending:
            content = pack(tmx([(f"{n * n * 7919}", f"{n * n * 104729}") for n in range(900)]).encode())
            assert f"a.tmx{ending} cannot be read" in refuse(put(f"a.tmx{ending}", content[: len(content) // 2]))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd", "backports"):
        monkeypatch.setitem(sys.modules, name, None)
    message = refuse(put("a.tmx.zst", b""))
    assert message == "a.tmx.zst: .zst needs a package more: pip install 'seq2seq-trainer[zst]'"
