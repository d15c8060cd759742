"""Variants beside the model that they vary, which need not be the baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns, grouped
from seq2seq.report.page.document import Section
from seq2seq.report.sections.causes import causes
from seq2seq.report.sections.learning import undertraining
from seq2seq.runs.run import Run
from seq2seq.study.options import VariantConfig

Text = tuple[list[str], list[str]]
FakeRun = Callable[..., Run]
KEPT = {"lstm": 4, "transformer": 6, "bahdanau": 19}
"""How many words of each sentence a model translates."""


def first_words(references: list[str], count: int) -> list[str]:
    return [" ".join(line.split()[:count]) for line in references]


def table(section: Section, name: str) -> list[list[Any]]:
    return next(table.rows for table in section.tables if table.name == name)


@pytest.fixture
def data(fake_run: FakeRun, text: Text) -> ReportData:
    """Three models with one seed each, the worst of them first."""
    runs = [fake_run(f"{model}/seed1", model, 1, first_words(text[1], kept)) for model, kept in KEPT.items()]
    return ReportData("test", grouped(runs), *text, text, [7, 11])


@pytest.fixture
def varied(fake_run: FakeRun, text: Text) -> Callable[..., tuple[VariantConfig, ModelRuns]]:
    """``varied(of, question, words, *overrides)``: a variant of a model that translates so many words."""

    def make(of: str, question: str, words: int, *overrides: str) -> tuple[VariantConfig, ModelRuns]:
        name = f"{of}-{question}{words}"
        run = fake_run(f"{name}/seed1", of, 1, first_words(text[1], words), *overrides, valid=[(200, 60.0)])
        return VariantConfig(name, of, [], question), ModelRuns(name, [run])

    return make


Varied = Callable[..., tuple[VariantConfig, ModelRuns]]


def test_a_longer_training_is_compared_with_the_model_that_it_trains_longer(data: ReportData, varied: Varied) -> None:
    long_one = replace(data, variants=[varied("transformer", "undertraining", 19)])
    section = undertraining(long_one)
    said = " ".join(section.text)
    assert "A possible objection: transformer only learns more slowly." in said
    assert "transformer-undertraining19 closes 100% of its gap to bahdanau on sources of 5–7 words" in said
    assert "(test; transformer's run with the same seed)" in said and "gap to transformer" not in said
    assert "gap to lstm" not in said, "the transformer is ahead of it already"
    assert {row[1] for row in table(section, "closed")} == {"lstm", "bahdanau"}
    [closed] = [each for each in section.tables if each.name == "closed"]
    assert closed.columns[3] == "BLEU of transformer" and "baseline" not in closed.note


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0)])
def test_the_order_of_the_models_changes_nothing_of_what_a_longer_training_closes(
    data: ReportData, varied: Varied, order: tuple[int, ...]
) -> None:
    variants = [varied("lstm", "undertraining", 6)]
    first, other = (
        undertraining(replace(data, groups=groups, variants=variants))
        for groups in (data.groups, [data.groups[n] for n in order])
    )
    assert sorted(map(str, table(first, "closed"))) == sorted(map(str, table(other, "closed")))
    assert "100% of its gap to transformer on" in " ".join(other.text)


def test_without_the_model_that_is_trained_longer_nothing_is_said(data: ReportData, varied: Varied) -> None:
    lost = replace(data, groups=data.groups[1:], variants=[varied("lstm", "undertraining", 19)])
    section = undertraining(lost)
    assert section.text == [] and "closed" not in [each.name for each in section.tables]


WIDTHS = ("model.decoder.context_width=8", "model.decoder.context_width=1024")


@pytest.mark.parametrize("first", [0, 2])
def test_the_width_of_a_vector_is_that_of_the_model_which_has_one(data: ReportData, varied: Varied, first: int) -> None:
    groups = [data.groups[first], *(group for group in data.groups if group is not data.groups[first])]
    swept = [varied("lstm", "width", words, width) for words, width in zip((2, 5), WIDTHS, strict=True)]
    section = causes(replace(data, groups=groups, variants=swept))
    [figure] = [figure for figure in section.figures if figure.name == "width"]
    units = [row["units of the vector"] for row in figure.rows]
    assert units == sorted(units) and units[0] == 8 and units[-1] == 1024
    assert {row["run"] for row in figure.rows} == {"lstm", "lstm-width2", "lstm-width5"}
    longest = {row[0]: row[-1] for row in table(section, "width") if row[3] == "12–19"}
    ends = [f"{longest[name]:.1f}" for name in ("lstm-width2", "lstm-width5")]
    told = f"On 12–19 words BLEU goes from {ends[0]} with 8 units of the vector to {ends[1]} with 1024."
    assert told in section.text


def test_a_variant_without_a_vector_has_no_width(data: ReportData, varied: Varied) -> None:
    swept = [varied("lstm", "width", 2, WIDTHS[0]), varied("bahdanau", "width", 5, "model.decoder.width=64")]
    figures = causes(replace(data, variants=swept)).figures
    assert [figure.name for figure in figures if figure.name.startswith("width") and figure.rows] == ["width"]
    assert all(row["units of the vector"] for figure in figures if "width" in figure.name for row in figure.rows)


def test_each_model_whose_vector_is_widened_has_a_figure_of_its_own(data: ReportData, varied: Varied) -> None:
    parts = ("embedding", "encoder.width", "decoder.width")
    slots = [
        varied("transformer", "width", words, "model.encoder.slots=1", *(f"model.{part}={units}" for part in parts))
        for words, units in ((3, 64), (5, 96))
    ]
    section = causes(replace(data, variants=[varied("lstm", "width", 2, WIDTHS[0]), *slots]))
    titles = {figure.name: figure.title for figure in section.figures if figure.name.startswith("width")}
    assert titles == {"width": "A wider vector, lstm", "width-2": "A wider vector, transformer"}
    assert {row[0] for row in table(section, "width-2")} == {"transformer-width3", "transformer-width5"}


def test_what_is_said_of_the_width_is_of_a_bucket_that_is_large_enough(data: ReportData, varied: Varied) -> None:
    narrow = replace(data, edges=[7, 18], variants=[varied("lstm", "width", 2, WIDTHS[0])])
    assert narrow.buckets[-1].small and narrow.buckets[-1].name == "19"
    assert any(line.startswith("On 8–18 words BLEU goes from") for line in causes(narrow).text)
    short = replace(narrow, edges=list(range(1, 20)))
    assert all(bucket.small for bucket in short.buckets)
    assert "BLEU goes from" not in " ".join(causes(short).text)


@pytest.mark.parametrize(("question", "override"), [("width", WIDTHS[0]), ("undertraining", WIDTHS[0])])
def test_a_page_that_shows_variants_does_not_say_that_they_need_runs(
    data: ReportData, varied: Varied, question: str, override: str
) -> None:
    hint = "see STUDY=causes"
    assert hint in " ".join(causes(data).text)
    assert hint not in " ".join(causes(replace(data, variants=[varied("lstm", question, 2, override)])).text)
