"""The bench's modules are scripts: they are found as their own command line finds them."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"
for folder in (BENCH, BENCH / "workers"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import rounds  # noqa: E402

FAKE = """
import itertools, sys, time
sys.path.insert(0, {workers!r})
from gate import Gate
gate = Gate()
print("a framework's chatter")
"""
WORKING = """
gate.on_check(lambda: {"own": 2.0, "recomputed": gate.spec.get("recomputed", 2.0)})
gate.on_translate(lambda lines: [line[::-1] for line in lines])
gate.ready("1.0", 7, ["a note"])
for batch in gate.batches(itertools.repeat(5), lambda batch: batch):
    time.sleep(gate.spec.get("sleep", 0.01))
    gate.loss(10.0, batch)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., rounds.Row]:
    """A row whose worker is the given piece of Python, after it has made its gate."""

    def make(body: str = WORKING, contender: str = "peer", precision: str = "fp32", **spec: Any) -> rounds.Row:
        folder = tmp_path / f"{contender}-{precision}"
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "worker.py"
        script.write_text(FAKE.format(workers=str(BENCH / "workers")) + textwrap.dedent(body), encoding="utf-8")
        return rounds.Row(contender, precision, [sys.executable, str(script)], spec, folder)

    return make
