"""Significance: confidence intervals and paired tests.

Knows sufficient statistics and chance; knows no text. A system is a list over its seeds of sufficient statistics
(N, k), and all systems are over the same N sentences. Every generator is seeded here, with sacreBLEU's seed: results
are the same in whatever order they are asked for, and for single runs draws equal those of sacreBLEU's paired tests.

Shapes: N sentences, K seeds, R bootstrap samples, W windows of source length, k sufficient statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seq2seq.evaluation.metrics import Metric, SufficientStatistics

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
System = Sequence[SufficientStatistics]
Covers = Literal["sentences and seeds", "sentences"]

SEED = 12345  # sacreBLEU's
DRAWS = 1_000  # bootstrap samples
SWAPS = 2_000  # trials of approximate randomisation
SEEDS = 3  # with fewer, an interval covers the choice of sentences alone
SMALL = 30  # with fewer sentences, a bucket supports no conclusion
ALL = (slice(None),)  # one window with every sentence
CELLS = 1 << 22  # elements of a matrix of draws that is held at a time (32 MB)
TIE = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A score, the mean over seeds, with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    covers: Covers


@dataclass(frozen=True)
class Difference(Estimate):
    """The score of one system less that of another, with the p-values of two tests that it is zero."""

    p_bootstrap: float
    p_randomisation: float


@dataclass(frozen=True)
class Change(Estimate):
    """How much a figure is larger on some sentences than on others, or how many times; and a test that it is not.

    ``p`` is the p-value of the two-sided t-test that belongs to the interval.
    """

    p: float


@dataclass(frozen=True)
class Bucket:
    """Sentences with ``first`` to ``last`` words in the source."""

    first: int
    last: int
    indices: Indices

    @property
    def small(self) -> bool:
        """Whether there are too few sentences for a conclusion."""
        return len(self.indices) < SMALL

    @property
    def name(self) -> str:
        """For example 11–20."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


def _bootstrap_weights(number: int, draws: int, seed: int) -> Iterator[Array]:
    """How often each of N sentences is drawn (…, N): once in the first row, then as in each bootstrap sample."""
    generator = np.random.default_rng(seed)
    yield np.ones((1, number))
    for rows in _portions(draws, number):
        picks = generator.choice(number, size=(rows, number), replace=True) + number * np.arange(rows)[:, None]
        yield np.bincount(picks.ravel(), minlength=rows * number).reshape(rows, number).astype(np.float64)


