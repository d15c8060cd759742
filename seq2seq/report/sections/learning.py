"""Sections on learning and cost: BLEU by the number of tokens trained on, and the cost of training and translating."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.analysis.measurements import COST
from seq2seq.evaluation.metrics import BLEU
from seq2seq.evaluation.statistics import Bucket, by_bucket, onset
from seq2seq.report.data import ModelRuns, ReportData, lines_of
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.quality import behind_from


def undertraining(data: ReportData) -> Section:
    """Validation BLEU during training by source length, long runs included, and the remaining gap."""
    src, references = data.valid
    if not src:
        return Section("undertraining", "Is it only undertrained?")
    buckets = by_bucket([len(line.split()) for line in src], data.edges)
    long_ones = [(variant.name, group) for variant, group in data.variants if variant.question == "undertraining"]
    rows: list[Row] = []
    for name, group in [*((group.model, group) for group in data.groups), *long_ones]:
        rows += _curve(name, group, references, data.language, buckets)
    figure = Figure(
        "bleu-by-tokens", "BLEU while training, by source length",
        "Greedy validation BLEU in buckets of source length by the number of target tokens trained on; means over the "
        "seeds. A model that only learns more slowly would catch up.",
        rows, "lines", "million target tokens", "BLEU", "model", facet="source words", y_title="validation BLEU",
        order=tuple(bucket.name for bucket in buckets), log_x=bool(long_ones),
    )  # fmt: skip
    last = [row for row in rows if row.pop("last")]
    text = _left_of_the_gap(data, last, [bucket.name for bucket in buckets if not bucket.small], long_ones)
    return Section("undertraining", "Is it only undertrained?", text, [figure], [_ends(last)])


def _curve(name: str, group: ModelRuns, references: list[str], language: str, buckets: list[Bucket]) -> list[Row]:
    """BLEU of each bucket at the first, second, … and last validation, the mean over a group's runs."""
    runs: list[list[tuple[float, list[float | None]]]] = []
    for run, validated in zip(group.runs, group.validated, strict=True):
        points = []
        for line in validated:
            path = run.validation(line["step"])
            if path.exists():
                hypotheses = lines_of(path)
                counts = BLEU.statistics(hypotheses, references[: len(hypotheses)], language)
                points.append((line["train/tokens"] / 1e6, [_score(counts, bucket) for bucket in buckets]))
        runs.append(points)
    common = min(map(len, runs))
    rows: list[Row] = []
    for place in [*range(common - 1), -1] if common else []:
        tokens = float(np.mean([points[place][0] for points in runs]))
        for n, bucket in enumerate(buckets):
            found = [points[place][1][n] for points in runs]
            value = None if None in found else float(np.mean([score for score in found if score is not None]))
            row = {"model": name, "source words": bucket.name, "million target tokens": tokens}
            rows.append({**row, "BLEU": value, "last": place == -1})
    return rows


def _score(counts: NDArray[np.float64], bucket: Bucket) -> float | None:
    """BLEU of a bucket's sentences; None where none of them was translated."""
    inside = bucket.indices[bucket.indices < len(counts)]
    return float(BLEU.score(counts[inside].sum(0))) if len(inside) else None


def _ends(last: list[Row]) -> Table:
    names = list(dict.fromkeys(row["source words"] for row in last))
    body = []
    for model in dict.fromkeys(row["model"] for row in last):
        own = {row["source words"]: row for row in last if row["model"] == model}
        body.append([model, own[names[0]]["million target tokens"], *(own[name]["BLEU"] for name in names)])
    columns = ["model", "million target tokens", *(f"{name} words" for name in names)]
    return Table("bleu-by-tokens", "Validation BLEU at the end of each training", columns, body)


