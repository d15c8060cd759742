"""The evaluations that a run keeps, read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seq2seq.errors import UserError
from seq2seq.runs.evaluations import kept
from seq2seq.runs.run import Run
from seq2seq.system.files import write_json

FakeRun = Callable[..., Run]


def dated(run: Run, **dates: str) -> Run:
    """The run with an evaluation of each name and date."""
    scores: dict[str, Any] = {**run.load_summary()["test"]}
    for name, date in dates.items():
        write_json(run.evaluation(name) / "scores.json", {**scores, "date": date})
    return run


def test_evaluations_are_in_the_order_of_their_dates_with_a_time_zone_or_without(fake_run: FakeRun) -> None:
    run = dated(fake_run("a"), late="2026-11-30T09:00:00", early="2026-11-28T09:00:00+05:00")
    assert [each["name"] for each in kept(run) if each["name"] in ("early", "late")] == ["early", "late"]


def test_a_date_that_is_none_names_the_file(fake_run: FakeRun) -> None:
    with pytest.raises(UserError, match=r"bad/scores.json: not a readable scores file \(date: "):
        kept(dated(fake_run("a"), bad="yesterday"))
