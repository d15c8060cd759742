"""Sufficient statistics and tests against sacreBLEU, intervals against simulations whose truth is known."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU as SacreBLEU
from sacrebleu.metrics.chrf import CHRF as SacreCHRF
from sacrebleu.metrics.ter import TER as SacreTER
from sacrebleu.significance import PairedTest

from seq2seq.errors import UserError
from seq2seq.evaluation import statistics
from seq2seq.evaluation.failures import FAILURES
from seq2seq.evaluation.metrics import (
    BLEU,
    CHRF,
    INFORMATION,
    MEAN,
    MISSING,
    RATE,
    TER,
    Metric,
    SufficientStatistics,
    TextMetric,
    ratio,
    score,
)
from seq2seq.evaluation.statistics import (
    by_bucket,
    change,
    difference,
    growth,
    holm,
    interval,
    quotient,
    quotient_growth,
    select,
)

WORDS = ["der", "die", "das", "Hund", "Katze", "Haus", "läuft", "alt,", "klein.", "und", "<b>", "&", "„ja“", "1.000"]
THEIRS = {"BLEU": SacreBLEU, "chrF": SacreCHRF}
BOTH = pytest.mark.parametrize("metric", [BLEU, CHRF], ids=["bleu", "chrf"])
TEXT_METRICS = pytest.mark.parametrize("metric", [BLEU, CHRF, TER, *FAILURES], ids=lambda metric: metric.key)


def texts(number: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(1, 20))) for _ in range(number)]


def worsened(lines: list[str], share: float, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(w if generator.random() > share else generator.choice(WORDS) for w in x.split()) for x in lines]


REFERENCES = texts(80)
GOOD, MIDDLING, BAD = (worsened(REFERENCES, share, n) for n, share in enumerate((0.2, 0.2, 0.6), start=1))


# ------------------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("metric", "theirs", "width"),
    [(BLEU, SacreBLEU(), 10), (CHRF, SacreCHRF(), 18), (TER, SacreTER(), 2)],
    ids=["bleu", "chrf", "ter"],
)
def test_scores_of_any_sums_are_those_of_sacrebleu(metric, theirs, width: int) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(3)
    sums = generator.integers(0, 40, (400, width)).astype(float)
    sums *= generator.random(sums.shape) > generator.random((400, 1))  # from no zero at all to nothing but zeros
    sums = np.concatenate([sums, np.zeros((1, width)), np.ones((1, width)), sums[:100] * 10_000])
    expected = [theirs._compute_score_from_stats(row.astype(int).tolist()).score for row in sums]
    assert metric.score(sums) == pytest.approx(expected, abs=1e-9)
    assert metric.score(sums[:500].reshape(4, 125, width)).ravel() == pytest.approx(expected[:500], abs=1e-9)
    assert len({round(value, 3) for value in expected}) > 50


@pytest.mark.parametrize("language", ["de", "zh"])
@pytest.mark.parametrize(
    "hypotheses",
    [GOOD, BAD, REFERENCES, [""] * 80, ["zzz"] * 80, ["", *GOOD[1:40], *[" 好 不好 "] * 40]],
    ids=["good", "bad", "perfect", "empty", "no-match", "mixed"],
)
def test_corpus_scores_from_counts_are_those_of_sacrebleu(hypotheses: list[str], language: str) -> None:
    expected = score(hypotheses, REFERENCES, language, (BLEU, CHRF, TER))
    for metric in (BLEU, CHRF, TER):
        sums = metric.statistics(hypotheses, REFERENCES, language).sum(0)
        assert float(metric.score(sums)) == pytest.approx(expected[metric.key], abs=1e-9)


@TEXT_METRICS
def test_no_sentences_have_no_rows_and_score_nothing(metric: TextMetric) -> None:
    counts = metric.statistics([], [], "de", [])
    assert len(counts) == 0
    assert float(metric.score(counts.sum(0))) == 0


@TEXT_METRICS
def test_a_hypothesis_too_few_is_an_error_and_not_cut(metric: TextMetric) -> None:
    with pytest.raises(UserError, match="1 hypotheses but 2 references"):
        metric.statistics(["a"], ["a", "b"], "de", ["a", "b"])


def test_a_ratio_with_nothing_below_is_nothing() -> None:
    assert ratio(np.array([[3.0, 4.0], [0.0, 0.0], [2.0, 0.0]])).tolist() == [0.75, 0.0, 0.0]


# ------------------------------------------------------------------------------------------------ sacreBLEU's tests


@BOTH
@pytest.mark.parametrize("kind", ["bs", "ar"])
@pytest.mark.parametrize("cells", [statistics.CELLS, 80 * 96])
def test_single_runs_get_the_p_values_of_sacrebleu(
    metric: TextMetric, kind: str, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    monkeypatch.setattr(statistics, "CELLS", cells)  # also where the draws are made in portions
    named = [("a", GOOD), ("b", MIDDLING), ("c", BAD)]
    test = PairedTest(named, {"m": THEIRS[metric.label]()}, [REFERENCES], test_type=kind, n_samples=250)
    expected = next(results for name, results in test()[1].items() if name != "System")
    a, *others = (metric.statistics(lines, REFERENCES, "de") for _, lines in named)
    for other, theirs in zip(others, expected[1:], strict=True):
        ours = difference([other], [a], metric, draws=250, swaps=250)
        assert ours.value == pytest.approx(theirs.score - expected[0].score, abs=1e-9)
        assert (ours.p_bootstrap if kind == "bs" else ours.p_randomisation) == pytest.approx(theirs.p_value, abs=1e-12)
        assert ours.covers == "sentences"
    assert 0.01 < expected[1].p_value < 1 and expected[2].p_value < 0.01


@BOTH
def test_a_system_does_not_differ_from_itself(metric: TextMetric) -> None:
    counts = metric.statistics(GOOD, REFERENCES, "de")
    for system in ([counts], [counts, counts], [counts] * 3):
        found = difference(system, system, metric)
        assert (found.value, found.low, found.high, found.p_bootstrap, found.p_randomisation) == (0, 0, 0, 1, 1)


@BOTH
def test_one_sentence_that_differs_proves_nothing(metric: TextMetric) -> None:
    a = metric.statistics(GOOD, REFERENCES, "de")
    b = metric.statistics([REFERENCES[0], *GOOD[1:]], REFERENCES, "de")
    found = difference([b], [a], metric)
    assert found.value > 0
    assert found.p_randomisation == 1


@BOTH
def test_one_sentence_alone_proves_nothing(metric: TextMetric) -> None:
    a, b = (metric.statistics([line], ["die Katze sieht das Haus"], "de") for line in ("die Katze sieht", "das Haus"))
    found = difference([a], [b], metric)
    assert (found.low, found.high, found.p_bootstrap, found.p_randomisation) == (-100, 100, 1, 1)
    assert (interval([a], metric).low, interval([a], metric).high) == (0, 100)


# ------------------------------------------------------------------------------------------- intervals by hand


def constant(rate: float, sentences: int = 40) -> SufficientStatistics:
    """Sentences that are all alike: nothing hangs on which are drawn."""
    return np.tile([10 * rate, 10.0], (sentences, 1))


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (2, 4.303), (4, 2.776), (29, 2.045), (1e4, 1.960)])
def test_student_is_that_of_the_tables(freedom: float, expected: float) -> None:
    spread = statistics._Spread(0.0, 1.0, freedom, "sentences")
    assert spread.estimate(-math.inf, math.inf).high == pytest.approx(expected, abs=6e-4)
    assert statistics._Spread(-expected, 1.0, freedom, "sentences").p_value() == pytest.approx(0.05, abs=1e-4)


def test_where_only_seeds_differ_the_interval_is_students_of_the_seeds() -> None:
    found = interval([constant(rate) for rate in (0.4, 0.5, 0.9)], MEAN)
    arm = 4.303 * np.std([0.4, 0.5, 0.9], ddof=1) / math.sqrt(3)
    assert found.value == pytest.approx(0.6)
    assert (found.low, found.high) == pytest.approx((0.6 - arm, 0.6 + arm), abs=1e-3) or found.low == 0
    assert found.high == pytest.approx(0.6 + arm, abs=1e-3)
    assert found.covers == "sentences and seeds"
    assert interval([constant(rate) for rate in (0.4, 0.5, 0.9)], RATE).high == 1.0  # a rate ends at one


def test_two_seeds_cover_sentences_alone() -> None:
    found = interval([constant(0.4), constant(0.6)], MEAN)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert found.covers == "sentences"
    assert difference([constant(0.4)] * 3, [constant(0.4)] * 2, MEAN).covers == "sentences"


def test_one_seed_of_plain_means_gets_the_textbook_interval() -> None:
    values = np.random.default_rng(0).normal(5, 2, 200)
    found = interval([np.stack([values, np.ones(200)], axis=1)], MEAN, draws=4_000)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(1.972 * values.std(ddof=1) / math.sqrt(200), rel=0.04)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_nothing_hangs_on_the_order_of_calls_or_of_seeds() -> None:
    seeds = [BLEU.statistics(worsened(REFERENCES, 0.3, n), REFERENCES, "de") for n in range(3)]
    other = [CHRF.statistics(BAD, REFERENCES, "de")]
    first = interval(seeds, BLEU)
    interval(other, CHRF)
    difference(seeds, seeds[:1], BLEU)
    assert interval(seeds, BLEU) == first
    turned = interval(seeds[::-1], BLEU)
    assert (turned.value, turned.low, turned.high) == pytest.approx((first.value, first.low, first.high))


def test_a_difference_turned_round_changes_its_sign_alone() -> None:
    a, b = ([BLEU.statistics(worsened(REFERENCES, s, n), REFERENCES, "de") for n in range(3)] for s in (0.2, 0.4))
    there, back = difference(a, b, BLEU), difference(b, a, BLEU)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert (there.p_bootstrap, there.p_randomisation) == pytest.approx((back.p_bootstrap, back.p_randomisation))
    assert there.low > 0 and there.value == pytest.approx(interval(a, BLEU).value - interval(b, BLEU).value)


def test_with_seeds_enough_the_p_value_and_the_interval_say_the_same() -> None:
    said = set()
    generator = np.random.default_rng(1)
    base = generator.random(60)
    for shift in np.linspace(0, 0.2, 15):
        a, b = (
            [
                np.stack([base + generator.normal(up, 0.1, 60) + generator.normal(0, 0.02), np.ones(60)], 1)
                for _ in "123"
            ]
            for up in (shift, 0)
        )
        found = difference(a, b, MEAN, draws=200, swaps=32)
        assert (found.p_bootstrap < 0.05) == (found.low > 0 or found.high < 0)
        said.add(found.p_bootstrap < 0.05)
    assert said == {True, False}


# ---------------------------------------------------------------------------------------------------- simulations

SIMULATED, SENTENCES = 1_000, 80
FEWER = pytest.mark.parametrize("simulated", [300, pytest.param(SIMULATED, marks=pytest.mark.slow)])


def qualities(
    generator: np.random.Generator, sentences: int, seeds: NDArray[np.float64], own: float
) -> SufficientStatistics:
    """How well each seed's sentences are translated, (N, K): a sentence's share, a seed's, and one of both."""
    together = 0.6 + generator.normal(0, 0.15, (sentences, 1)) + seeds
    return np.clip(together + generator.normal(0, own, (sentences, len(seeds))), 0.02, 0.98)


