"""What the tests of the benchmark share: rows whose workers are a few lines of Python."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.worker import Row

FAKE = """
import itertools, time
from scripts.bench.workers.protocol import Channel
channel = Channel()
print("a framework's chatter")
"""
WORKING = """
channel.on("check", lambda _: {"own": 2.0, "recomputed": channel.spec.get("recomputed", 2.0)})
channel.on("translate", lambda lines: [line[::-1] for line in lines])
channel.ready("1.0", 7, ["a note"])
for batch in channel.batches(itertools.repeat(5), lambda batch: batch):
    time.sleep(channel.spec.get("sleep", 0.01))
"""


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Row]:
    """A row whose worker is the given Python code, after it has made its channel."""

    def make(body: str = WORKING, contender: str = "peer", precision: str = "fp32", **spec: Any) -> Row:
        folder = tmp_path / f"{contender}-{precision}"
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "worker.py"
        script.write_text(FAKE + textwrap.dedent(body), encoding="utf-8")
        return Row(contender, precision, [sys.executable, str(script)], spec, folder)

    return make
