"""Metrics that are computed elsewhere, such as COMET: the mean of scores of sentences. Knows numbers; no files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import MEAN, Metric, SufficientStatistics

LARGEST = 1e6  # of a score in absolute value; sums of such scores are exact enough for the tests' ties
FINE = 10.0  # a metric whose scores are all smaller than this is printed with four decimals


@dataclass(frozen=True, kw_only=True)
class ExternalMetric(Metric):
    """A metric whose score of a corpus is the mean of given scores of its sentences; any number is possible."""

    text: str | None  # that its user has given as its signature

    @classmethod
    def named(cls, name: str, scores: Sequence[SufficientStatistics], text: str | None) -> ExternalMetric:
        """The metric with that name, whose statistics of all systems and seeds are ``scores``."""
        largest = max(float(np.abs(each[:, 0]).max()) for each in scores)
        decimals = 4 if largest < FINE else 2
        return cls(name, name, MEAN.score, -math.inf, math.inf, decimals=decimals, text=text)

    def signature(self, language: str) -> str | None:
        """The text that was given as the signature."""
        return self.text


def statistics_of(lines: Sequence[str], where: str) -> SufficientStatistics:
    """Sufficient statistics (N, 2), a score and 1, of lines with a number each.

    Raises:
        UserError: a line of the file ``where`` is no number, or an infinite or impossibly large one.
    """
    scores = [_number(line, f"{where}:{number}") for number, line in enumerate(lines, start=1)]
    return np.stack([np.array(scores), np.ones(len(scores))], axis=1)


def _number(line: str, where: str) -> float:
    shown = line if len(line) <= 40 else f"{line[:39]}…"
    try:
        if "_" in line:  # Python reads 1_0 as 10
            raise ValueError
        value = float(line)
    except ValueError:
        raise UserError(f"{where}: {shown!r} is no number: give the score of one sentence in each line") from None
    if not abs(value) <= LARGEST:  # nor is NaN
        raise UserError(f"{where}: {shown!r} is no score: give finite numbers up to {LARGEST:,.0f}")
    return value