def means(generator: np.random.Generator, quality: SufficientStatistics) -> list[SufficientStatistics]:
    """Something like NLL: a sum over a sentence's words, and the words."""
    words = generator.integers(4, 40, len(quality))
    return [np.stack([generator.gamma(30, q * words / 30), words], axis=1) for q in quality.T]


def matches(
    generator: np.random.Generator, quality: SufficientStatistics, lengths: NDArray[np.int_] | None = None
) -> list[SufficientStatistics]:
    """Something like BLEU: matches of n-grams that grow rarer with n, and outputs about as long as the reference."""
    references = generator.integers(6, 40, len(quality)) if lengths is None else lengths
    words = references + generator.integers(-2, 3, len(quality))
    ngrams = words[:, None] - np.arange(4)
    columns = [words[:, None], references[:, None]]
    return [
        np.concatenate([*columns, generator.binomial(ngrams, q[:, None] ** [1, 1.8, 2.6, 3.4]), ngrams], axis=1) * 1.0
        for q in quality.T
    ]


def cases(*ordinary: str) -> list[object]:
    """Every number of seeds with every metric; those that are not named are in the slow suite."""
    found = []
    for name, seeds, between in (("one-seed", 1, 0.0), ("seeds-alike", 3, 0.004), ("seeds-as-sentences", 3, 0.02)):
        for of, make, metric in (("mean", means, MEAN), ("bleu", matches, BLEU)):
            marks = [pytest.mark.slow] * (f"{name}-{of}" not in ordinary)
            found.append(pytest.param(seeds, between, 0.1, make, metric, id=f"{name}-{of}", marks=marks))
    return found


