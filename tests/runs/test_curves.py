"""Files of a run folder are what their records say, or one line names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypedDict

import pytest

from seq2seq.errors import UserError
from seq2seq.runs.curves import read_points
from seq2seq.system.typed_json import mismatch, read_record


class Inner(TypedDict, total=False):
    share: float | None


class Outer(Inner):
    steps: int
    names: list[str]
    rows: list[tuple[int, float]]
    by: dict[str, list[Inner]]
    kind: Literal["best", "last"]
    whole: bool


GOOD: dict[str, Any] = {
    "steps": 3,
    "names": ["a"],
    "rows": [[1, 2.5], [1, 2]],
    "by": {"x": [{"share": None}, {"share": 1}]},
    "kind": "best",
    "whole": True,
    "more": object,
}


def test_a_record_fits() -> None:
    assert mismatch(GOOD, Outer) is None


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"steps": "3"}, "steps is '3', not int"),
        ({"steps": True}, "steps is True, not int"),
        ({"steps": 3.5}, "steps is 3.5, not int"),
        ({"names": "a"}, "names is 'a', not list"),
        ({"names": ["a", 1]}, "names[1] is 1, not str"),
        ({"rows": [[1, 2.5], [1]]}, "rows[1] is [1], not tuple"),
        ({"rows": [[1, None]]}, "rows[0][1] is None, not float"),
        ({"by": {"x": [{"share": "1"}]}}, "by.x[0].share is '1', not"),
        ({"by": []}, "by is [], not dict"),
        ({"kind": "worst"}, "kind is 'worst', not"),
        ({"whole": 1}, "whole is 1, not bool"),
    ],
)
def test_the_first_wrong_entry_is_named(change: dict[str, Any], wrong: str) -> None:
    assert (mismatch(GOOD | change, Outer) or "").startswith(wrong)


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_record_is_said(value: object) -> None:
    assert mismatch(value, Outer) == f"it is {value!r}, not dict"


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outer.json"
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key not in ("steps", "more")}))
    with pytest.raises(UserError, match=r"outer\.json: not a thing: steps is missing: look again"):
        read_record(path, Outer, "thing", "look again")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "deadbeef", '{"steps": NaN}', '{"steps": -Infinity}'])
def test_what_is_no_json_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "outer.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"not a (whole )?thing") as caught:
        read_record(path, Outer, "thing", "look again")
    assert len(str(caught.value)) < 300


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "train/nll": 2.5}\n{"step": 2, "train/nll": null}\n{"step": 3, "tra')
    assert [point for _, point in read_points(path)] == [
        {"step": 1, "train/nll": 2.5},
        {"step": 2, "train/nll": None},
    ]


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"train/nll": 1}', '{"step": "x"}', '{"step": 1, "a": "b"}', "x\0"])
def test_a_line_that_is_no_point_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2: not a point of a curve"):
        read_points(path)
