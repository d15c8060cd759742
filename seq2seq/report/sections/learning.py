"""Sections on learning and cost: BLEU by the number of tokens trained on, and the cost of training and translating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seq2seq.analysis.measurements import COST
from seq2seq.evaluation.metrics import BLEU, SufficientStatistics
from seq2seq.evaluation.onset import onset
from seq2seq.evaluation.statistics import Bucket, by_bucket
from seq2seq.report.data import ReportData, lines_of
from seq2seq.report.model_runs import ModelRuns, mean
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.quality import at, behind_from, mean_score
from seq2seq.report.sections.varied import of_seed, variants_by_model, varied_by
from seq2seq.terminal.numbers import number


def undertraining(data: ReportData) -> Section:
    """Validation BLEU during training by source length, long runs included, and the remaining gap."""
    src, references = data.valid
    if not src:
        return Section("undertraining", "Is it only undertrained?")
    buckets = by_bucket(data.unit.counts(src), data.edges)
    long_ones = data.variants_on("undertraining")
    curves = {group.model: _curve(group, references, data, buckets) for group in [*data.groups, *long_ones]}
    last = {model: curve[-len(buckets) :] for model, curve in curves.items() if curve}
    figure = Figure(
        "bleu-by-tokens", "BLEU while training, by source length",
        "Greedy validation BLEU in buckets of source length by the number of target tokens trained on; means over the "
        "seeds. A model that only learns more slowly would catch up.",
        [row for curve in curves.values() for row in curve],
        "lines", "million target tokens", "BLEU", "model", facet=data.source_length, y_title="validation BLEU",
        order=tuple(bucket.name for bucket in buckets), log_x=bool(long_ones),
    )  # fmt: skip
    losses = {group.model: _losses(group) for group in [*data.groups, *long_ones]}
    table = Table(
        "bleu-by-tokens", "The end of each training",
        ["model", "million target tokens", "training NLL", "validation NLL",
         *(f"BLEU, {bucket.name} {data.unit.name}" for bucket in buckets if last)],
        [[model, own[0]["million target tokens"], *losses[model], *(row["BLEU"] for row in own)]
         for model, own in last.items()],
        note="NLL in nats a token; of training over its last stretch, dropout included. BLEU: validation, greedy. "
        "A training NLL far below that of validation means that pairs are learned by heart.",
    )  # fmt: skip
    longer = _longer(data)
    closed = _closed(data, longer)
    tables = [table, *([closed] if closed.rows else [])]
    text = _is_it(data, longer, closed)
    return Section("undertraining", "Is it only undertrained?", text, [figure], tables)


def _losses(group: ModelRuns) -> list[float | None]:
    """Training and validation NLL at the end, nats a token, the mean over a group's runs."""
    ends = [[run.points(tag)[-1:] for run in group.runs] for tag in ("train/nll", "valid/nll")]
    return [
        mean(point[0][tag] for point in points) if all(points) else None
        for tag, points in zip(("train/nll", "valid/nll"), ends, strict=True)
    ]


def _curve(group: ModelRuns, references: list[str], data: ReportData, buckets: list[Bucket]) -> list[Row]:
    """BLEU of each bucket at the first, second, … and last validation, the mean over a group's runs."""
    runs: list[list[tuple[float, SufficientStatistics]]] = []
    for run in group.runs:
        points = []
        for line in run.points("valid/bleu"):
            path = run.validation(line["step"])
            if path.exists():
                hypotheses = lines_of(path)
                points.append((line["train/tokens"] / 1e6, data.bleu(hypotheses, references[: len(hypotheses)])))
        runs.append(points)
    common = min(map(len, runs))
    rows: list[Row] = []
    for place in [*range(common - 1), -1] if common else []:
        tokens = mean(points[place][0] for points in runs)
        for bucket in buckets:
            # A validation may translate the first sentences alone, of which there may be none in the bucket.
            system = [counts[bucket.indices[bucket.indices < len(counts)]] for counts in (p[place][1] for p in runs)]
            value = mean_score(system, BLEU) if all(map(len, system)) else None
            row = {"model": group.model, data.source_length: bucket.name, "million target tokens": tokens}
            rows.append({**row, "BLEU": value})
    return rows