@pytest.mark.parametrize(
    ("seeds", "between", "own", "make", "metric"), cases("one-seed-mean", "seeds-as-sentences-bleu")
)
def test_intervals_cover_the_truth_as_often_as_they_say(make, metric: Metric, seeds: int, between: float, own: float):  # type: ignore[no-untyped-def]
    """The truth: the mean over many seeds of the score on very many sentences."""
    generator = np.random.default_rng(5)
    truths = []
    for middle in np.quantile(generator.normal(0, between, 20_000), (np.arange(21) + 0.5) / 21):
        [many] = make(generator, qualities(generator, 20_000, np.array([middle]), own))
        truths.append(float(metric.score(many.sum(0))))
    truth, covered = np.mean(truths), 0
    for _ in range(SIMULATED):
        system = make(generator, qualities(generator, SENTENCES, generator.normal(0, between, seeds), own))
        found = interval(system, metric, draws=250)
        covered += found.low <= truth <= found.high
    assert found.covers == ("sentences and seeds" if seeds == 3 else "sentences")
    assert covered / SIMULATED == pytest.approx(0.95, abs=0.02)


STUDY = {(6, 10): 449, (41, 60): 126}
"""Source lengths and sizes of the outermost buckets of a study's test of 1,000 sentences; from six words on there are
4-grams. Growth looks at no other."""
ENDS = np.arange(449), np.arange(449, 449 + 126)


