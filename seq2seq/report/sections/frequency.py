"""The section on rare words: how many of the references' words the translations have, by frequency in training."""

from __future__ import annotations

from seq2seq.analysis.frequency import BUCKETS, found_words
from seq2seq.evaluation.metrics import RATE
from seq2seq.evaluation.statistics import SMALL, Estimate, interval
from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns
from seq2seq.report.page.document import Figure, Row, Section, table_of

TITLE = "Rare words and frequent ones"


def frequency(data: ReportData) -> Section:
    """The share of the references' words that each model's translations have, by their frequency in training."""
    if data.frequencies is None:
        return Section("frequency", TITLE)
    rows = [row for group in data.groups for row in _rows(data, group)]
    unit = data.tgt_unit
    figure = Figure(
        "frequency", f"{unit.name.capitalize()} found, by frequency in training",
        f"Of the {unit.name} of the test references that training targets have so many times: the share that the "
        "translation of the same sentence has, wherever it stands, with 95 % intervals.",
        [row for row in rows if row["share"] is not None],
        "bars", "times in training", "share", "model", "low", "high", y_title="share found",
        order=tuple(name for name in BUCKETS if any(row["times in training"] == name for row in rows)),
    )  # fmt: skip
    note = (
        f"Each {unit.one} is taken as it is written, without the punctuation around it; one that stands several times "
        f"in a reference is found as often as the translation has it. No share of fewer than {SMALL} {unit.name}."
    )
    table = table_of("frequency", figure.title, rows, note=note)
    text = [_counted(data, rows), *(said for group in data.groups if (said := _said(data, group, rows)))]
    return Section("frequency", TITLE, text, [figure], [table])


def _rows(data: ReportData, group: ModelRuns) -> list[Row]:
    """A row for each bucket that has words."""
    assert data.frequencies is not None
    counts, unit = data.frequencies["counts"], data.tgt_unit
    found = [found_words(lines, data.references, counts, unit) for lines in data.hypotheses(group)]
    rows: list[Row] = []
    for n, name in enumerate(BUCKETS):
        words = int(found[0][:, n, 1].sum())
        if not words:
            continue
        share: Estimate | None = interval([each[:, n] for each in found], RATE) if words >= SMALL else None
        ends = {"share": share and share.value, "low": share and share.low, "high": share and share.high}
        rows.append({"model": group.model, "times in training": name, unit.name: words, **ends})
    return rows


def _counted(data: ReportData, rows: list[Row]) -> str:
    assert data.frequencies is not None
    unit, read = data.tgt_unit, data.frequencies["read"]
    own = [row for row in rows if row["model"] == data.baseline.model]
    total, unseen = (
        sum(row[unit.name] for row in some)
        for some in (own, [row for row in own if row["times in training"] == BUCKETS[0]])
    )
    what = f"the first {read:,} training pairs" if data.frequencies["cut"] else f"the {read:,} training pairs"
    return (
        f"The test references have {total:,} {unit.name}, of which {unseen:,} ({100 * unseen / max(total, 1):.1f} %) "
        f"are in no target of {what}, without those that the filters drop."
    )


def _said(data: ReportData, group: ModelRuns, rows: list[Row]) -> str:
    """A sentence on the rarest and the most frequent words that are enough; empty where there is nothing to compare."""
    assert data.frequencies is not None
    own = [row for row in rows if row["model"] == group.model and row["share"] is not None]
    if len(own) < 2 or not data.level.reached(group.model):
        return ""
    rare, frequent = (
        f"{100 * row['share']:.0f} % [{100 * row['low']:.0f}, {100 * row['high']:.0f}]" for row in (own[0], own[-1])
    )
    first, last = (row["times in training"] for row in (own[0], own[-1]))
    text, it, has, never = "training", "it", "has", "never has"
    if data.frequencies["cut"]:
        text, it, has, never = f"the first {data.frequencies['read']:,} pairs", "they", "have", "do not have"
    seldom = never if first == BUCKETS[0] else f"{has} {first} times"
    often = f"{has} most often" if last == BUCKETS[-1] else f"{has} {last} times"
    found = f"{group.model} finds {rare} of the {data.tgt_unit.name} that {text} {seldom}"
    return f"{found}, and {frequent} of those that {it} {often}."
