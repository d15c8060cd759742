"""How often people agree with a difference in a score, by its size, as it was published. Knows no runs.

Source: Kocmi, Zouhar, Federmann and Post 2024, "Navigating the Metrics Maze: Reconciling Score Magnitudes and
Accuracies" (ACL 2024): the table of thresholds, and that of accuracies by kind of systems, as in the authors'
repository kocmitom/MT-Thresholds (appendix/main_thresholds.tex, accuracy_results.tex). Accuracy is the share of pairs
of systems of which people, too, prefer the one with the higher score; 50 % is a coin's. By size it is a curve fitted to
6,530 pairs.
"""

from __future__ import annotations

from collections.abc import Mapping

from seq2seq.evaluation.metrics import BLEU, CHRF, Metric

ACCURACIES = (50, 55, 60, 65, 70, 75, 80, 85, 90)
"""Estimated accuracies, in per cent, to which ``THRESHOLDS`` belong."""
THRESHOLDS: Mapping[str, tuple[float, ...]] = {
    BLEU.key: (0.27, 0.52, 0.78, 1.06, 1.39, 1.79, 2.34, 3.35),
    CHRF.key: (0.14, 0.33, 0.54, 0.76, 1.00, 1.28, 1.63, 2.12, 3.05),
}
"""By metric, the difference in points from which on each accuracy is reached. BLEU never reaches 90 %."""
PAIRS = 6_530
UNRELATED: Mapping[str, float] = {BLEU.key: 59.1, CHRF.key: 58.2}
"""By metric, the accuracy of differences of any size between unrelated systems, in per cent."""
ITERATED: Mapping[str, float] = {BLEU.key: 74.8, CHRF.key: 77.0}
"""The same between a system and its next version."""


def people_agree(metric: Metric, difference: float) -> str | None:
    """The accuracy that belongs to a difference of either sign; None for a metric of which it is not known here."""
    thresholds = THRESHOLDS.get(metric.key)
    if thresholds is None:
        return None
    reached = sum(abs(difference) >= threshold for threshold in thresholds)
    if not reached:
        return f"below {ACCURACIES[0]} %"
    if reached == len(thresholds):
        return f"above {ACCURACIES[reached - 1]} %"
    return f"{ACCURACIES[reached - 1]}–{ACCURACIES[reached]} %"
