"""The section on causes: interventions on attention, forgetting by position, the linear probe, and trained variants."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from seq2seq.analysis.measurements import FORGETTING, INTERVENTIONS, PROBE
from seq2seq.evaluation.metrics import BLEU, RATE
from seq2seq.evaluation.statistics import Bucket, Estimate, System, by_bucket, interval
from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns
from seq2seq.report.page.document import Figure, Row, Section, Table, table_of
from seq2seq.report.sections.quality import at, mean_score, spread
from seq2seq.report.sections.varied import of_seed, variants_by_model, varied_by
from seq2seq.terminal.numbers import number

ENOUGH = 100  # a share of fewer target tokens is not put into words
FIFTHS = ("first fifth", "second", "third", "fourth", "last fifth")
"""Equal parts of a source sentence."""
UNITS = "units of the vector"
BASELINE = ", baseline"  # after the name of a model: what its probe knows of length and frequency alone


def causes(data: ReportData) -> Section:
    """Interventions at test time, forgetting by position, the probe; then the variants."""
    text = ["Something is a cause of a gap that grows with length only if removing it, or adding it, changes the gap."]
    figures: list[Figure] = []
    tables: list[Table] = []
    for part in (interventions, forgetting, probe, width, variants):
        words, figure, table = part(data)
        text += words
        figures += figure
        tables += [each for each in table if each.rows]
    return Section("causes", "Causes, not only effects", text, figures, tables)


Found = tuple[list[str], list[Figure], list[Table]]
"""A part of the section: sentences, figures, tables."""


def interventions(data: ReportData) -> Found:
    """Test BLEU by source length with the attention weights replaced at test time."""
    rows: list[Row] = []
    for group in data.groups:
        records = group.measured(INTERVENTIONS)
        chosen = records[0]["sentences"] if records else []
        buckets = by_bucket(data.lengths[chosen].tolist(), data.edges)
        references = [data.references[n] for n in chosen]
        for cells in group.cells(INTERVENTIONS, lambda record: record["rows"]):
            system = [data.bleu(cell["hypotheses"], references) for cell in cells]
            row = {"model": group.model, "attention": cells[0]["attention"]}
            rows.append({**row, data.source_length: "all", **spread("BLEU", interval(system, BLEU))})
            rows += _by_bucket(data, row, system, buckets)
    drawn = [row for row in rows if row[data.source_length] == "all"]
    figure = Figure(
        "interventions", "Attention replaced at test time",
        "Greedy test BLEU with the trained attention weights, with equal weights, with all weight on the last state, "
        "and with the trained weights shuffled over the positions. The parameters stay as they are; a model without "
        "attention has one bar.",
        drawn, "bars", "model", "BLEU", "attention", "low", "high", y_title="test BLEU",
    )  # fmt: skip
    columns = ["model", "attention", data.source_length, "BLEU"]
    table = table_of("interventions", "Interventions by source length", rows, columns)
    words = []
    for group in (group for group in data.others if data.level.reached(group.model)):
        scores = {row["attention"]: row["BLEU"] for row in drawn if row["model"] == group.model}
        if "uniform" in scores:
            words.append(
                f"With uniform weights {group.model} goes from {number(scores['trained'])} to "
                f"{number(scores['uniform'])} BLEU, with shuffled ones to {number(scores['shuffled'])}."
            )
    return words, [figure], [table]


def forgetting(data: ReportData) -> Found:
    """What is known of target tokens by source length and the position of the aligned source word.

    Where there is a language model of the target it is the information that a model takes from the source, the
    language model's NLL less the model's, since a token may be hard at one end of a sentence without any source. Else
    it is accuracy.
    """
    rows = [row for group in data.groups for row in _by_fifth(data, group)]
    names, informed = _bucket_names(data), data.language_model is not None
    what, unit = ("information" if informed else "accuracy"), data.unit
    gives = (
        "Nats a target token that a model takes from the source: the NLL of a language model of the target less the "
        "model's own, both teacher-forced"
        if informed
        else "Teacher-forced accuracy of target tokens"
    )
    figure = Figure(
        "forgetting", f"{'Information taken from' if informed else 'Forgetting by position in'} the source",
        f"{gives}, by the position of the aligned source {unit.one} and by source length.",
        rows, "heat", "place in the source", what, row=data.source_length, facet="model",
        order=(*FIFTHS, *names.values()),
    )  # fmt: skip
    headings = {"nats": "NLL a token", "information": "nats a token from the source"}
    title = f"{'Information' if informed else 'Token accuracy'} by position and length"
    words = [
        sentence
        for group in data.groups
        if data.level.reached(group.model) and (sentence := _middle(data, group.model, rows, what))
    ]
    if words:
        words.append(f"Tokens are aligned with source {unit.name} by {aligned_by(data)}.")
    return words, [figure], [table_of("forgetting", title, rows, headings=headings)]


def _by_fifth(data: ReportData, group: ModelRuns) -> list[Row]:
    """A row for each bucket and fifth of the source that has tokens."""
    rows: list[Row] = []
    names = _bucket_names(data)
    without = {} if data.language_model is None else _sums_by_fifth(data, data.language_model)
    for (bucket, part), (tokens, nll, correct) in sorted(_sums_by_fifth(data, group).items()):
        row: Row = {"model": group.model, data.source_length: names[bucket], "place in the source": FIFTHS[part]}
        row |= {"accuracy": correct / tokens, "nats": nll / tokens}
        if data.language_model is not None:
            blind = without.get((bucket, part))
            row["information"] = None if blind is None else blind[1] / blind[0] - nll / tokens
        rows.append({**row, "tokens": int(tokens)})
    return rows


def _sums_by_fifth(data: ReportData, group: ModelRuns) -> dict[tuple[int, int], list[float]]:
    """By bucket and fifth: target tokens, their NLL, and correct argmaxes, summed over a model's runs."""
    cells: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for found in group.measured(FORGETTING):
        for length, place, *figures in found["rows"]:
            if place is not None:
                fifth = min(int(place * len(FIFTHS) / max(length, 1)), len(FIFTHS) - 1)
                cell = cells[_bucket_of(length, data), fifth]
                cell[:] = [total + figure for total, figure in zip(cell, figures, strict=True)]
    return dict(cells)


