"""From where on one system is better than another: the source length, and the number of training pairs.

Knows scores of bootstrap samples, as ``statistics`` makes them; shapes as there, and W sliding windows or numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seq2seq.evaluation.metrics import Metric
from seq2seq.evaluation.statistics import (
    DRAWS,
    SEED,
    Array,
    Covers,
    Indices,
    System,
    bootstrap_scores,
    coverage,
    variances,
)

WINDOW = 50  # least number of sentences behind a point of the curve that `onset` follows


@dataclass(frozen=True)
class Onset:
    """The source length, in words, from which on a system stays worse, with its 95 % confidence interval.

    None means a length beyond the longest source: for ``length``, the system is worse at no length for good; for an
    end of the interval, that possibility cannot be excluded.
    """

    length: float | None
    low: float | None
    high: float | None
    from_start: bool  # worse at every length
    covers: Covers


@dataclass(frozen=True)
class Crossover:
    """The number of training pairs from which on a system is better than another, with its 95 % confidence interval.

    None means a number beyond the largest that was tried: for ``size``, the system is better at no number for good; for
    an end of the interval, that possibility cannot be excluded. The smallest that was tried stands for all below it.
    """

    size: float | None
    low: float | None
    high: float | None
    from_start: bool  # better at every number
    covers: Covers


def onset(a: System, b: System, lengths: Sequence[int], metric: Metric, margin: float = 2.0) -> Onset:
    """The source length from which on ``b`` scores less than ``a`` by more than ``margin``, at all longer ones too.

    The gap is a curve over sliding windows: each holds the 50 sentences (or a twentieth of all) nearest to a length,
    and stands at their mean length. The interval is that of the onsets in bootstrap samples of the curve, in each of
    which the mean over seeds is moved as the variance between seeds allows (by a multivariate t).
    """
    words = np.asarray(lengths)
    windows = _windows(words)
    centres = np.array([words[window].mean() for window in windows])
    groups = bootstrap_scores([a, b], metric, DRAWS, windows)
    gaps = _gaps(groups[0], groups[1], len(words), np.random.default_rng(SEED))
    length, low, high = _with_ends([_last_crossing(gap, centres, words, margin) for gap in gaps.T])
    return Onset(length, low, high, length == float(words.min()), coverage(groups))


def crossover(a: Sequence[System], b: Sequence[System], sizes: Sequence[int], metric: Metric) -> Crossover:
    """The number of training pairs from which on ``a`` scores more than ``b``, at all larger ones too.

    The gap between two numbers is interpolated on the logarithm of them. The interval is that of the crossovers in
    bootstrap samples of the test, the same sentences at every size; in each of them the mean over the seeds of each
    size is moved as the variance between its seeds allows, as in ``onset``.

    Args:
        a: the system at each size.
        b: the system at each size.
        sizes: numbers of training pairs, growing.
    """
    scores = [each for [each] in bootstrap_scores([*a, *b], metric, DRAWS)]  # (1+R, K)
    pairs = list(zip(scores[: len(sizes)], scores[len(sizes) :], strict=True))
    generator = np.random.default_rng(SEED)
    gaps = np.concatenate([_gaps(one[None], other[None], len(a[0][0]), generator) for one, other in pairs])
    places = np.log(np.asarray(sizes, np.float64))
    found = _with_ends([_last_crossing(gap, places, places, 0.0) for gap in gaps.T])
    tried = dict(zip(places.tolist(), map(float, sizes), strict=True))  # their exponentials may be off by rounding
    size, low, high = (None if each is None else tried.get(each, math.exp(each)) for each in found)
    return Crossover(size, low, high, found[0] == places[0], coverage(scores))


def _gaps(one: Array, other: Array, sentences: int, generator: np.random.Generator) -> Array:
    """One score less another (W, 1+R), the means over seeds, spread as the choice of sentences and of seeds allows."""
    gaps: Array = one.mean(-1) - other.mean(-1)
    if coverage([one, other]) == "sentences and seeds":
        alone, _ = variances([one, -other], sentences)
        resampled = float(gaps[:, 1:].var(-1).mean())
        gaps[:, 1:] = gaps[:, :1] + (gaps[:, 1:] - gaps[:, :1]) * math.sqrt(alone / resampled if resampled else 0.0)
        gaps[:, 1:] += _seed_deviations(one, generator) - _seed_deviations(other, generator)
    return gaps


def _with_ends(found: Sequence[float]) -> tuple[float | None, ...]:
    """The first crossing, and the ends of the 95 % interval of the others, of bootstrap samples; None: infinite."""
    ends = np.quantile(found[1:], [0.025, 0.975], method="inverted_cdf")
    return tuple(None if math.isinf(each) else float(each) for each in (found[0], *ends))


def _windows(words: NDArray[np.int_]) -> list[Indices]:
    enough = min(max(WINDOW, len(words) // 20), len(words))
    windows = []
    for centre in np.unique(words):
        away = np.abs(words - centre)
        windows.append(np.flatnonzero(away <= np.partition(away, enough - 1)[enough - 1]))
    return windows


def _seed_deviations(group: Array, generator: np.random.Generator) -> Array:
    """Random deviations (W, R) of the mean over seeds from its expectation, for scores (W, 1+R, K)."""
    draws, seeds = group.shape[1] - 1, group.shape[2]
    normal = generator.standard_normal((draws, seeds))
    normal -= normal.mean(-1, keepdims=True)
    return group[:, 0] @ (normal / np.sqrt(seeds * generator.chisquare(seeds - 1, (draws, 1)))).T


def _last_crossing(gap: Array, centres: Array, words: NDArray[np.int_], margin: float) -> float:
    """The length at which the gap exceeds the margin for the last time; infinite if it is within it at the end."""
    below = np.flatnonzero(gap <= margin)
    if not len(below):
        return float(words.min())
    last = below[-1]
    if last == len(gap) - 1:
        return math.inf
    share = (margin - gap[last]) / (gap[last + 1] - gap[last])
    return float(centres[last] + share * (centres[last + 1] - centres[last]))