SHARE = "share closed"
MANY = 5.0  # times as many tokens


@dataclass(frozen=True)
class _Longer:
    """A longer training, all runs of the model that it trains longer, and the other models."""

    group: ModelRuns
    model: ModelRuns
    others: list[ModelRuns]

    @property
    def base(self) -> ModelRuns | None:
        """The model's run with the seed of the longer training; None where there is none."""
        return of_seed(self.model, self.group)


def _longer(data: ReportData) -> list[_Longer]:
    """Every longer training whose model is here."""
    return [
        _Longer(group, model, [other for other in data.groups if other is not model])
        for of, groups in variants_by_model(data, "undertraining").items()
        if (model := varied_by(data, of))
        for group in groups
    ]


def _closed(data: ReportData, longer: Sequence[_Longer]) -> Table:
    """What a longer training closes of its model's gap to each other model, by source length, on the test."""
    rows: list[list[Any]] = []
    compared = [(base, each.group, other) for each in longer if (base := each.base) for other in each.others]
    for bucket in data.buckets:
        for base, group, other in compared:
            systems = (data.system(one, BLEU) for one in (base, group, other))
            short, long, above = (mean_score(at(system, bucket), BLEU) for system in systems)
            gap, left = above - short, above - long
            share = (gap - left) / gap if gap > 0 else None
            rows.append([group.model, other.model, bucket.name, short, long, gap, left, share])
    models = {each.model.model for each in longer}
    columns = ["training", "gap to", data.source_length, f"BLEU of {' or '.join(sorted(models))}"]
    columns += ["BLEU of the training", "gap", "left", SHARE]
    search = "beam search" if data.config.decode.beam > 1 else "greedy"
    note = f"Test BLEU, {search}; the longer training and its model's run with the same seed."
    return Table("closed", "What a longer training closes of the gap", columns, rows, note)


def _is_it(data: ReportData, longer: Sequence[_Longer], closed: Table) -> list[str]:
    """The objection that a model only learns more slowly, and what a longer training says to it.

    ``closed``: the table of what the longer trainings close. Nothing is said of models that have not learned enough.
    """
    if not data.variants_on("undertraining"):
        hint = "STUDY=causes shows how much of the gap a ten times longer training on new pairs closes."
        return [_objection([data.baseline.model]), hint] if data.compared else []
    reached = data.level.reached
    compared = [
        replace(each, others=others)
        for each in longer
        if (others := [other for other in each.others if reached(each.model.model, other.model)])
    ]
    said = [_what_it_closes(data, each, closed) for each in compared]
    return [*([_objection([each.model.model for each in compared])] if compared else []), *filter(None, said)]


def _objection(models: Sequence[str]) -> str:
    named = list(dict.fromkeys(models))
    return f"A possible objection: {' and '.join(named)} only {'learns' if len(named) == 1 else 'learn'} more slowly."


def _what_it_closes(data: ReportData, each: _Longer, closed: Table) -> str:
    """What a longer training closes of its model's gaps on the shortest and the longest sentences; "" of no gaps."""
    group, base, sound = each.group, each.base, [bucket.name for bucket in data.buckets if not bucket.small]
    if base is None:
        lost = f"for {each.model.model} has no run with its seed"
        return f"How much of the gap {group.model} closes is not known, {lost}."
    shares = {tuple(row[:3]): row[closed.columns.index(SHARE)] for row in closed.rows}
    outermost = [*sound[:1], *sound[-1:]]
    ends = {one.model: [shares[group.model, one.model, bucket] for bucket in outermost] for one in each.others}
    said = [
        f"{found[0]:.0%} of its gap to {model} on sources of {sound[0]} {data.unit.name} and {found[1]:.0%} on "
        f"{sound[-1]}"
        for model, found in ends.items()
        if sound and None not in found
    ]
    if not said:
        return ""
    times = group.summaries[0]["tokens"] / base.summaries[0]["tokens"]
    ahead = [other for other in each.others if ends[other.model][-1] is not None]
    return (
        f"Trained on {number(times, 1 if times < 10 else 0)} times as many tokens, {group.model} closes "
        f"{' and '.join(said)} (test; {base.model}'s run with the same seed). {_long_onset(data, group, ahead, times)}"
    )


