"""The page as files: what is written, what is drawn, and that nothing from data becomes markup."""

from __future__ import annotations

import base64
import csv
import hashlib
import itertools
import json
import math
import re
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from seq2seq.errors import UserError
from seq2seq.report.page import theme
from seq2seq.report.page.document import Explorer, Figure, Page, Section, Table
from seq2seq.report.page.explorer import pack_explorer
from seq2seq.report.page.formatting import format_rows, script_json
from seq2seq.report.page.markdown import as_markdown
from seq2seq.report.page.write import write_page, write_tensorboard
from seq2seq.runs.records import ExploredSentence

charts = pytest.importorskip("seq2seq.report.page.charts", reason="the extra `report` is not installed")

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert(1)</script>"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Markup(HTMLParser):
    """The elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] and self.elements[-1][0] == "script" and self.lasttag == "script" and self.cdata_elem:
            self.scripts.append((self.elements[-1][1], data))


@pytest.fixture(scope="module")
def markup(written: Path) -> Markup:
    return Markup((written / "report.html").read_text(encoding="utf-8"))


# What is written


def test_every_figure_and_table_has_its_files(written: Path, sample: Page) -> None:
    for figure in sample.figures:
        assert (written / "figures" / f"{figure.name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        ElementTree.parse(written / "figures" / f"{figure.name}.svg")
        found = rows_of(written / "figures" / f"{figure.name}.csv")
        assert len(found) == len(figure.rows)
        for row, cells in zip(figure.rows, found, strict=True):
            assert {column: "" if value is None else str(value) for column, value in row.items()} == cells
    for table in sample.tables:
        found = rows_of(written / "tables" / f"{table.name}.csv")
        assert [list(row) for row in found] == [table.columns] * len(table.rows)
    assert not [path for path in written.rglob("*") if path.name.endswith(".tmp")]


def test_report_json_is_strict_and_holds_all_numbers(written: Path, sample: Page) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    numbers = json.loads((written / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert numbers["answer"] == sample.answer and numbers["warnings"] == sample.warnings
    assert numbers["figure"]["rows"] == sample.figure.rows
    for section, written_section in zip(sample.sections, numbers["sections"], strict=True):
        assert [figure["rows"] for figure in written_section["figures"]] == [f.rows for f in section.figures]
        assert [table["columns"] for table in written_section["tables"]] == [t.columns for t in section.tables]
    assert numbers["sections"][0]["tables"][0]["rows"][2][-1] is None  # it was NaN
    sources = [sentence[0]["src"] for sentence in sample.explorer.sentences]
    assert [entry["src"] for entry in numbers["explorer"]["sentences"]] == sources


def test_the_same_page_is_written_twice_to_the_same_bytes(sample: Page, tmp_path: Path) -> None:
    small = replace(sample, sections=sample.sections[:1], explorer=None)
    first = write_page(small, tmp_path).read_bytes()
    assert write_page(small, tmp_path).read_bytes() == first


@pytest.mark.parametrize("name", ["report.md", "report.html", "report.json"])
def test_a_file_of_the_users_is_no_page_and_is_not_replaced(name: str, sample: Page, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=rf"{name} is there, and of no page of this program"):
        write_page(sample, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["{}"]


def test_no_figure_of_an_earlier_page_stays_beside_a_new_one(sample: Page, tmp_path: Path) -> None:
    section = next(each for each in sample.sections if each.figures and each.tables)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.svg").touch()
    write_page(replace(sample, sections=[section], explorer=None), tmp_path)
    assert (tmp_path / "figures" / f"{section.figures[0].name}.svg").exists()
    write_page(replace(sample, sections=[], explorer=None), tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {sample.figure.name, "mine"}
    assert not list((tmp_path / "tables").iterdir())


@pytest.mark.parametrize("name", ["../up", "Upper", "", "bleu-by-length"])
def test_a_name_that_is_no_file_name_or_taken_is_refused(sample: Page, tmp_path: Path, name: str) -> None:
    section = Section("s", "S", [], [replace(sample.figure, name=name)])
    with pytest.raises(ValueError, match="file name"):
        write_page(replace(sample, sections=[section], explorer=None), tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_what_draws_the_user_is_told_what_to_install(
    sample: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "seq2seq.report.page.charts")
    monkeypatch.delattr("seq2seq.report.page.charts")
    with pytest.raises(UserError, match=r"altair.*pip install 'seq2seq-trainer\[report\]'"):
        write_page(sample, tmp_path)


# Text that comes from data


def test_no_text_becomes_markup(markup: Markup) -> None:
    assert not [tag for tag, _ in markup.elements if tag in ("img", "b", "iframe", "object", "embed", "base", "form")]
    for tag, attributes in markup.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("src") is None
        assert tag in ("meta", "html") or (attributes.get("href") or "#").startswith(("#", "data:,"))


def test_scripts_are_the_packages_own_and_the_policy_knows_no_other(markup: Markup) -> None:
    run = [text for attributes, text in markup.scripts if "type" not in attributes]
    assert len(run) == 5 and sum("window.vegaEmbed=" in text for text in run) == 1
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run}
    policy = next(a["content"] for tag, a in markup.elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None and "default-src 'none'" in policy
    assert set(re.findall("'sha256-([^']+)'", policy)) == hashes
    script_rules = next(rule for rule in policy.split(";") if "script-src" in rule)
    assert "unsafe" not in script_rules


def test_json_in_a_script_block_is_safe_and_comes_back(markup: Markup, sample: Page) -> None:
    hostile = {"</script>": ["<!--", "]]>", "&amp;", "\u2028\u2029", '"\\', EVIL], "nan": math.nan, "n": np.int64(3)}
    text = script_json(hostile)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {**hostile, "nan": None, "n": 3}
    (data,) = [json.loads(text) for attributes, text in markup.scripts if attributes.get("id") == "explorer-data"]
    assert [entry["src"] for entry in data["sentences"]] == [s[0]["src"] for s in sample.explorer.sentences]


def test_markdown_keeps_its_tables_whole(sample: Page) -> None:
    text = as_markdown(sample)
    assert "<script" not in text.replace("\\<", "") and "\\<script\\>" in text
    header = next(line for line in text.splitlines() if line.startswith("| model | parameters"))
    at = text.splitlines().index(header)
    for line in text.splitlines()[at : at + 5]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 8, line
    assert "a \\| b" in text and "`bahdanau` and `transformer`" in text and "\\*left\\*" in text
    assert "figures/interventions.svg" in text and "figures/" not in as_markdown(sample, pictures=False)
    section = Section("c", "C", ["a ` stray"], code="a\n```\nb")
    assert "````\na\n```\nb\n````" in as_markdown(replace(sample, sections=[section]))
    assert "a \\` stray" in as_markdown(replace(sample, sections=[section]))


def test_cells_are_shown_as_a_reader_wants_them() -> None:
    rows = [[1, 0.5, 1_461_512, 0.0002, "x", None], [2, 41.0, 7, 0.25, True, math.nan], [3, 1234.5, 0, 4e-9, 2, 1]]
    table = Table("t", "T", list("abcdef"), rows)
    assert format_rows(table) == [
        ["1", "0.50", "1,461,512", "0.0002", "x", "–"],
        ["2", "41.00", "7", "0.25", "yes", "–"],
        ["3", "1,234.50", "0", "4e−09", "2", "1"],
    ]


# What is drawn


def drawing(figure: Figure, colours: tuple[str, ...] = ("lstm", "bahdanau", "transformer")) -> ElementTree.Element:
    return ElementTree.fromstring(charts.to_svg(figure, colours))


def marks(svg: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """The shapes of all marks of a kind, in the order in which they are drawn, legends apart."""
    groups = [g for g in svg.iter(f"{SVG}g") if f"mark-{kind} role-mark" in (g.get("class") or "")]
    return [path for group in groups for path in group.iter(f"{SVG}path")]


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def test_the_opening_figure_is_720_by_360_on_white(written: Path) -> None:
    svg = ElementTree.parse(written / "figures" / "bleu-by-length.svg").getroot()
    assert (svg.get("width"), svg.get("height")) == ("720", "360")
    assert svg[0].get("fill") == theme.LIGHT["paper"]
    assert {"lstm", "bahdanau", "transformer", "BLEU", "source words", "BLEU by source length"} <= set(texts(svg))


@pytest.mark.parametrize("kind", ["lines", "bars", "points"])
def test_what_is_none_or_not_finite_is_not_drawn(kind: Any) -> None:
    values = [
        (1, 5.0, 4.0, 6.0),
        (2, None, None, None),
        (3, math.nan, 1.0, 2.0),
        (4, 7.0, None, 8.0),
        (5, 6.0, 5.0, 7.0),
    ]
    rows = [{"x": x, "y": y, "l": low, "h": high, "m": "lstm"} for x, y, low, high in values]
    svg = drawing(Figure("f", "F", "", rows, kind, "x", "y", "m", "l", "h"))
    drawn = {"lines": "symbol", "bars": "rect", "points": "symbol"}[kind]
    seen = [path for path in marks(svg, drawn) if path.get("d") not in (None, "", "M0,0h0v0h0Z")]
    assert len(seen) == 3  # 1, 4 and 5
    assert "NaN" not in ElementTree.tostring(svg, encoding="unicode")
    if kind == "lines":  # the line breaks in the gap
        assert len(re.findall("M", marks(svg, "line")[0].get("d") or "")) == 2
    else:
        whiskers = [line for g in svg.iter(f"{SVG}g") if "mark-rule role-mark" in (g.get("class") or "") for line in g]
        assert len(whiskers) == (4 if kind == "bars" else 2)  # of 1 and 5; bars have a halo below them


@pytest.mark.parametrize("missing", ["lstm", "bahdanau", "transformer"])
def test_a_model_has_its_colour_and_shape_in_every_figure(missing: str) -> None:
    colours = ("lstm", "bahdanau", "transformer")
    rows = [{"x": "a", "y": 1.0, "m": m} for m in ("a reversed lstm", *reversed(colours)) if m != missing]
    keys = charts.legend(Figure("f", "F", "", rows, "bars", "x", "y", "m"), colours)
    assert [key.label for key in keys] == [*(m for m in colours if m != missing), "a reversed lstm"]
    for key in keys:
        n = [*colours, "a reversed lstm"].index(key.label)
        assert (key.colour, key.shape, key.dash) == (f"c{n}", theme.SHAPES[n], theme.DASHES[n])


def test_a_quantity_goes_from_pale_to_strong() -> None:
    rows = [{"x": 1, "y": 1.0, "width": w} for w in (512, 64, 128)]
    keys = charts.legend(Figure("f", "F", "", rows, "lines", "x", "y", "width"), ())
    assert [key.label for key in keys] == ["64", "128", "512"]
    assert sorted(key.colour for key in keys) == [key.colour for key in keys]


def test_categories_stand_in_their_order() -> None:
    rows = [{"x": x, "y": 1.0} for x in ("b", "c", "a")]
    figure = Figure("f", "F", "", rows, "bars", "x", "y", order=("c", "b", "a"))
    assert [text for text in texts(drawing(figure)) if text in set("abc")] == ["c", "b", "a"]
    heat = replace(figure, kind="heat", row="row", rows=[{**row, "row": r} for row in rows for r in ("n", "m")])
    assert [text for text in texts(drawing(heat)) if text in set("abcmn")] == ["c", "b", "a", "n", "m"]


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    rows = [{"x": x, "y": 90 + n / 10, "m": f"model {n}"} for n in range(4) for x in (1, 2)]
    svg = drawing(Figure("f", "F", "", rows, "lines", "x", "y", "m"))
    named = [text for text in svg.iter(f"{SVG}text") if (text.text or "").startswith("model")]
    heights = sorted(float((text.get("transform") or "").rstrip(")").split(",")[-1]) for text in named)
    assert len(heights) == 4
    assert all(below - above >= 13 for above, below in itertools.pairwise(heights))


def test_a_facet_becomes_a_panel_each_with_one_scale(sample: Page) -> None:
    learning = next(figure for figure in sample.figures if figure.facet == "words")
    panels = charts.on_page(learning, sample.colours).panels
    assert [title for title, _ in panels] == ["3–10 words", "11–30 words", "31–60 words"]
    domains = {json.dumps(layer["encoding"]["y"]["scale"]) for _, spec in panels for layer in spec["layer"]}
    assert len(domains) == 1
    assert all(spec["width"] == "container" for _, spec in panels)


def test_names_from_data_do_not_reach_vegas_syntax() -> None:
    names = ["a.b", "[x]", "it's", '"', "datum.x", EVIL]
    rows = [{"a.b[0]": name, "y'\\": n + 1.0, "m.": name} for n, name in enumerate(names)]
    svg = drawing(Figure("f", "F", "", rows, "bars", "a.b[0]", "y'\\", "m."))
    assert len(marks(svg, "rect")) == len(names)
    assert set(names) <= set(texts(svg))


# Colours


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Linear RGB as dichromats see it (Viénot, Brettel and Mollon 1999).
SIGHT = {
    "usual": np.eye(3),
    "no red": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "no green": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_hues_differ_for_everyone(colours: dict[str, str], sight: str) -> None:
    seen = [lab(SIGHT[sight] @ linear(colours[f"c{n}"])) for n in range(theme.HUES)]
    for (i, a), (j, b) in itertools.combinations(enumerate(seen), 2):
        assert np.linalg.norm(a - b) > (36 if j < 3 else 13), (i, j)


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_colours_stand_out(colours: dict[str, str]) -> None:
    for n in range(theme.HUES):
        assert contrast(colours[f"c{n}"], colours["paper"]) >= 3
    for text, ground in itertools.product(("ink", "quiet", "accent"), ("paper", "raised")):
        assert contrast(colours[text], colours[ground]) >= 4.5
    assert contrast(colours["ink"], colours["warned"]) >= 7
    for n in range(theme.STEPS):
        assert contrast(colours["on-low" if n < 4 else "on-high"], colours[f"h{n}"]) >= 4.4


# The explorer


def unpacked(entry: dict[str, Any], explorer: Explorer) -> list[np.ndarray | None]:
    data = np.frombuffer(zlib.decompress(base64.b64decode(entry["attention"])), np.uint8)
    found: list[np.ndarray | None] = []
    for output, maps in zip(entry["outputs"], explorer.maps, strict=True):
        shape = (len(maps), len(output["words"]), len(entry["src"]))
        size = math.prod(shape) if output["attends"] else 0
        found.append(data[:size].reshape(shape) / 255 if output["attends"] else None)
        data = data[size:]
    assert not len(data)
    return found


def test_attention_comes_back_from_its_bytes(sample: Page) -> None:
    explorer = sample.explorer
    assert explorer is not None
    for entry, sentence in zip(pack_explorer(explorer)["sentences"], explorer.sentences, strict=True):
        for matrix, output in zip(unpacked(entry, explorer), sentence, strict=True):
            if not output["attention"]:
                assert matrix is None
            elif output["words"]:
                assert np.abs(np.asarray(output["attention"]) - matrix).max() <= 0.5 / 255 + 1e-9


def explored(src: list[str], words: list[str], attention: list[list[list[float]]]) -> ExploredSentence:
    return ExploredSentence(index=0, src=src, reference="r", words=words, nll=1.0, chrf=1.0, attention=attention)


def test_matrices_of_another_shape_are_refused() -> None:
    turned = explored(["x", "y", "z"], ["a", "b"], [[[0.5, 0.5, 0.0][:1] * 2, [1.0, 0.0]]])  # 2 × 2 of 2 × 3
    explorer = Explorer(["m"], [["map"]], [(turned,)], [1])
    with pytest.raises(ValueError, match="target words"):
        pack_explorer(explorer)
    with pytest.raises(ValueError):
        pack_explorer(replace(explorer, models=["m", "n"], maps=[["map"], []]))


@pytest.mark.parametrize(("maps", "shortest"), [((8, 8, 8), 3), ((0, 1, 8), 60)])
def test_the_page_of_a_large_study_stays_under_six_megabytes(
    written: Path, sample: Page, maps: tuple[int, ...], shortest: int
) -> None:
    draw = np.random.default_rng(1)
    names = [[f"layer {n}" for n in range(count)] for count in maps]
    sentences = []
    for length in np.linspace(shortest, 60, 80).round().astype(int):
        words = [f"word{n}" for n in range(length)]
        # Weights that are spread at random cost the most bytes.
        weights = [list(draw.dirichlet(np.ones(length), (n, length))) for n in maps]
        sentences.append(tuple(explored(words, words, each) for each in weights))
    large = pack_explorer(Explorer(list(sample.colours), names, sentences, [1] * len(sentences)))
    added = len(script_json(large)) - len(script_json(pack_explorer(sample.explorer)))
    assert (written / "report.html").stat().st_size + added < 6_000_000
    assert added > 500_000  # else nothing was measured


# TensorBoard


def test_tensorboard_shows_the_answer_and_the_figures(written: Path, sample: Page) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_tensorboard(sample, written)
    write_tensorboard(sample, written)  # replaces the first
    (events,) = written.glob("events.out.tfevents.*")
    found = EventAccumulator(str(events), size_guidance={"images": 0, "tensors": 0}).Reload()
    assert set(found.Tags()["images"]) == {f"comparison/{figure.name}" for figure in sample.figures}
    (picture,) = found.Images("comparison/bleu-by-length")
    assert (picture.width, picture.height) == (1440, 720)
    (text,) = found.Tensors("comparison/summary/text_summary")
    assert sample.answer[0].split("(")[0] in text.tensor_proto.string_val[0].decode()


def test_every_kind_of_chart_is_of_vega_lites_schema(sample: Page) -> None:
    assert {figure.kind for figure in sample.figures} == {"lines", "bars", "points", "heat"}
    for figure in sample.figures:  # by the functions without their decorator, which turns the check off
        checked: Any = charts.on_page
        assert checked.__wrapped__(figure, sample.colours) == charts.on_page(figure, sample.colours)
