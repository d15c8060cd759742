"""Scores of any systems' translations, their confidence intervals and significance tests. Knows texts; no files."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from seq2seq.evaluation.external import ExternalMetric
from seq2seq.evaluation.metrics import USUAL, SacreBLEUMetric, SufficientStatistics
from seq2seq.evaluation.statistics import Indices, by_bucket, difference, holm, interval

TESTS = ("p_bootstrap", "p_randomisation")
Row = dict[str, Any]
Scored = SacreBLEUMetric | ExternalMetric


@dataclass(frozen=True)
class System:
    """A system's name, the file of each seed, and by metric the sufficient statistics of each seed's sentences."""

    name: str
    files: list[str]
    statistics: dict[str, list[SufficientStatistics]]

    @classmethod
    def of(cls, name: str, texts: dict[str, list[str]], references: Sequence[str], language: str) -> System:
        """The system whose translations are ``texts``, by the file of each seed."""
        seeds = texts.values()
        by_metric = {m.label: [m.statistics(text, references, language) for text in seeds] for m in USUAL}
        return cls(name, list(texts), by_metric)


def score_systems(
    systems: Sequence[System],
    lengths: Sequence[int],
    edges: Sequence[int],
    language: str,
    unit: str = "words",
    metrics: Sequence[Scored] = USUAL,
) -> dict[str, Any]:
    """Scores and pairwise differences, of all sentences and by source length, as plain data.

    Args:
        systems: at least one; all translate the same sentences.
        lengths: of the source sentences; without them nothing is told by length.
        edges: upper ends of the buckets of length.
        language: of the target, for the signatures.
        unit: of the lengths.
        metrics: of which every system has statistics.
    """
    sentences = len(systems[0].statistics[USUAL[0].label][0])
    overall = _figures(systems, metrics, np.arange(sentences))
    by_length: list[Row] = []
    for bucket in by_bucket(lengths, edges) if lengths else ():
        size = {"words": bucket.name, "unit": unit, "sentences": len(bucket.indices), "small": bucket.small}
        by_length.append({**size, **_figures(systems, metrics, bucket.indices)})
    for metric in metrics:
        _correct(overall["differences"], metric)
        _correct([row for bucket in by_length for row in bucket["differences"]], metric)
    signatures = {metric.label: metric.signature(language) for metric in metrics}
    return {"sentences": sentences, **overall, "by_length": by_length, "signatures": signatures}


def _figures(systems: Sequence[System], metrics: Sequence[Scored], chosen: Indices) -> Row:
    """Scores of each of the systems, and differences of each pair of them, in each metric."""
    scored: list[Row] = [{"system": system.name, "files": system.files} for system in systems]
    differences = []
    for metric in metrics:
        selected = [[seed[chosen] for seed in system.statistics[metric.label]] for system in systems]
        for row, own in zip(scored, selected, strict=True):
            seeds = [float(metric.score(seed.sum(0))) for seed in own]
            row[metric.label] = {**asdict(interval(own, metric)), "seeds": seeds}
        for (a, one), (b, other) in itertools.combinations(zip(systems, selected, strict=True), 2):
            pair = {"a": a.name, "b": b.name, "metric": metric.label}
            differences.append({**pair, **asdict(difference(one, other, metric))})
    return {"systems": scored, "differences": differences}


def _correct(rows: Sequence[Row], metric: Scored) -> None:
    """Add to each p-value of the metric its value after Holm's correction for the number of the metric's rows."""
    family = [row for row in rows if row["metric"] == metric.label]
    for test in TESTS:
        for row, adjusted in zip(family, holm([row[test] for row in family]), strict=True):
            row[f"{test}_holm"] = adjusted
