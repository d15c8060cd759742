"""The section on nearness: scores by length of test sentences that are near the training text, and of the others.

Short test sentences are often those that the training text nearly has, so length and nearness are told apart. Knows
which sentences are near; how that is found is the matter of ``analysis/nearness.py``.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from seq2seq.evaluation.metrics import BLEU
from seq2seq.evaluation.statistics import SMALL, Estimate, Indices, interval, select
from seq2seq.report.data import ReportData
from seq2seq.report.level import shown
from seq2seq.report.model_runs import ModelRuns
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.quality import Quality, spread
from seq2seq.report.sections.scales import APART, Growths, chance

TITLE = "Length apart from nearness"
ABSENT = (
    "Which test sentences have a training sentence within one word is not known, since the training text is not at "
    "hand: `seq2seq report … --corpus` reads it where the runs' configs name it."
)
SIDES = ("near", "others")


def nearness(data: ReportData, quality: Quality) -> Section:
    """How many test sentences are near the training text, and what each model scores on them and on the others."""
    if data.nearness is None:
        return Section("nearness", TITLE, [ABSENT])
    text = [_counted(data), *(_surviving(data, quality.growths, group) for group in data.compared if quality.ends)]
    if not data.near.any():
        return Section("nearness", TITLE, [_counted(data)])
    return Section("nearness", TITLE, text, [_figure(data)], [_length_table(data), _bucket_table(data)])


def _counted(data: ReportData) -> str:
    assert data.nearness is not None
    unit, near = data.unit, data.near
    read = f"the first {data.nearness['read']:,} pairs of it" if data.nearness["cut"] else "all of it"
    what = f"is in the training text ({read} read) or differs from a training source in one {unit.one}"
    if not near.any() and data.config.data.join is not None:
        return f"No joined test source {what}. Whether one of its parts is near is not looked at."
    if not near.any():
        return f"No test source {what}, so sentences learned by heart explain nothing here."
    shortest = data.buckets[0]
    share = near[shortest.indices].mean()
    return (
        f"{near.sum():,} of {len(near):,} test sentences have a source that {what}: substituted, inserted or deleted. "
        f"The longest of them has {data.lengths[near].max()} {unit.name}; of the sentences of {shortest.name} "
        f"{unit.name} {100 * share:.0f} % are near."
    )


def _surviving(data: ReportData, growths: Growths, group: ModelRuns) -> str:
    """A sentence on the growth of the gap to a model among sentences that are not near the training text."""
    whole, apart = growths.of(group.model), growths.of(group.model, sentences=APART)
    short = growths.sound[0].name
    if whole is None or apart is None or apart.change is None or apart.p is None:
        left = f"Without the near ones too few sentences of {short} {data.unit.name} are left"
        return f"{left} to say how the gap to {group.model} changes."
    found = f"Among the others, the gap to {group.model} changes with length by {shown(apart.change)} BLEU"
    found = f"{found} (p {'' if apart.p < 0.001 else '= '}{chance(apart.p)} after Holm's correction)"
    if whole.verdict != "grows":
        return f"{found}."
    kept = {
        "grows": "the growth survives without them",
        "shrinks": "without them the gap shrinks: the growth does not survive",
        "may be chance": "without them the growth may be chance: it does not survive",
        "not defined": "",
    }
    return f"{found}: {kept[apart.verdict]}."


def _sides(data: ReportData, indices: Indices) -> tuple[Indices, Indices]:
    """Those of the sentences that are near the training text, and the others."""
    near = data.near[indices]
    return indices[near], indices[~near]


def _score(data: ReportData, group: ModelRuns, indices: Indices) -> Estimate | None:
    """A model's BLEU on some sentences; None where they are too few."""
    return interval(select(data.system(group, BLEU), indices), BLEU) if len(indices) >= SMALL else None


def _figure(data: ReportData) -> Figure:
    rows: list[Row] = []
    for bucket, group in product(data.buckets, data.groups):
        for side, indices in zip(SIDES, _sides(data, bucket.indices), strict=True):
            if found := _score(data, group, indices):
                name = f"{bucket.name}, {side}" if data.near[bucket.indices].any() else bucket.name
                rows.append({"model": group.model, "test sentences": name, **spread("BLEU", found)})
    return Figure(
        "bleu-by-nearness", "BLEU by source length, near the training text and not",
        "Near: the source is in the training text, or one word away from a source there. With 95 % intervals.", rows,
        "bars", "test sentences", "BLEU", "model", "low", "high", x_title=data.source_length, y_title="test BLEU",
        order=tuple(dict.fromkeys(row["test sentences"] for row in rows)),
    )  # fmt: skip


def _length_table(data: ReportData) -> Table:
    """Near sentences and others of the same length, up to the longest near one."""
    rows: list[list[Any]] = []
    for length in np.unique(data.lengths[data.lengths <= data.lengths[data.near].max()]):
        near, others = _sides(data, np.flatnonzero(data.lengths == length))
        scores = [_score(data, group, side) for group in data.groups for side in (near, others)]
        count = len(near) + len(others)
        rows.append([int(length), count, len(near), 100 * len(near) / count, *(each and each.value for each in scores)])
    models = [f"{group.model}, {side}" for group, side in product(data.groups, SIDES)]
    columns = [data.source_length, "sentences", "near", "% near", *models]
    note = f"BLEU, the mean over the seeds, where there are {SMALL} sentences."
    return Table("nearness-by-length", "Sentences of the same length, near and not", columns, rows, note)


def _bucket_table(data: ReportData) -> Table:
    rows: list[list[Any]] = []
    for group in data.groups:
        for bucket in data.buckets:
            row: list[Any] = [group.model, bucket.name]
            for indices in _sides(data, bucket.indices):
                found = _score(data, group, indices)
                row += [len(indices), *([found.value, found.low, found.high] if found else [None] * 3)]
            rows.append(row)
    spreads = [f"{side}{end}" for side in SIDES for end in (": sentences", " BLEU", " low", " high")]
    columns = ["model", data.source_length, *spreads]
    return Table("nearness", "BLEU by source length, near the training text and not", columns, rows)
