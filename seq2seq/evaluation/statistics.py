"""How sure a figure is: intervals, paired tests, and where one system falls behind another.

Knows counts and chance; knows no text. A system is a list over its seeds of counts (N, k), and all systems are over
the same N sentences. Every draw comes from generators seeded here, with sacreBLEU's seed: the same numbers whenever
and in whatever order they are asked for, and for single runs the very draws of sacreBLEU's paired tests.

Shapes: N sentences, K seeds, R resampled sets of sentences, W windows of source length, k counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seq2seq.evaluation.metrics import Metric, SufficientStatistics

System = Sequence[SufficientStatistics]
Array = NDArray[np.float64]
Covers = Literal["sentences and seeds", "sentences"]
Indices = NDArray[np.intp]

SEED = 12345  # sacreBLEU's
DRAWS = 1_000  # bootstrap
SWAPS = 2_000  # approximate randomisation
SEEDS = 3  # with fewer, an interval covers sentences alone
SMALL = 30  # with fewer sentences, a bucket is too small to speak
WINDOW = 50  # sentences at least behind every point of the curve in which `onset` looks
CELLS = 1 << 22  # of a matrix of draws at a time (32 MB)
TIE = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A figure, the mean over seeds, with its 95 % interval."""

    value: float
    low: float
    high: float
    covers: Covers


@dataclass(frozen=True)
class Difference(Estimate):
    """One system's figure less another's."""

    p_bootstrap: float
    p_randomisation: float


@dataclass(frozen=True)
class Bucket:
    """The sentences with ``first`` to ``last`` words in the source."""

    first: int
    last: int
    indices: Indices

    @property
    def small(self) -> bool:
        """Whether there are too few sentences to speak."""
        return len(self.indices) < SMALL

    @property
    def name(self) -> str:
        """For example 11–20."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True)
class Onset:
    """The source length from which on a system stays behind, in words, with its 95 % interval.

    None stands for "at no length that was seen": as ``length`` it never falls behind for good, as ``high`` (or
    ``low``) that cannot be ruled out. ``from_start``: it is behind at every length.
    """

    length: float | None
    low: float | None
    high: float | None
    never: bool
    from_start: bool
    covers: Covers


# ---------------------------------------------------------------------------------------------------- resampling


def _weights(number: int, draws: int, seed: int) -> Iterator[Array]:
    """How often each of N sentences is in each set (…, N): first all of them once, then the R resampled sets."""
    generator = np.random.default_rng(seed)
    yield np.ones((1, number))
    for rows in _portions(draws, number):
        picks = generator.choice(number, size=(rows, number), replace=True) + number * np.arange(rows)[:, None]
        yield np.bincount(picks.ravel(), minlength=rows * number).reshape(rows, number).astype(np.float64)


def _portions(draws: int, number: int) -> Iterator[int]:
    """Rows to draw at a time; multiples of 32, for bits come in words of 32 and the rest of a word would be lost."""
    most = max(CELLS // number // 32, 1) * 32
    for start in range(0, draws, most):
        yield min(most, draws - start)


def _scores(
    systems: Sequence[System],
    metric: Metric,
    draws: int,
    windows: Sequence[Indices | slice] = (slice(None),),
    seed: int = SEED,
) -> list[Array]:
    """Of each system, the scores of all sentences and of each resampled set, the same sets for all: (W, 1+R, K)."""
    columns = np.concatenate([counts for system in systems for counts in system], axis=1)
    width = systems[0][0].shape[1]
    parts = []
    for weights in _weights(len(columns), draws, seed):
        sums = (weights[:, window] @ columns[window] for window in windows)
        parts.append([metric.score(each.reshape(len(weights), -1, width)) for each in sums])
    scores = np.concatenate(parts, axis=1)
    return np.split(scores, np.cumsum([len(system) for system in systems])[:-1], axis=-1)


# ----------------------------------------------------------------------------------------------------- intervals


def _student(freedom: float) -> tuple[Array, Array]:
    """Student's t as angles θ with t = √freedom · tan θ, and the probability of a smaller angle in absolute value."""
    angles = np.linspace(0, math.pi / 2, 10_001)
    density = np.cos(angles) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return angles, below / below[-1]