def _long_onset(data: ReportData, group: ModelRuns, others: Sequence[ModelRuns], times: float) -> str:
    """A sentence: the source length from which on a training of ``times`` the tokens is behind the ``others``."""
    trained = "many more" if times >= MANY else "more" if times > 1 else "no more"
    own, lengths = data.system(group, BLEU), data.lengths.tolist()
    onsets = [(other.model, onset(data.system(other, BLEU), own, lengths, BLEU)) for other in others]
    said = " and ".join(f"{model} {behind_from(found, data.unit)}" for model, found in onsets)
    return f"On the test, {group.model}, trained on {trained} tokens, is behind {said}."


def cost(data: ReportData) -> Section:
    """Training speed, time and tokens to given BLEU, latency and memory by length, BLEU for a million parameters."""
    costs: list[list[Any]] = []
    reached: list[tuple[str, int, tuple[float, float] | None]] = []
    for group in data.groups:
        speed = mean(summary["tokens_per_second"] for summary in group.summaries)
        seconds = mean(summary["seconds"] for summary in group.summaries)
        share = group.bleu / group.parameters * 1e6
        costs.append([group.model, group.parameters, round(speed), round(seconds), group.bleu, share])
        validations = [run.points("valid/bleu") for run in group.runs]
        reached += [(group.model, level, _reached(validations, level)) for level in (10, 20, 40, 60, 80, 90)]
    table = Table(
        "cost", "Cost of training",
        ["model", "parameters", "target tokens/s", "seconds", "test BLEU", "BLEU for each million parameters"],
        costs,
        note="Speeds were measured on a machine that may have done other work: compare them within the table only.",
    )  # fmt: skip
    shown = {level for _, level, found in reached if found}
    rows = [[model, level, *(found or (None, None))] for model, level, found in reached if level in shown]
    to_quality = Table(
        "to-quality", "Until validation BLEU reaches a level",
        ["model", "BLEU", "million target tokens", "seconds"], rows,
        note="Greedy, on the validation split; the mean over the runs, if all reached it. Validations not counted.",
    )  # fmt: skip
    text = ["The cost of each architecture's quality, in training and for each sentence that it translates."]
    return Section("cost", "Cost", text, _decode_figures(data), [table, to_quality])


def _reached(validations: list[list[dict[str, Any]]], level: float) -> tuple[float, float] | None:
    """Million tokens and seconds of training until a validation reaches a BLEU; None unless all runs reach it."""
    found = []
    for validated in validations:
        line = next((line for line in validated if line["valid/bleu"] >= level), None)
        if line is None or "train/tokens" not in line:
            return None
        found.append((line["train/tokens"] / 1e6, line["train/seconds"]))
    return mean(tokens for tokens, _ in found), mean(seconds for _, seconds in found)


def _decode_figures(data: ReportData) -> list[Figure]:
    rows: list[Row] = [
        {
            "model": group.model,
            "tokens": cells[0]["pieces"],
            "seconds": float(np.median([cell["greedy_seconds"] for cell in cells])),
            "kilobytes": (sum(cells[0]["memory"].values()) + cells[0]["state"]) / 1024,
        }
        for group in data.groups
        for cells in group.cells(COST, lambda record: record["rows"])
    ]
    return [
        Figure(
            "latency", "Time to translate one sentence", "Greedy search, batch size 1, as many tokens out as in.",
            rows, "lines", "tokens", "seconds", "model", x_title="source tokens", y_title="seconds",
        ),
        Figure(
            "memory", "Decoder memory for one sentence", "Encoded source and decoder state of one hypothesis at the "
            "end of the output.", rows, "lines", "tokens", "kilobytes", "model", x_title="source tokens",
            y_title="kilobytes",
        ),
    ]  # fmt: skip