def study_lengths(generator: np.random.Generator, sizes: dict[tuple[int, int], int]) -> NDArray[np.int_]:
    return np.concatenate([generator.integers(low, high + 1, size) for (low, high), size in sizes.items()])


def translated(
    generator: np.random.Generator, lengths: NDArray[np.int_], seeds: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> list[list[SufficientStatistics]]:
    """A system that holds its quality and one that loses it with length; hard sentences are hard for both."""
    hard, systems = generator.normal(0, 0.12, (len(lengths), 1)), []
    for level, of_seeds in zip((np.full(len(lengths), 0.9), 0.35 + 0.55 * np.exp(-lengths / 12)), seeds, strict=True):
        quality = level[:, None] + hard + of_seeds + generator.normal(0, 0.08, (len(lengths), len(of_seeds)))
        systems.append(matches(generator, np.clip(quality, 0.02, 0.98), lengths))
    return systems


def informed(
    generator: np.random.Generator, lengths: NDArray[np.int_], seeds: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> list[list[SufficientStatistics]]:
    """Nats that two systems take from sources, with the tokens: the second takes the smaller share of long ones."""
    there, systems = generator.gamma(8, lengths * 2.5 / 8)[:, None], []
    for level, of_seeds in zip((np.full(len(lengths), 0.95), 0.3 + 0.5 * np.exp(-lengths / 20)), seeds, strict=True):
        taken = there * (level[:, None] + of_seeds) + generator.normal(0, 2, (len(lengths), len(of_seeds)))
        systems.append([np.stack([nats, lengths + 1.0], axis=1) for nats in taken.T])
    return systems


@pytest.mark.parametrize(
    "between",
    [pytest.param(0.004, id="seeds-alike", marks=pytest.mark.slow), pytest.param(0.02, id="seeds-apart")],
)
@FEWER
def test_intervals_of_growth_cover_the_truth_at_the_sizes_of_a_study(between: float, simulated: int) -> None:
    """Three seeds. The truth: the mean over many seeds on very many sentences."""
    generator = np.random.default_rng(11)
    many = study_lengths(generator, dict.fromkeys(STUDY, 20_000))
    quantiles = np.quantile(generator.normal(0, between, 20_000), (np.arange(21) + 0.5) / 21)
    pairs = list(zip(*translated(generator, many, (quantiles, quantiles)), strict=True))
    short, long = (
        np.mean([BLEU.score(one[part].sum(0)) - BLEU.score(other[part].sum(0)) for one, other in pairs])
        for part in (slice(20_000), slice(20_000, None))
    )
    covered = 0
    for _ in range(simulated):
        seeds = generator.normal(0, between, 3), generator.normal(0, between, 3)
        found = growth(*translated(generator, study_lengths(generator, STUDY), seeds), *ENDS, BLEU, draws=160)
        covered += found.low <= long - short <= found.high
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    assert found.covers == "sentences and seeds" and long - short > 10
    assert covered / simulated == pytest.approx(0.95, abs=0.02)


@FEWER
def test_intervals_of_a_quotient_and_of_its_growth_cover_the_truth_at_the_sizes_of_a_study(simulated: int) -> None:
    generator = np.random.default_rng(12)
    many = study_lengths(generator, dict.fromkeys(STUDY, 100_000))
    [a], [b] = informed(generator, many, (np.zeros(1), np.zeros(1)))
    short, long = (float(b[n].sum(0)[0] / a[n].sum(0)[0]) for n in (slice(100_000), slice(100_000, None)))
    covered = np.zeros(2)
    for _ in range(simulated):
        seeds = generator.normal(0, 0.01, 3), generator.normal(0, 0.01, 3)
        one, other = informed(generator, study_lengths(generator, STUDY), seeds)
        on_long = quotient(select(other, ENDS[1]), select(one, ENDS[1]), INFORMATION, draws=160)
        fallen = quotient_growth(other, one, *ENDS, INFORMATION, draws=160)
        assert on_long is not None and fallen is not None and fallen.high < 1 and fallen.p < 0.05
        covered += on_long.low <= long <= on_long.high, fallen.low <= long / short <= fallen.high
    assert covered / simulated == pytest.approx(0.95, abs=0.02)


# ---------------------------------------------------------------------------------------------------------- holm


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


# ------------------------------------------------------------------------------------------------ source lengths


def test_buckets_begin_and_end_where_the_lengths_do() -> None:
    lengths = [*range(3, 61)] * 2
    buckets = by_bucket(lengths, [10, 20, 30, 40])
    assert [bucket.name for bucket in buckets] == ["3–10", "11–20", "21–30", "31–40", "41–60"]
    assert sorted(n for bucket in buckets for n in bucket.indices) == list(range(len(lengths)))
    assert all(bucket.first <= lengths[n] <= bucket.last for bucket in buckets for n in bucket.indices)
    assert [bucket.small for bucket in buckets] == [True, True, True, True, False]


def test_empty_buckets_are_left_out() -> None:
    buckets = by_bucket([5, 25, 25, 0], [20, 10, 100])
    assert [(bucket.name, bucket.indices.tolist()) for bucket in buckets] == [("0–10", [0, 3]), ("21–25", [1, 2])]
    assert [bucket.name for bucket in by_bucket([7, 7], [10])] == ["7"]
    assert by_bucket([], [10]) == []


LENGTHS = [length for length in range(3, 61) for _ in range(12)]


def falling(rate_of) -> SufficientStatistics:  # type: ignore[no-untyped-def]
    """Sentences of LENGTHS with as many points of a hundred as ``rate_of`` their length says."""
    return np.array([[rate_of(length), 1.0] for length in LENGTHS])


PERFECT = [falling(lambda length: 100)]


def test_growth_by_hand_and_with_seeds() -> None:
    short, long = ([n for n, length in enumerate(LENGTHS) if length in span] for span in (range(3, 11), range(41, 61)))
    worse = [falling(lambda length: 98 if length < 20 else 40)]
    found = growth(PERFECT, worse, short, long, MEAN)
    assert (found.value, found.low, found.high) == pytest.approx((58, 58, 58))
    three = [falling(lambda length, end=end: 98 if length < 20 else end) for end in (30, 40, 50)]
    found = growth(PERFECT * 3, three, short, long, MEAN)
    assert found.value == pytest.approx(58)
    assert found.high - found.value == pytest.approx(4.303 * 10 / math.sqrt(3), rel=0.25)  # some of it certain: PERFECT
    assert found.low > 0 and found.covers == "sentences and seeds"


def test_growth_that_is_not_there_is_not_claimed() -> None:
    half = len(LENGTHS) // 2
    claimed = 0
    for n in range(20):
        noise = np.random.default_rng(n).normal(50, 10, (2, len(LENGTHS)))
        a, b = (np.stack([values, np.ones(len(LENGTHS))], axis=1) for values in noise)
        found = growth([a], [b], np.arange(half), np.arange(half, 2 * half), MEAN)
        claimed += found.low > 0 or found.high < 0
    assert claimed <= 3
    assert found.high - found.value == pytest.approx(1.96 * math.sqrt(4 * 100 / half), rel=0.15)  # of four means


def test_the_growth_of_one_system_alone_is_its_own_change() -> None:
    short, long = np.arange(200), np.arange(400, 600)
    system = [falling(lambda length: 100 - length), falling(lambda length: 90 - length)]
    found = change(system, short, long, MEAN)
    assert found.value == pytest.approx(np.mean(LENGTHS[:200]) - np.mean(LENGTHS[400:600]))
    assert found.low < found.value < found.high < 0 and found.p < 0.001


def test_a_quotient_by_hand_is_of_geometric_means() -> None:
    found = quotient([constant(0.2), constant(0.8)], [constant(0.5)], MEAN)
    assert found is not None and (found.value, found.low, found.high) == pytest.approx((0.8, 0.8, 0.8))
    three = quotient([constant(rate) for rate in (0.2, 0.4, 0.8)], [constant(0.8)] * 3, MEAN)
    assert three is not None and three.value == pytest.approx(0.5) and three.covers == "sentences and seeds"
    arm = 4.303 * math.log(2) / math.sqrt(3)
    assert (three.low, three.high) == pytest.approx((0.5 / math.exp(arm), 0.5 * math.exp(arm)), rel=1e-3)


def test_a_quotient_of_what_is_not_above_zero_is_none() -> None:
    perfect, other = (BLEU.statistics(lines, REFERENCES, "de") for lines in (REFERENCES, MIDDLING))
    assert quotient([other], [perfect], MISSING) is None  # nothing is missing of 100
    assert quotient_growth([other], [perfect], np.arange(40), np.arange(40, 80), MISSING) is None
    behind = np.array([[-1.0, 5.0]] * 40)  # a model that the source only misleads
    assert quotient([constant(0.5)], [behind], INFORMATION) is None
    assert quotient([constant(0.5, 1)], [constant(0.5, 1)], MEAN) == quotient(
        [constant(0.2, 1)], [constant(0.2, 1)], MEAN
    )


def test_the_growth_of_a_quotient_by_hand() -> None:
    both = np.concatenate([constant(0.8), constant(0.2)])
    found = quotient_growth(
        [both] * 3, [np.concatenate([constant(0.8)] * 2)] * 3, np.arange(40), np.arange(40, 80), MEAN
    )
    assert found is not None and (found.value, found.p) == pytest.approx((0.25, 0.0), abs=1e-6)
    same = quotient_growth([both], [both], np.arange(40), np.arange(40, 80), MEAN)
    assert same is not None and (same.value, same.low, same.high, same.p) == pytest.approx((1, 1, 1, 1))
