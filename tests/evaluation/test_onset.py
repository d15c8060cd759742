"""From which length and from which number of training pairs on a system is better, where it was put by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seq2seq.evaluation.metrics import MEAN, SufficientStatistics
from seq2seq.evaluation.onset import crossover, onset
from tests.evaluation.test_statistics import LENGTHS, PERFECT, falling


def test_the_onset_is_found_where_it_was_put() -> None:
    found = onset(PERFECT, [falling(lambda length: 100 - max(length - 20, 0))], LENGTHS, MEAN)
    assert found.length is not None and found.low is not None and found.high is not None
    assert found.length == pytest.approx(22, abs=0.5)
    assert found.low <= found.length <= found.high
    assert found.high - found.low < 1  # the gap has no noise but that of lengths within a window
    assert found.length is not None and not found.from_start


def test_a_dip_that_passes_is_no_onset() -> None:
    system = [falling(lambda length: 100 - 30 * (8 <= length <= 14) - 30 * (length >= 40))]
    found = onset(PERFECT, system, LENGTHS, MEAN)
    assert found.length is not None
    assert 36 <= found.length <= 40.5


def test_behind_from_the_start_never_and_only_in_the_middle() -> None:
    everywhere = onset(PERFECT, [falling(lambda length: 90)], LENGTHS, MEAN)
    assert (everywhere.length, everywhere.low, everywhere.high, everywhere.from_start) == (3, 3, 3, True)
    for rate_of in (lambda length: 99, lambda length: 101, lambda length: 100 - 50 * (10 < length < 40)):
        found = onset(PERFECT, [falling(rate_of)], LENGTHS, MEAN)
        assert (found.length, found.low, found.high) == (None, None, None)


def test_an_onset_that_might_as_well_not_be_has_no_upper_end() -> None:
    generator = np.random.default_rng(2)
    noisy = falling(lambda length: 100 - max(length - 30, 0) / 8)
    noisy[:, 0] += generator.normal(0, 10, len(noisy))
    found = onset(PERFECT, [noisy], LENGTHS, MEAN)
    assert found.low is not None and found.high is None


def test_the_onset_of_seeds_that_differ_is_less_sure() -> None:
    def seeds(*starts: int) -> list[SufficientStatistics]:
        return [falling(lambda length, start=start: 100 - max(length - start, 0)) for start in starts]

    alike, unlike, alone = (onset(PERFECT * 3, seeds(*s), LENGTHS, MEAN) for s in ((20,) * 3, (14, 20, 26), (14, 26)))
    assert (alike.covers, unlike.covers, alone.covers) == ("sentences and seeds", "sentences and seeds", "sentences")
    assert None not in (unlike.low, unlike.high, alike.low, alike.high, alone.low, alone.high)
    assert unlike.high - unlike.low > 8 > 2 > alike.high - alike.low  # type: ignore[operator]
    assert alone.high - alone.low < 2  # type: ignore[operator]


def test_few_sentences_make_one_window() -> None:
    found = onset([np.ones((5, 2)) * [100, 1]], [np.ones((5, 2)) * [50, 1]], [4, 9, 9, 30, 7], MEAN)
    assert found.from_start and found.length == 4


# ------------------------------------------------------------------------------------------------ training pairs

SIZES = [1_000, 10_000, 100_000]


def scored(mean: float, noise: float = 0.0, seed: int = 0, sentences: int = 200) -> SufficientStatistics:
    """Sentences whose scores have exactly this mean, and this standard deviation."""
    drawn = np.random.default_rng(seed).normal(0, 1, sentences)
    drawn = (drawn - drawn.mean()) / drawn.std() * noise
    return np.stack([mean + drawn, np.ones(sentences)], 1)


def test_a_crossover_is_interpolated_on_the_logarithm_of_the_size() -> None:
    a, b = ([[scored(mean)] for mean in means] for means in ((10.0, 20.0, 40.0), (20.0, 22.0, 30.0)))
    found = crossover(a, b, SIZES, MEAN)  # the gap goes from -2 to 10
    assert found.size == pytest.approx(10 ** (4 + 2 / 12)) and not found.from_start
    assert found.low == pytest.approx(found.size) and found.high == pytest.approx(found.size), "nothing is by chance"
    assert found.covers == "sentences"


def test_no_crossover_and_one_before_the_smallest_size() -> None:
    high, low = ([[scored(mean)]] * 3 for mean in (30.0, 20.0))
    always, never = crossover(high, low, SIZES, MEAN), crossover(low, high, SIZES, MEAN)
    assert (always.from_start, always.size) == (True, pytest.approx(1_000))
    assert (never.from_start, never.size, never.low, never.high) == (False, None, None, None)


@pytest.mark.parametrize("least", [10, 100, 1_000, 5_000, 10_000, 29_000, 100_000])
def test_a_crossover_at_a_number_that_was_tried_is_that_number(least: int) -> None:
    sizes = [least, 3 * least, 9 * least]
    high, low = ([[scored(mean)]] * 3 for mean in (30.0, 20.0))
    always = crossover(high, low, sizes, MEAN)
    assert (always.size, always.low, always.high, always.from_start) == (least, least, least, True)
    for reached in (0, 1):
        from_there = [[scored(20.0 + 10 * (n > reached))] for n in range(3)]  # as good as the other until there
        found = crossover(from_there, low, sizes, MEAN)
        assert (found.size, found.low, found.high) == (sizes[reached],) * 3


def test_the_interval_is_wider_the_noisier_the_sentences_and_the_seeds_are() -> None:
    def widths(noise: float, between: float) -> float:
        gaps = (-4.0, -1.0, 3.0)
        seeds = [[scored(50 + gap + between * n, noise, n + 9) for n in (-1, 0, 1)] for gap in gaps]
        found = crossover(seeds, [[scored(50.0)] * 3] * 3, SIZES, MEAN)
        assert found.covers == "sentences and seeds" and found.low is not None and found.high is not None
        assert found.size is not None and found.low <= found.size <= found.high
        return math.log(found.high / found.low)

    calm, noisy, seeds = widths(1.0, 0.0), widths(4.0, 0.0), widths(1.0, 0.5)
    assert calm < noisy and calm < seeds


def test_an_interval_that_reaches_beyond_the_largest_size_has_no_upper_end() -> None:
    noisy = [[scored(50 + gap, 20.0, 5)] for gap in (-4.0, -2.0, 1.0)]
    found = crossover(noisy, [[scored(50.0)]] * 3, SIZES, MEAN)
    assert found.size is not None and found.low is not None and found.high is None


def test_the_interval_covers_the_true_crossover_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        own = generator.normal(0, 8, 300)
        a = [[np.stack([50 + gap + own + generator.normal(0, 6, 300), np.ones(300)], 1)] for gap in (-3, -1, 1, 3)]
        b = [[np.stack([50 + own + generator.normal(0, 6, 300), np.ones(300)], 1)] for _ in a]
        found = crossover(a, b, [1, 10, 100, 1_000], MEAN)
        covered += (found.low or math.inf) <= 10**1.5 <= (found.high or math.inf)
    assert 88 <= covered <= 100
