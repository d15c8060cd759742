"""Sections 5 and 10: how quality grew with what was trained on, and what it cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.comparison.counts import BLEU, bleu, bleu_counts
from seq2seq.comparison.findings.material import Group, Material, lines_of
from seq2seq.comparison.findings.quality import behind_from
from seq2seq.comparison.report.parts import Figure, Row, Section, Table
from seq2seq.comparison.statistics import Bucket, by_bucket, onset


def undertraining(material: Material) -> Section:
    """BLEU of each bucket of lengths while training, the long runs among them, and what is left of the gap."""
    src, references = material.valid
    buckets = by_bucket([len(line.split()) for line in src], material.edges)
    long_ones = [(variant.name, group) for variant, group in material.variants if variant.question == "undertraining"]
    curves = [(group.model, group) for group in material.groups] + long_ones
    rows: list[Row] = []
    for name, group in curves:
        rows += _curve(name, group, references, material.language, buckets)
    figures = [
        Figure(
            "bleu-by-tokens", "BLEU while training, by source length",
            "Greedy validation BLEU in buckets of source length against the target tokens trained on so far, each "
            "model at its own best learning rate; means over the seeds. What only learned more slowly would catch up.",
            rows, "lines", "million target tokens", "BLEU", "model", facet="source words", y_title="validation BLEU",
            order=tuple(bucket.name for bucket in buckets),
        )
    ]  # fmt: skip
    table = _last_points(rows, curves)
    return Section(
        "undertraining", "Is it only undertrained?", _left_of_the_gap(material, rows, long_ones), figures, [table]
    )


def _curve(name: str, group: Group, references: list[str], language: str, buckets: list[Bucket]) -> list[Row]:
    """The mean over a group's runs of the BLEU of each bucket at each validation."""
    points: dict[int, list[tuple[float, list[float]]]] = {}
    for run, validated in zip(group.runs, group.validated, strict=True):
        for line in validated:
            path = run.validation(line["step"])
            if not path.exists():
                continue
            hypotheses = lines_of(path)
            counts = bleu_counts(hypotheses, references[: len(hypotheses)], language)
            scores = [_score(counts, bucket) for bucket in buckets]
            points.setdefault(line["step"], []).append((line["train/tokens"] / 1e6, scores))
    rows: list[Row] = []
    for _, found in sorted(points.items()):
        if len(found) < len(group.runs):  # the last update has another number in each run
            continue
        tokens = float(np.mean([million for million, _ in found]))
        for n, bucket in enumerate(buckets):
            value = float(np.mean([scores[n] for _, scores in found]))
            rows.append({"model": name, "source words": bucket.name, "million target tokens": tokens, "BLEU": value})
    return rows


def _score(counts: NDArray[np.float64], bucket: Bucket) -> float:
    inside = bucket.indices[bucket.indices < len(counts)]
    return float(bleu(counts[inside].sum(0)))


def _last_points(rows: list[Row], curves: list[tuple[str, Group]]) -> Table:
    names = list(dict.fromkeys(row["source words"] for row in rows))
    body = []
    for model, _ in curves:
        own = [row for row in rows if row["model"] == model]
        if own:
            end = max(row["million target tokens"] for row in own)
            last = {row["source words"]: row["BLEU"] for row in own if row["million target tokens"] == end}
            body.append([model, end, *(last.get(name) for name in names)])
    columns = ["model", "million target tokens", *(f"{name} words" for name in names)]
    return Table("bleu-by-tokens", "Validation BLEU at the end of each training", columns, body)


def _left_of_the_gap(material: Material, rows: list[Row], long_ones: list[tuple[str, Group]]) -> list[str]:
    """In words: the gap in the longest bucket at equal tokens, and after the long run."""
    longest = rows[-1]["source words"] if rows else ""

    def end(model: str) -> tuple[float, float]:
        own = [row for row in rows if row["model"] == model and row["source words"] == longest]
        return (own[-1]["million target tokens"], own[-1]["BLEU"]) if own else (0.0, float("nan"))

    base, text = material.baseline.model, []
    ends = {group.model: end(group.model) for group in material.others}
    if not ends:
        return ["There is only one model: nothing to catch up with."]
    best = max(ends, key=lambda model: ends[model][1])
    gap = ends[best][1] - end(base)[1]
    text.append(
        f"A sceptic's first objection is that {base} only learns more slowly. At {end(base)[0]:.1f} million target "
        f"tokens it stands {gap:.1f} BLEU below {best} on sentences of {longest} words (validation, greedy)."
    )
    for name, _ in long_ones:
        tokens, value = end(name)
        times = tokens / max(end(base)[0], 1e-9)
        left = ends[best][1] - value
        text.append(
            f"Trained on {times:.0f} times as many tokens ({tokens:.0f} million), {name} reaches {value:.1f} there: "
            f"{left:.1f} of {gap:.1f} BLEU are left against {best}, which had {ends[best][0]:.1f} million."
        )
    if long_ones:
        text.append(_long_onset(material, *long_ones[0]))
    else:
        text.append("How much of that a ten times longer training closes is what STUDY=causes shows.")
    return text