@dataclass(frozen=True)
class _Spread:
    """A figure's standard error and degrees of freedom, and what they cover."""

    value: float
    error: float
    freedom: float
    covers: Covers

    @classmethod
    def of(cls, groups: Sequence[Array], sentences: int) -> _Spread:
        """Of the sum of the groups' means over seeds, where a group is scores (1+R, K) of all and of resampled sets.

        Satterthwaite's degrees of freedom, but with the seeds' variance counted twice in them: estimated from three
        seeds it is often far too small, and that would pass for certainty.
        """
        alone, between = _variances(groups, sentences)
        freedoms = [max(sentences - 1, 1), *(group.shape[-1] - 1 for group in groups)]
        shares = [alone, *(2 * variance for variance in between)]
        squares = sum(share**2 / freedom for share, freedom in zip(shares, freedoms, strict=False))
        freedom = min(sum(shares) ** 2 / squares, 1e4) if squares else 1.0
        error = math.sqrt(alone + sum(between)) if sentences > 1 else math.inf
        value = sum(float(group[0].mean()) for group in groups)
        return cls(value, error, freedom, _coverage(groups))

    def estimate(self, low: float, high: float) -> Estimate:
        """The interval, within the figure's range."""
        angles, below = _student(self.freedom)
        arm = self.error * math.sqrt(self.freedom) * math.tan(np.interp(0.95, below, angles))
        return Estimate(self.value, max(self.value - arm, low), min(self.value + arm, high), self.covers)

    def p_value(self) -> float:
        """Of no difference, two-sided."""
        if self.error == 0:
            return float(abs(self.value) <= TIE)
        angles, below = _student(self.freedom)
        angle = math.atan(abs(self.value) / self.error / math.sqrt(self.freedom))
        return 1 - float(np.interp(angle, angles, below))


def _coverage(groups: Sequence[Array]) -> Covers:
    return "sentences and seeds" if all(group.shape[-1] >= SEEDS for group in groups) else "sentences"


def _variances(groups: Sequence[Array], sentences: int) -> tuple[float, list[float]]:
    """What the choice of sentences alone adds to the variance of the groups' sum, and what each group's seeds add.

    Groups are scores (..., 1+R, K); where there are windows in front, the mean over them. The bootstrap of the means
    over seeds also holds that sentences fare differently under each seed; so does the variance between seeds, and it
    must not count twice. It is seen in how the seeds' deviations from their mean vary when they are resampled.
    """
    alone = float(sum(group.mean(-1) for group in groups)[..., 1:].var(-1).mean())
    between = []
    for group in groups if _coverage(groups) == "sentences and seeds" else ():
        pairs = group.shape[-1] * (group.shape[-1] - 1)
        deviations = group - group.mean(-1, keepdims=True)
        between.append(float((deviations[..., 0, :] ** 2).sum(-1).mean()) / pairs)
        alone -= float(deviations[..., 1:, :].var(-2).sum(-1).mean()) / pairs
    return max(alone, 0.0) * sentences / max(sentences - 1, 1), between


def interval(system: System, metric: Metric, draws: int = DRAWS) -> Estimate:
    """The mean over seeds of the corpus figure, with a 95 % interval.

    It covers the choice of sentences and of seeds together, or with fewer than three seeds that of sentences alone.
    """
    [scores] = _scores([system], metric, draws)
    return _Spread.of([scores[0]], len(system[0])).estimate(metric.low, metric.high)


# -------------------------------------------------------------------------------------------------------- tests


def difference(a: System, b: System, metric: Metric, draws: int = DRAWS, swaps: int = SWAPS) -> Difference:
    """``a`` less ``b``, paired over sentences, with a 95 % interval and the p-values of two tests.

    ``p_bootstrap`` is that of sacreBLEU's paired bootstrap: of the absolute differences of resampled sets, shifted by
    their mean, which makes it one-sided and about half of what it should be (no difference passes for one at 5 % in
    about 12 of 100 trials). Where the interval covers the seeds too, it is that of the interval's t, two-sided, since
    a bootstrap of three seeds would be far too sure. ``p_randomisation`` swaps sentences between the systems, all
    seeds of a sentence together: it speaks of these trained models, not of other seeds. Unlike in sacreBLEU, a tie
    speaks for chance: a system does not differ from itself.
    """
    one, other = (scores[0] for scores in _scores([a, b], metric, draws))
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