def _left_of_the_gap(
    data: ReportData, last: list[Row], sound: list[str], long_ones: list[tuple[str, ModelRuns]]
) -> list[str]:
    """Sentences about the gap in the longest bucket at the end of the training, and after a long training."""
    ends = {row["model"]: row for row in last if sound and row["source words"] == sound[-1] and row["BLEU"] is not None}
    base = ends.get(data.baseline.model)
    others = [ends[group.model] for group in data.others if group.model in ends]
    if base is None or not others:
        return ["These runs kept no translations of their validations, or there is no other model to compare with."]
    best = max(others, key=lambda row: row["BLEU"])
    gap = best["BLEU"] - base["BLEU"]
    text = [
        f"A possible objection: {base['model']} only learns more slowly. After "
        f"{base['million target tokens']:.1f} million target tokens it has {base['BLEU']:.1f} BLEU on sentences of "
        f"{sound[-1]} words, and {best['model']}, after {best['million target tokens']:.1f} million, "
        f"{best['BLEU']:.1f} (validation, greedy)."
    ]
    for name, group in long_ones:
        if name in ends:
            times = ends[name]["million target tokens"] / max(base["million target tokens"], 1e-9)
            text.append(
                f"Trained on {times:.0f} times as many tokens, {name} reaches {ends[name]['BLEU']:.1f} there: of the "
                f"gap of {gap:.1f} BLEU, {best['BLEU'] - ends[name]['BLEU']:.1f} are left. "
                f"{_long_onset(data, name, group)}"
            )
    if not long_ones:
        text.append("STUDY=causes shows how much of the gap a ten times longer training closes.")
    return text


def _long_onset(data: ReportData, name: str, group: ModelRuns) -> str:
    """A sentence: the source length from which on a long training is behind the other models."""
    own, said = data.system(group, BLEU), []
    for other in data.others:
        found = onset(data.system(other, BLEU), own, data.lengths.tolist(), BLEU)
        said.append(f"{other.model} {behind_from(found)}")
    return f"On the test, {name}, trained on many more tokens, is behind {' and '.join(said)}."


# ---------------------------------------------------------------------------------------------------------- cost


def cost(data: ReportData) -> Section:
    """Training speed, time and tokens to given BLEU, latency and memory by length, BLEU for a million parameters."""
    table = Table(
        "cost", "Cost of training",
        ["model", "parameters", "target tokens/s", "seconds", "test BLEU", "BLEU for each million parameters"],
        [_training_cost(group) for group in data.groups],
        note="Speeds were measured on a machine that may have done other work: compare them within the table only.",
    )  # fmt: skip
    levels = (10, 20, 40, 60, 80, 90)
    found = {(group.model, level): _reached(group, level) for group in data.groups for level in levels}
    shown = [level for level in levels if any(found[group.model, level] for group in data.groups)]
    rows = [
        [group.model, level, *(found[group.model, level] or (None, None))] for group in data.groups for level in shown
    ]
    reached = Table(
        "to-quality", "Until validation BLEU reaches a level",
        ["model", "BLEU", "million target tokens", "seconds"], rows,
        note="Greedy, on the validation split; the mean over the runs, if all reached it. Validations not counted.",
    )  # fmt: skip
    text = ["The cost of each architecture's quality, in training and for each sentence that it translates."]
    return Section("cost", "Cost", text, _decode_figures(data), [table, reached])


def _training_cost(group: ModelRuns) -> list[Any]:
    speed = float(np.mean([summary["tokens_per_second"] for summary in group.summaries]))
    seconds = float(np.mean([summary["seconds"] for summary in group.summaries]))
    quality = float(np.mean([summary["test"]["bleu"] for summary in group.summaries]))
    return [group.model, group.parameters, round(speed), round(seconds), quality, quality / group.parameters * 1e6]


def _reached(group: ModelRuns, level: float) -> tuple[float, float] | None:
    """Million tokens and seconds of training until a validation reaches a BLEU; None unless all runs reach it."""
    found = []
    for validated in group.validated:
        line = next((line for line in validated if line["valid/bleu"] >= level), None)
        if line is None or "train/tokens" not in line:
            return None
        found.append((line["train/tokens"] / 1e6, line["train/seconds"]))
    return float(np.mean([tokens for tokens, _ in found])), float(np.mean([seconds for _, seconds in found]))


def _decode_figures(data: ReportData) -> list[Figure]:
    rows: list[Row] = []
    for group in data.groups:
        found = group.measured(COST)
        for cells in zip(*(one["rows"] for one in found), strict=True):
            rows.append(
                {
                    "model": group.model,
                    "tokens": cells[0]["pieces"],
                    "seconds": float(np.median([cell["greedy_seconds"] for cell in cells])),
                    "kilobytes": (sum(cells[0]["memory"].values()) + cells[0]["state"]) / 1024,
                }
            )
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