def _middle(data: ReportData, model: str, rows: list[Row], what: str) -> str:
    """The middle fifth beside the first and the last, in the shortest and the longest sources; "" of too few tokens."""
    shown, fifths = list(_bucket_names(data).values()), (FIFTHS[0], FIFTHS[len(FIFTHS) // 2], FIFTHS[-1])
    own = {(row[data.source_length], row["place in the source"]): row for row in rows if row["model"] == model}
    cells = [[own.get((length, fifth)) for fifth in fifths] for length in dict.fromkeys((shown[0], shown[-1]))]
    if not all(cell and cell["tokens"] >= ENOUGH and cell[what] is not None for line in cells for cell in line):
        return ""
    told = []
    for length, line in zip((shown[0], shown[-1]), cells, strict=False):
        values = [cell[what] for cell in line if cell]
        first, middle, last = (number(value, 2) if what == "information" else f"{value:.0%}" for value in values)
        told.append(f"{first}, {middle} and {last} in sources of {length} {data.unit.name}")
    gives = "takes from the source, in nats a token" if what == "information" else "predicts right, of the tokens"
    return f"{model} {gives} aligned with the first, the middle and the last fifth: {'; '.join(told)}."


def aligned_by(data: ReportData) -> str:
    """The source of the word alignment, in words."""
    if data.gold:
        return "the gold alignment"
    grammar = data.config.data.source == "grammar"
    return "the grammar's gold alignment" if grammar else "the attention of the first model that has any"


def _bucket_of(length: int, data: ReportData) -> int:
    return sum(length > edge for edge in data.edges)


def _bucket_names(data: ReportData) -> dict[int, str]:
    """Names of the buckets of the test by their number."""
    return {_bucket_of(bucket.first, data): bucket.name for bucket in data.buckets}


def probe(data: ReportData) -> Found:
    """Recall of source words by a linear probe of the sentence vector, by source length, beside a baseline."""
    rows: list[Row] = []
    body: list[list[Any]] = []
    names, unit = _bucket_names(data), data.unit.name
    for group in data.groups:
        found = group.measured(PROBE)
        if not found:
            continue
        tasks = {"": [one["narrow"] for one in found], BASELINE: [one["baseline"] for one in found]}
        for label, tables in tasks.items():
            for bucket, name in names.items():
                system = [_recalled(table, bucket, data) for table in tables]
                if all(counts.sum() for counts in system):
                    row = {"vector": group.model + label, data.source_length: name}
                    rows.append({**row, **spread("recall", interval(system, RATE))})
        own, narrow, baseline = (
            interval([_recalled(one[key], None, data) for one in found], RATE) for key in ("rows", "narrow", "baseline")
        )
        units = found[0]["units"], found[0]["narrow_units"]
        figures = [own.value, units[1], *(cell for each in (narrow, baseline) for cell in _cells(each))]
        body.append([group.model, found[0]["vector"], units[0], *figures, narrow.value - baseline.value])
    figure = Figure(
        "probe", f"{data.source_length.capitalize()} that a linear probe finds in the sentence vector",
        f"Share of the source's frequent {unit} that a linear probe recovers from the sentence vector. Wide ones are "
        f"projected at random to a width that all have. Baseline: the same probe on the {unit} of another sentence of "
        f"the same length, which only length and frequency can predict. A model with attention need not keep {unit} in "
        "its sentence vector. Lines: 95 % intervals.",
        rows, "bars", data.source_length, "recall", "vector", "low", "high", order=tuple(names.values()),
        y_title=f"{unit} recovered", tints={f"{group.model}{BASELINE}": group.model for group in data.groups},
    )  # fmt: skip
    columns = ["model", "vector", "units", "recall", "compared at", "recall there", "95 % interval"]
    columns += ["baseline", "baseline, 95 % interval", "beyond the baseline"]
    note = "The baseline knows length and frequency alone; intervals cover test sentences, and seeds from three on."
    return [], [figure], [Table("probe", "Linear probe", columns, body, note=note)]


def _recalled(rows: list[list[int]], bucket: int | None, data: ReportData) -> Any:
    """Words found and asked for in each sentence of a bucket, or of all (N, 2)."""
    inside = [[found, asked] for length, asked, found in rows if bucket in (None, _bucket_of(length, data))]
    return np.array(inside, float).reshape(-1, 2)


def _cells(estimate: Estimate) -> list[Any]:
    return [estimate.value, f"{number(estimate.low, 3)}–{number(estimate.high, 3)}"]


def width(data: ReportData) -> Found:
    """Test BLEU by source length for each width of the fixed context, of each model whose vector is varied."""
    words, figures, tables = list[str](), list[Figure](), list[Table]()
    by_model = variants_by_model(data, "width")
    for n, (of, swept) in enumerate(by_model.items(), start=1):
        suffix, named = f"-{n}" if n > 1 else "", f", {of}" if len(by_model) > 1 else ""
        model = varied_by(data, of)
        base = of_seed(model, swept[0]) if model else None
        rows = _by_width(data, [*([base] if base else []), *swept])
        figures.append(Figure(
            f"width{suffix}", f"A wider vector{named}",
            "Test BLEU by the width of the fixed context; one seed; a line for each bucket of source length. What else "
            "changed with the width is in the runs' configs; the table has the numbers of parameters.",
            rows, "lines", UNITS, "BLEU", data.source_length, y_title="test BLEU", log_x=True,
        ))  # fmt: skip
        tables.append(table_of(f"width{suffix}", f"Width of the fixed context{named}", rows, headings={UNITS: "units"}))
        if base is not None and data.level.reached(base.model):
            words += _widened(data, rows, f"{base.model}'s BLEU" if named else "BLEU")
    return words, figures, tables


def _by_width(data: ReportData, groups: list[ModelRuns]) -> list[Row]:
    """A row for each group and bucket, the narrowest vector first; none for a group that has no single vector."""
    rows: list[Row] = []
    for group in sorted(groups, key=_units):  # stable
        row = {"run": group.model, UNITS: _units(group), "parameters": group.parameters}
        rows += _by_bucket(data, row, data.system(group, BLEU), data.buckets) if _units(group) else []
    return rows


def _units(group: ModelRuns) -> int:
    """Units of the single vector that the group's decoder reads; 0 where it reads several or every position."""
    return group.configs[0].model.vector_width


def _widened(data: ReportData, rows: list[Row], what: str) -> list[str]:
    """BLEU with the narrowest and the widest vector, on the longest sentences of which there are enough."""
    sound = [bucket.name for bucket in data.buckets if not bucket.small]
    own = [row for row in rows if row[data.source_length] in sound[-1:]]
    if len({row[UNITS] for row in own}) < 2:
        return []
    ends = [f"{number(row['BLEU'])} with {row[UNITS]}" for row in (own[0], own[-1])]
    return [f"On {sound[-1]} {data.unit.name} {what} goes from {ends[0]} {UNITS} to {ends[1]}."]


def _by_bucket(data: ReportData, row: Row, system: System, buckets: list[Bucket]) -> list[Row]:
    """A row for each bucket, with the columns of ``row`` and the BLEU of the bucket's sentences."""
    return [{**row, data.source_length: each.name, "BLEU": mean_score(at(system, each), BLEU)} for each in buckets]


def variants(data: ReportData) -> Found:
    """Test BLEU by source length of the variants, beside the models themselves."""
    changed = [group for variant, group in data.variants if variant.question not in ("width", "slots")]
    if not data.variants:
        return ["Slots, width, reversal and a long training need runs of their own: see STUDY=causes."], [], []
    if not changed:
        return [], [], []
    rows: list[Row] = []
    body = []
    names = [bucket.name for bucket in data.buckets]
    models = [one for group in data.groups if (one := of_seed(group, changed[0]))]
    for group in [*models, *changed]:
        own = _by_bucket(data, {"run": group.model}, data.system(group, BLEU), data.buckets)
        rows += own
        tokens = group.summaries[0]["tokens"] / 1e6
        optimizer = group.configs[0].trainer.optimizer
        setting = f"{optimizer.name} {optimizer.lr:g}"
        body.append([group.model, group.parameters, tokens, setting, *(row["BLEU"] for row in own)])
    figure = Figure(
        "variants", "One thing changed", "Test BLEU of runs with one thing changed, beside the models; one seed each.",
        rows, "heat", data.source_length, "BLEU", row="run",
        order=(*names, *dict.fromkeys(row["run"] for row in rows)),
    )  # fmt: skip
    columns = [
        "run",
        "parameters",
        "million target tokens",
        "optimiser, rate",
        *(f"BLEU, {name} {data.unit.name}" for name in names),
    ]
    return [], [figure], [Table("variants", "Runs with one thing changed", columns, body)]