def _portions(draws: int, number: int) -> Iterator[int]:
    """Rows to draw at a time: multiples of 32, since booleans are drawn in words of 32 bits and a rest is discarded."""
    most = max(CELLS // number // 32, 1) * 32
    for start in range(0, draws, most):
        yield min(most, draws - start)


def bootstrap_scores(
    systems: list[System], metric: Metric, draws: int, windows: Sequence[Indices | slice] = ALL, seed: int = SEED
) -> list[Array]:
    """For each system (W, 1+R, K): scores of all sentences, then of bootstrap samples, the same for all systems."""
    columns = np.concatenate([statistics for system in systems for statistics in system], axis=1)
    width = systems[0][0].shape[1]
    parts = []
    for weights in _bootstrap_weights(len(columns), draws, seed):
        sums = (weights[:, window] @ columns[window] for window in windows)
        parts.append([metric.score(each.reshape(len(weights), -1, width)) for each in sums])
    scores = np.concatenate(parts, axis=1)
    return np.split(scores, np.cumsum([len(system) for system in systems])[:-1], axis=-1)


@dataclass(frozen=True)
class _Spread:
    """A score's standard error and degrees of freedom."""

    value: float
    error: float
    freedom: float
    covers: Covers

    @classmethod
    def of(cls, groups: Sequence[Array], sentences: int) -> _Spread:
        """The spread of the sum of the groups' means over seeds; a group is scores (1+R, K).

        Degrees of freedom are Satterthwaite's, with the variance between seeds counted twice in them: estimated from
        three seeds it is often far too small, which would pass for certainty.
        """
        alone, between = variances(groups, sentences)
        freedoms = [max(sentences - 1, 1), *(group.shape[-1] - 1 for group in groups)]
        shares = [alone, *(2 * variance for variance in between)]
        squares = sum(share**2 / freedom for share, freedom in zip(shares, freedoms, strict=False))
        freedom = min(sum(shares) ** 2 / squares, 1e4) if squares else 1.0
        error = math.sqrt(alone + sum(between)) if sentences > 1 else math.inf
        value = sum(float(group[0].mean()) for group in groups)
        return cls(value, error, freedom, coverage(groups))

    def estimate(self, low: float, high: float) -> Estimate:
        """The confidence interval, cut to the metric's range."""
        angles, below = _student(self.freedom)
        arm = self.error * math.sqrt(self.freedom) * math.tan(np.interp(0.95, below, angles))
        return Estimate(self.value, max(self.value - arm, low), min(self.value + arm, high), self.covers)

    def change(self, reach: float) -> Change:
        """The confidence interval, within ``reach`` of zero, and the p-value."""
        found = self.estimate(-reach, reach)
        return Change(found.value, found.low, found.high, found.covers, self.p_value())

    def p_value(self) -> float:
        """Of the two-sided t-test that the score is zero."""
        if self.error == 0:
            return float(abs(self.value) <= TIE)
        angles, below = _student(self.freedom)
        angle = math.atan(abs(self.value) / self.error / math.sqrt(self.freedom))
        return 1 - float(np.interp(angle, angles, below))


def _student(freedom: float) -> tuple[Array, Array]:
    """Student's t as angles θ, t = √freedom · tan θ, and the probability of a smaller angle in absolute value."""
    angles = np.linspace(0, math.pi / 2, 10_001)
    density = np.cos(angles) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return angles, below / below[-1]


def coverage(groups: Sequence[Array]) -> Covers:
    return "sentences and seeds" if all(group.shape[-1] >= SEEDS for group in groups) else "sentences"


def variances(groups: Sequence[Array], sentences: int) -> tuple[float, list[float]]:
    """Components of the variance of the groups' sum: of the choice of sentences alone, and of each group's seeds.

    Groups are scores (…, 1+R, K); over windows in front the mean is taken. The bootstrap variance of the means over
    seeds includes an interaction: sentences fare differently under each seed. So does the variance between seeds, and
    it must not count twice; it is seen in the bootstrap variance of the seeds' deviations from their mean.
    """
    alone = float(sum(group.mean(-1) for group in groups)[..., 1:].var(-1).mean())
    between = []
    for group in groups if coverage(groups) == "sentences and seeds" else ():
        pairs = group.shape[-1] * (group.shape[-1] - 1)
        deviations = group - group.mean(-1, keepdims=True)
        between.append(float((deviations[..., 0, :] ** 2).sum(-1).mean()) / pairs)
        alone -= float(deviations[..., 1:, :].var(-2).sum(-1).mean()) / pairs
    return max(alone, 0.0) * sentences / max(sentences - 1, 1), between


def select(system: System, indices: Indices) -> list[SufficientStatistics]:
    """A system's sufficient statistics of some of the sentences."""
    return [statistics[indices] for statistics in system]


def interval(system: System, metric: Metric, draws: int = DRAWS) -> Estimate:
    """The corpus score, the mean over seeds, with its 95 % confidence interval.

    It covers the choice of sentences and of seeds; with fewer than three seeds that of sentences alone.
    """
    [scores] = bootstrap_scores([system], metric, draws)
    return _Spread.of([scores[0]], len(system[0])).estimate(metric.low, metric.high)


def difference(a: System, b: System, metric: Metric, draws: int = DRAWS, swaps: int = SWAPS) -> Difference:
    """``a`` less ``b``, paired over sentences, with a 95 % confidence interval and two tests.

    ``p_bootstrap``: sacreBLEU's paired bootstrap (Koehn 2004), on absolute differences shifted by their mean. That
    makes it one-sided, and about half of what it should be: equal systems differ at 5 % in about 12 of 100 trials.
    Where the interval covers the seeds, it is the interval's two-sided t-test, as a bootstrap of three seeds would be
    far too sure. ``p_randomisation``: approximate randomisation (Riezler and Maxwell 2005), which swaps a sentence
    between the systems in all seeds at once; it speaks of these trained models, not of other seeds. Unlike in
    sacreBLEU a tie counts for chance, so that a system does not differ from itself.
    """
    one, other = (scores[0] for scores in bootstrap_scores([a, b], metric, draws))
    spread = _Spread.of([one, -other], len(a[0]))
    estimate = spread.estimate(metric.low - metric.high, metric.high - metric.low)
    if spread.covers == "sentences and seeds":
        p_bootstrap = max(spread.p_value(), 1 / (draws + 1))
    else:
        sizes = np.abs(one.mean(-1) - other.mean(-1))
        p_bootstrap = _p_value(sizes[1:] - sizes[1:].mean(), sizes[0]) if len(a[0]) > 1 else 1.0
    p_randomisation = _randomisation(np.mean(a, axis=0), np.mean(b, axis=0), metric, swaps)
    return Difference(estimate.value, estimate.low, estimate.high, estimate.covers, p_bootstrap, p_randomisation)


def _p_value(by_chance: Array, found: float) -> float:
    return (int((by_chance >= found - TIE).sum()) + 1) / (len(by_chance) + 1)


def _randomisation(a: SufficientStatistics, b: SufficientStatistics, metric: Metric, swaps: int) -> float:
    generator = np.random.default_rng(SEED)
    both = a.sum(0) + b.sum(0)
    differences = []
    for rows in _portions(swaps, len(a)):
        chosen = generator.integers(2, size=(rows, len(a)), dtype=np.bool_)
        shuffled = b.sum(0) + chosen.astype(np.float64) @ (a - b)
        differences.append(np.abs(metric.score(shuffled) - metric.score(both - shuffled)))
    found = abs(float(metric.score(a.sum(0))) - float(metric.score(b.sum(0))))
    return _p_value(np.concatenate(differences), found)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for multiple comparisons (Holm 1979), in the order given."""
    sizes = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(sizes, kind="stable")
    adjusted = np.empty_like(sizes)
    adjusted[order] = np.maximum.accumulate(np.minimum((len(sizes) - np.arange(len(sizes))) * sizes[order], 1.0))
    return list(adjusted.tolist())


def by_bucket(lengths: Sequence[int], edges: Sequence[int]) -> list[Bucket]:
    """Sentences by source length: up to the first edge, above it up to the second, …, above the last.

    The outermost buckets begin and end with the lengths that occur; buckets without a sentence are left out.
    """
    words = np.asarray(lengths)
    inner = sorted(set(edges))
    buckets = []
    for above, last in zip([-math.inf, *inner], [*inner, math.inf], strict=True):
        indices = np.flatnonzero((words > above) & (words <= last))
        if len(indices):
            first, final = max(above + 1, words.min()), min(last, words.max())
            buckets.append(Bucket(int(first), int(final), indices))
    return buckets


def growth(a: System, b: System, short: Indices, long: Indices, metric: Metric, draws: int = DRAWS) -> Change:
    """The difference ``a`` less ``b`` on long sentences less that on short ones (no sentence is both)."""
    return _changed([a, b], short, long, metric, draws).change(2 * (metric.high - metric.low))


def change(system: System, short: Indices, long: Indices, metric: Metric, draws: int = DRAWS) -> Change:
    """A system's score on long sentences less that on short ones (no sentence is both)."""
    return _changed([system], short, long, metric, draws).change(metric.high - metric.low)


def quotient(a: System, b: System, metric: Metric, draws: int = DRAWS) -> Estimate | None:
    """The score of ``a`` divided by that of ``b``, paired over sentences, with its 95 % confidence interval.

    Means over seeds and the interval are of the logarithm, so the value is a quotient of geometric means. None where a
    score is not above zero, on the test or on a bootstrap sample: the quotient then means nothing.
    """
    one, other = (scores[0] for scores in bootstrap_scores([a, b], _logarithm(metric), draws))
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    found = _Spread.of([one, -other], len(a[0])).estimate(-math.inf, math.inf)
    return Estimate(math.exp(found.value), math.exp(found.low), _exponential(found.high), found.covers)


def quotient_growth(
    a: System, b: System, short: Indices, long: Indices, metric: Metric, draws: int = DRAWS
) -> Change | None:
    """How many times the ``quotient`` on long sentences is that on short ones; None where one of the two is None."""
    found = _changed([a, b], short, long, _logarithm(metric), draws)
    if not math.isfinite(found.error):
        return None
    log = found.change(math.inf)
    return Change(math.exp(log.value), math.exp(log.low), _exponential(log.high), log.covers, log.p)


def _changed(systems: Sequence[System], short: Indices, long: Indices, metric: Metric, draws: int) -> _Spread:
    """The spread of a score, or of one system's less another's, on long sentences less that on short ones."""
    here, there = (
        bootstrap_scores([select(system, indices) for system in systems], metric, draws, seed=seed)
        for indices, seed in ((short, SEED), (long, SEED + 1))
    )
    groups = [sign * (after[0] - before[0]) for sign, before, after in zip((1, -1), here, there, strict=False)]
    if not all(np.isfinite(group).all() for group in groups):
        return _Spread(math.nan, math.nan, 1.0, coverage(groups))
    return _Spread.of(groups, min(len(short), len(long)))


def _logarithm(metric: Metric) -> Metric:
    """The logarithm of a metric, which is NaN where its score is not above zero."""

    def score(sums: SufficientStatistics) -> Array:
        scores = metric.score(sums)
        return np.log(np.where(scores > 0, scores, math.nan))

    return Metric(f"log_{metric.key}", f"log {metric.label}", score, low=-math.inf, high=math.inf)


def _exponential(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
