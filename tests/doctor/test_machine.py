"""What the doctor says of the machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seq2seq.doctor.machine import OPTIONAL

tomllib = pytest.importorskip("tomllib")  # part of Python from 3.11 on
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_extra_of_a_user_is_looked_for_by_its_packages() -> None:
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(OPTIONAL) == set(extras) - {"dev", "docs"}
    for extra, packages in OPTIONAL.items():
        asked = tuple(re.split("[>=<;]", one)[0] for one in extras[extra])
        assert packages in (asked, ()), extra  # (): this Python needs none
