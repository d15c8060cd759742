"""Published agreement of people with differences: the table is read at its own ends."""

from __future__ import annotations

import math

import pytest

from seq2seq.evaluation.metrics import BLEU, CHRF, NLL, Metric
from seq2seq.evaluation.people import ACCURACIES, THRESHOLDS, people_agree

CURVES = {"bleu": (88.33333333333225, 0.9663926931178954), "chrf": (92.999999999972, 1.1142732157139852)}
"""a and b of accuracy = a / (1 + exp(-b |difference|)), from the authors' mt_thresholds.py."""


@pytest.mark.parametrize(
    ("metric", "difference", "told"),
    [
        (BLEU, 0.0, "below 50 %"),
        (BLEU, 0.27, "50–55 %"),
        (BLEU, -1.2, "65–70 %"),
        (BLEU, 3.34, "80–85 %"),
        (BLEU, 40.0, "above 85 %"),
        (CHRF, 3.0, "85–90 %"),
        (CHRF, -9.0, "above 90 %"),
        (NLL, 0.5, None),
    ],
)
def test_a_difference_of_either_sign_has_the_accuracy_that_it_reaches(
    metric: Metric, difference: float, told: str | None
) -> None:
    assert people_agree(metric, difference) == told


@pytest.mark.parametrize("key", THRESHOLDS)
def test_the_thresholds_lie_on_the_published_curve(key: str) -> None:
    limit, rate = CURVES[key]
    for threshold, accuracy in zip(THRESHOLDS[key], ACCURACIES, strict=False):
        assert limit / (1 + math.exp(-rate * threshold)) == pytest.approx(accuracy, abs=0.2)