def _long_onset(material: Material, name: str, group: Group) -> str:
    """From which length on the long run falls behind the others, which had a fraction of its tokens."""
    counts = [bleu_counts(own, material.references, material.language) for own in group.hypotheses]
    said = []
    for other in material.others:
        theirs = [bleu_counts(own, material.references, material.language) for own in other.hypotheses]
        found = onset(theirs, counts, material.lengths.tolist(), BLEU)
        said.append(f"{other.model} {behind_from(found)}")
    return f"On the test, with its many more tokens, {name} is behind {' and '.join(said)}."


# ---------------------------------------------------------------------------------------------------------- cost


def cost(material: Material) -> Section:
    """Speed, time and tokens to given BLEU, latency and memory by length, BLEU for a parameter."""
    table = Table(
        "cost", "What training costs",
        ["model", "parameters", "target tokens/s", "seconds", "test BLEU", "BLEU for each million parameters"],
        [_training_cost(group) for group in material.groups],
        note="Speeds are of this machine with whatever else it did: compare them within the table only.",
    )  # fmt: skip
    levels = [level for level in (10, 20, 40, 60, 80, 90) if any(_reached(group, level) for group in material.groups)]
    rows = []
    for group in material.groups:
        for level in levels:
            found = _reached(group, level)
            rows.append([group.model, level, *(found or (None, None))])
    reached = Table(
        "to-quality", "Until validation BLEU reaches a level",
        ["model", "BLEU", "million target tokens", "seconds"], rows,
        note="Greedy, whole validation split; the mean over the runs, if all reached it. Validations not counted.",
    )  # fmt: skip
    text = ["How dearly each architecture buys its quality: to train, and for each sentence that it translates."]
    return Section("cost", "Cost", text, _decode_figures(material), [table, reached])


def _training_cost(group: Group) -> list[Any]:
    speed = float(np.mean([summary["tokens_per_second"] for summary in group.summaries]))
    seconds = float(np.mean([summary["seconds"] for summary in group.summaries]))
    quality = float(np.mean([summary["test"]["bleu"] for summary in group.summaries]))
    return [group.model, group.parameters, round(speed), round(seconds), quality, quality / group.parameters * 1e6]


def _reached(group: Group, level: float) -> tuple[float, float] | None:
    """Million tokens and seconds of training at the first validation with so much BLEU: the mean over all runs."""
    found = []
    for validated in group.validated:
        line = next((line for line in validated if line["valid/bleu"] >= level), None)
        if line is None or "train/tokens" not in line:
            return None
        found.append((line["train/tokens"] / 1e6, line["train/seconds"]))
    return float(np.mean([tokens for tokens, _ in found])), float(np.mean([seconds for _, seconds in found]))


def _decode_figures(material: Material) -> list[Figure]:
    rows: list[Row] = []
    for group in material.groups:
        found = group.measured("cost")
        for cells in zip(*(one["rows"] for one in found), strict=True):
            rows.append(
                {
                    "model": group.model,
                    "pieces": cells[0]["pieces"],
                    "seconds": float(np.median([cell["greedy_seconds"] for cell in cells])),
                    "kilobytes": (sum(cells[0]["memory"].values()) + cells[0]["state"]) / 1024,
                }
            )
    if not rows:
        return []
    return [
        Figure(
            "latency", "Time to translate one sentence", "Greedy search, a batch of one, as many pieces out as in.",
            rows, "lines", "pieces", "seconds", "model", x_title="source pieces", y_title="seconds",
        ),
        Figure(
            "memory", "What the decoder keeps of one sentence", "Memory of the source and state of one hypothesis at "
            "the end of the output.", rows, "lines", "pieces", "kilobytes", "model", x_title="source pieces",
            y_title="kilobytes",
        ),
    ]  # fmt: skip
