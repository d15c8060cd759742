"""Turns, failures on the way, and the arithmetic of spreads and ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.bench import plan, rounds
from scripts.bench.context import Bench
from scripts.bench.figures import ratio, record_of, spread
from scripts.bench.parts import training
from scripts.bench.worker import Row


def test_everybody_works_in_turns_and_the_warm_up_is_dropped(fake: Callable[..., Row]) -> None:
    rows = [fake(contender="ours"), fake(contender="peer", sleep=0.03, recomputed=2.1)]
    rounds.measure(rows, rounds=3, seconds=0.1, at_once=2)
    assert [len(row.slices) for row in rows] == [3, 3]
    assert all(row.failed is None and row.warmup["first_update_seconds"] > 0 for row in rows)
    ours, peer = map(record_of, rows)
    assert ours["check"]["same"] is True and peer["check"]["same"] is False
    assert ours["tokens_per_second"]["median"] > 1.5 * peer["tokens_per_second"]["median"]


def test_a_peer_that_fails_is_named_and_the_others_go_on(fake: Callable[..., Row]) -> None:
    breaks = """
    channel.ready("1", 1)
    for n, batch in enumerate(channel.batches(itertools.repeat(5), lambda batch: batch)):
        time.sleep(0.01)
        if n == 12:
            raise RuntimeError("out of luck")
    """
    rows = [
        fake(contender="ours"),
        fake(breaks, contender="breaks"),
        fake('channel.fail("never begins")', contender="never"),
    ]
    rounds.measure(rows, rounds=3, seconds=0.08)
    assert [row.failed for row in rows] == [None, "RuntimeError: out of luck", "never begins"]
    assert len(rows[0].slices) == 3
    assert record_of(rows[2])["tokens_per_second"] is None


def test_a_slice_that_was_disturbed_is_made_again(fake: Callable[..., Row], monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.9, 0.5, 0.0, 0.4, 0.0, 0.02])  # warm-up; not quiet, quiet, disturbed, quiet, a good slice
    monkeypatch.setattr(rounds.Contention, "share", lambda self: next(shares))
    rows = [fake(contender="ours")]
    rounds.measure(rows, rounds=1, seconds=0.02, checks=False, quiet=30)
    assert rows[0].warmup["taken"] == 0.9  # nobody waits for a warm-up
    assert [one["taken"] for one in rows[0].slices] == [0.02]


@pytest.mark.slow
def test_who_is_far_behind_and_takes_long_is_left_at_one_slice(fake: Callable[..., Row]) -> None:
    rows = [
        fake(contender="ours", sleep=0.02),
        fake(contender="slow", sleep=0.5),
        fake(contender="half", sleep=0.04),
    ]
    rounds.measure(rows, rounds=2, seconds=0.2, checks=False, longest=0.3)
    assert [len(row.slices) for row in rows] == [2, 1, 2]
    ours, slow, _ = map(record_of, rows)
    assert slow["failed"] is None and slow["notes"][-1] == "one slice alone, its first: too slow to wait for more"
    assert ratio(ours["rates"], slow["rates"]) is not None

    rows = [fake(contender="ours", sleep=0.02), fake(contender="slow", sleep=0.5)]
    rounds.measure(rows, rounds=2, seconds=0.2, checks=False)
    assert [len(row.slices) for row in rows] == [2, 2]


def test_our_default_is_not_measured_twice(fake: Callable[..., Row]) -> None:
    body = """
    channel.ready("1", 1, precision="bf16" if channel.spec["auto"] else channel.spec["named"])
    for batch in channel.batches(itertools.repeat(5), lambda batch: batch):
        time.sleep(0.01)
    """
    rows = [
        fake(body, "ours", "auto", auto=True),
        fake(body, "ours", "fp32", auto=False, named="fp32"),
        fake(body, "ours", "bf16", auto=False, named="bf16"),
    ]
    rounds.measure(rows, rounds=1, seconds=0.05, checks=False)
    assert [len(row.slices) for row in rows] == [1, 1, 0]
    assert rows[2].failed == "same as auto"


def test_spread_and_ratio() -> None:
    assert spread([]) is None
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    ratios = ratio([2.0, 9.0, 4.0], [1.0, 3.0, 2.0, 5.0])  # round by round; a round without a partner is left out
    assert ratios == {"median": 2.0, "min": 2.0, "max": 3.0}
    assert ratio([], [1.0]) is None


def row(contender: str, precision: str, *rates: float, asked: str | None = None) -> dict[str, object]:
    about = {"contender": contender, "precision": precision, "asked": asked or precision, "failed": None}
    return {**about, "rates": list(rates), "tokens_per_second": spread(rates)}


def test_the_ratios_that_the_issue_asks_for() -> None:
    rows = [
        row("ours", "bf16", 30.0, 32.0, 28.0, asked="auto"),
        row("ours", "fp32", 20.0, 20.0, 20.0),
        row("tutorial", "fp32", 10.0, 10.0, 10.0),
        row("tutorial", "bf16", 8.0, 8.0, 8.0),
        row("eole", "bf16", 15.0, 16.0, 14.0),
        row("joeynmt", "fp32"),
        {**row("marian", "bf16", 99.0), "failed": "ended in its second round"},
        {**row("marian", "fp32", 98.0), "check": {"same": False}},  # it minimises something else
    ]
    case = plan.TRAIN_CASES[2]
    best, fp32, both, tutorial, framework = training.ratios(case, rows)
    assert best["against"] == framework["against"] == "eole bf16"
    assert best["ratio"]["median"] == pytest.approx(2.0) and best["reached"] is False
    assert fp32["against"] == tutorial["against"] == "tutorial fp32"
    assert tutorial["ratio"]["median"] == pytest.approx(3.0) and tutorial["reached"] is True
    assert both["ours"] == "ours fp32" and both["ratio"]["median"] == pytest.approx(2.0)


def test_nobody_to_compare_with_is_no_ratio() -> None:
    lines = training.ratios(plan.TRAIN_CASES[0], [row("ours", "bf16", 3.0, asked="auto")])
    assert all(line["ratio"] is None for line in lines)


def test_our_rows_are_held_against_the_peak_of_their_precision(tmp_path: Path) -> None:
    """The target is for what a user gets without asking; a peak that was not measured gives no line."""
    rows = [row("ours", "bf16", 3000.0, asked="auto"), row("ours", "fp32", 2000.0), row("eole", "fp32", 900.0)]
    rows = [{**each, "flops_per_token": 40e6 if each["contender"] == "ours" else None} for each in rows]
    big = replace(plan.TRAIN_CASES[0], name="big", target_share=0.5)
    bench = Bench(plan.QUICK, "cpu", 1, tmp_path)
    assert list(training.shares_of_peak(bench, big, rows)) == []
    bench.results["machine"] = [{"peak": {"fp32": 200.0, "bf16": 200.0}}]
    default, other = training.shares_of_peak(bench, big, rows)
    assert default["ratio"]["median"] == pytest.approx(0.6) and default["reached"] is True
    assert other["ratio"]["median"] == pytest.approx(0.4) and other["target"] is other["reached"] is None
    assert default["what"].startswith("train big") and "40.0 MFLOP" in default["what"]
    assert default["against"] == "200 GFLOP/s bf16"
    bench.results["machine"] = [{"peak": {"fp32": 200.0}}]
    assert [line["against"] for line in training.shares_of_peak(bench, big, rows)] == ["200 GFLOP/s fp32"]
