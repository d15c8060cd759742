"""Sections on learning and cost: BLEU by the number of tokens trained on, and the cost of training and translating."""

from __future__ import annotations

from typing import Any

import numpy as np

from seq2seq.analysis.measurements import COST
from seq2seq.evaluation.metrics import BLEU, SufficientStatistics
from seq2seq.evaluation.statistics import Bucket, by_bucket, onset
from seq2seq.report.data import ModelRuns, ReportData, lines_of, mean
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.quality import behind_from, mean_score
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
    table = Table(
        "bleu-by-tokens", "Validation BLEU at the end of each training",
        ["model", "million target tokens", *(f"{bucket.name} {data.unit.name}" for bucket in buckets if last)],
        [[model, own[0]["million target tokens"], *(row["BLEU"] for row in own)] for model, own in last.items()],
    )  # fmt: skip
    sound = [n for n, bucket in enumerate(buckets) if not bucket.small]
    longest = {model: own[sound[-1]] for model, own in last.items() if sound}
    text = _left_of_the_gap(data, longest, long_ones)
    return Section("undertraining", "Is it only undertrained?", text, [figure], [table])


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


def _left_of_the_gap(data: ReportData, longest: dict[str, Row], long_ones: list[ModelRuns]) -> list[str]:
    """Sentences about the gap in the longest bucket at the end of the training, and after a long training."""
    ends = {model: row for model, row in longest.items() if row["BLEU"] is not None}
    base = ends.get(data.baseline.model)
    others = [ends[group.model] for group in data.others if group.model in ends]
    if base is None or not others:
        return ["These runs kept no translations of their validations, or there is no other model to compare with."]
    best = max(others, key=lambda row: row["BLEU"])
    if not data.level.reached(base["model"], best["model"]):
        return []
    gap = best["BLEU"] - base["BLEU"]
    text = [
        f"A possible objection: {base['model']} only learns more slowly. After "
        f"{_few(base['million target tokens'])} million target tokens it has {number(base['BLEU'])} BLEU on sentences "
        f"of {base[data.source_length]} {data.unit.name}, and {best['model']}, after "
        f"{_few(best['million target tokens'])} million, {number(best['BLEU'])} (validation, greedy)."
    ]
    for group in long_ones:
        if own := ends.get(group.model):
            times = own["million target tokens"] / max(base["million target tokens"], 1e-9)
            text.append(
                f"Trained on {times:.0f} times as many tokens, {group.model} reaches {number(own['BLEU'])} there: of "
                f"the gap of {number(gap)} BLEU, {number(best['BLEU'] - own['BLEU'])} are left. "
                f"{_long_onset(data, group)}"
            )
    if not long_ones:
        text.append("STUDY=causes shows how much of the gap a ten times longer training closes.")
    return text


def _long_onset(data: ReportData, group: ModelRuns) -> str:
    """A sentence: the source length from which on a long training is behind the other models."""
    own, lengths = data.system(group, BLEU), data.lengths.tolist()
    onsets = [(other.model, onset(data.system(other, BLEU), own, lengths, BLEU)) for other in data.others]
    said = " and ".join(f"{model} {behind_from(found, data.unit)}" for model, found in onsets)
    return f"On the test, {group.model}, trained on many more tokens, is behind {said}."


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


def _few(value: float) -> str:
    """A number with one decimal, or of a small one the first digits."""
    return f"{value:,.1f}" if value >= 0.1 else f"{value:.2g}"
