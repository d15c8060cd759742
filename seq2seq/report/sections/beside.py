"""The section that puts other studies beside this one: the same models, trained on other lengths or another corpus."""

from __future__ import annotations

import re

from seq2seq.evaluation.metrics import BLEU
from seq2seq.evaluation.statistics import SMALL
from seq2seq.report.beside import Beside
from seq2seq.report.data import ReportData
from seq2seq.report.page.document import Figure, Row, Section, table_of
from seq2seq.report.sections.quality import Quality
from seq2seq.terminal.numbers import number

TITLE = "Beside other studies"
GAP = ("difference", "low", "high")
NO_VERDICT = "No verdict on "


def beside(data: ReportData, quality: Quality) -> Section:
    """BLEU by source length in this study and in each other, and the gaps to the baseline with their intervals."""
    others = [each for each in data.beside if each.source_length == data.source_length]
    if not others:
        return Section("beside", TITLE)
    own = Beside(data.title, [], quality.curves[0].rows, data.source_length, quality.gaps())
    studies = [own, *others]
    figure = Figure(
        "beside", "BLEU by source length, in each study",
        "Test BLEU with 95 % intervals of each study's own runs.",
        [{"study": study.title, **row} for study in studies for row in study.curve],
        "lines", data.source_length, "BLEU", "model", "low", "high", facet="study", y_title="test BLEU",
        order=tuple(study.title for study in studies),
    )  # fmt: skip
    gaps = [{"study": study.title, **row} for study in studies for row in _of_bleu(study)]
    columns = ["study", "pair", data.source_length, "sentences", *GAP]
    note = "Paired over the sentences of a study's test, not between studies; 95 % intervals."
    table = table_of("beside", "The gap by source length, in each study", gaps, columns, note=note)
    text = [f"{study.title}: {study.answer[0]}" for study in others if study.answer]
    return Section("beside", TITLE, [*text, *_longest(data, studies)], [figure], [table])


def left_out(data: ReportData) -> list[str]:
    """A warning for each other study whose lengths are in another unit than this one's."""
    return [
        f"{study.title} is not shown beside: its figures are by {study.source_length}, those of this study by "
        f"{data.source_length}"
        for study in data.beside
        if study.source_length != data.source_length
    ]


def _of_bleu(study: Beside) -> list[Row]:
    return [row for row in study.gaps if row.get("metric") == BLEU.label]


def _longest(data: ReportData, studies: list[Beside]) -> list[str]:
    """For each model that is compared, a sentence on its gap to the baseline on the longest sentences of each study."""
    sound = [bucket.name for bucket in data.buckets if not bucket.small]
    text = []
    for group in data.compared if sound else ():
        models = group.model, data.baseline.model
        pair, said = " − ".join(models), []
        for study in (each for each in studies if not _below(each) & {*models}):
            rows = [row for row in _of_bleu(study) if row["pair"] == pair and row["sentences"] >= SMALL]
            row = next((row for row in rows if row[data.source_length] == sound[-1]), rows[-1] if rows else None)
            if row is not None:
                value, low, high = (number(row[key]) for key in GAP)
                length = f"{row[data.source_length]} {data.unit.name}"
                said.append(f"{value} [{low}, {high}] BLEU on {length} in {study.title}")
        if len(said) > 1:
            text.append(f"The gap {pair} on the longest sentences: {'; '.join(said)}.")
    return text


def _below(study: Beside) -> set[str]:
    """The models of which the study's own page says that they have not learned enough, as ``Level.notice`` says it."""
    named = [line.partition(NO_VERDICT)[2].partition(": ")[0] for line in study.answer if line.startswith(NO_VERDICT)]
    return {name for each in named for name in re.findall(r"(?:^|, | and )(.+?) \([^()]* BLEU\)", each)}