def _randomisation(a: Array, b: Array, metric: Metric, swaps: int) -> float:
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
    """p-values adjusted for how many there are (Holm 1979), in their own order."""
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, n in enumerate(order):
        largest = max(largest, min((len(p_values) - rank) * p_values[n], 1.0))
        adjusted[n] = largest
    return adjusted


# ------------------------------------------------------------------------------------------------ source lengths


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


def growth(
    a: System, b: System, short: Sequence[int] | Indices, long: Sequence[int] | Indices, metric: Metric
) -> Estimate:
    """By how much ``a`` less ``b`` is larger on the long sentences than on the short ones (no sentence is both)."""
    groups = []
    of_short = _scores([[counts[short] for counts in system] for system in (a, b)], metric, DRAWS)
    of_long = _scores([[counts[long] for counts in system] for system in (a, b)], metric, DRAWS, seed=SEED + 1)
    for sign, on_long, on_short in zip((1, -1), of_long, of_short, strict=True):
        groups.append(sign * (on_long[0] - on_short[0]))
    reach = 2 * (metric.high - metric.low)
    return _Spread.of(groups, min(len(short), len(long))).estimate(-reach, reach)


def onset(
    a: System, b: System, lengths: Sequence[int], metric: Metric, margin: float = 2.0, draws: int = DRAWS
) -> Onset:
    """From which source length on ``b`` is behind ``a`` by more than ``margin``, and stays so for all longer ones.

    The gap is a curve over windows that slide over the lengths; each holds the 50 sentences (or a twentieth of all)
    nearest to its centre and stands at their mean length. The interval is of the curve's resampled sets of
    sentences, in each of which the seeds' mean strays as three seeds say that it may (by a multivariate t).
    """
    words = np.asarray(lengths)
    windows = _windows(words)
    centres = np.array([words[window].mean() for window in windows])
    groups = _scores([a, b], metric, draws, windows)
    gaps = groups[0].mean(-1) - groups[1].mean(-1)  # (W, 1+R)
    covers = _coverage(groups)
    if covers == "sentences and seeds":
        generator = np.random.default_rng(SEED)
        alone, _ = _variances([groups[0], -groups[1]], len(words))
        resampled = float(gaps[:, 1:].var(-1).mean())
        gaps[:, 1:] = gaps[:, :1] + (gaps[:, 1:] - gaps[:, :1]) * math.sqrt(alone / resampled if resampled else 0.0)
        gaps[:, 1:] += _straying(groups[0], generator) - _straying(groups[1], generator)
    found = [_crossing(gap, centres, words, margin) for gap in gaps.T]
    low, high = np.quantile(found[1:], [0.025, 0.975], method="inverted_cdf")
    length = found[0]
    first = float(words.min())
    return Onset(_seen(length), _seen(low), _seen(high), math.isinf(length), length == first, covers)


def _windows(words: NDArray[np.int_]) -> list[Indices]:
    enough = min(max(WINDOW, len(words) // 20), len(words))
    windows = []
    for centre in np.unique(words):
        away = np.abs(words - centre)
        windows.append(np.flatnonzero(away <= np.partition(away, enough - 1)[enough - 1]))
    return windows


def _straying(group: Array, generator: np.random.Generator) -> Array:
    """By how much the mean over seeds of scores (W, 1+R, K) might be another one: (W, R)."""
    draws, seeds = group.shape[1] - 1, group.shape[2]
    normal = generator.standard_normal((draws, seeds))
    normal -= normal.mean(-1, keepdims=True)
    return group[:, 0] @ (normal / np.sqrt(seeds * generator.chisquare(seeds - 1, (draws, 1)))).T


def _crossing(gap: Array, centres: Array, words: NDArray[np.int_], margin: float) -> float:
    """The length at which the gap exceeds the margin for the last time; infinite where it ends below."""
    below = np.flatnonzero(gap <= margin)
    if not len(below):
        return float(words.min())
    last = below[-1]
    if last == len(gap) - 1:
        return math.inf
    share = (margin - gap[last]) / (gap[last + 1] - gap[last])
    return float(centres[last] + share * (centres[last + 1] - centres[last]))


def _seen(length: float) -> float | None:
    return None if math.isinf(length) else float(length)
