"""The part ``startup``: seconds until our commands answer, beside a bare ``import torch``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.bench import plan
from scripts.bench.context import Bench
from scripts.bench.figures import Record, compared, ratio, spread
from scripts.bench.worker import Failed

TORCH = "import torch"
# Exit code and a word of the answer: a command that fails early would look fast.
EXPECTED = {
    TORCH: (0, ""),
    "seq2seq --help": (0, "seq2seq train"),
    "seq2seq train --help": (0, "trainer.max_steps"),
    "a mistyped key": (2, "did you mean trainer.max_steps?"),
    "bare python": (0, ""),
}


def commands() -> dict[str, list[str]]:
    """The commands that are timed, by their names in the table."""
    script = Path(sys.executable).parent / "seq2seq"
    ours = [str(script)] if script.exists() else [sys.executable, "-m", "seq2seq"]
    return {
        TORCH: [sys.executable, "-c", TORCH],
        "seq2seq --help": [*ours, "--help"],
        "seq2seq train --help": [*ours, "train", "--help"],
        "a mistyped key": [*ours, "train", "experiment=lstm", "trainer.max_step=5"],
        "bare python": [sys.executable, "-c", "pass"],
    }


def timed(name: str, command: list[str]) -> float:
    """Seconds until the command has given the answer that is expected of it.

    Raises:
        Failed: another answer came.
    """
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    code, word = EXPECTED[name]
    if done.returncode != code or word not in done.stdout + done.stderr:
        raise Failed(f"{name}: exit code {done.returncode}: {(done.stderr or done.stdout)[-200:]}")
    return seconds


def measure(bench: Bench) -> Iterator[Record]:
    """Seconds of each command, in turns; the first turn, which warms the disk's cache, is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in commands()}
    for turn in range(bench.plan.startup_repeats + 1):
        for name, command in commands().items():
            each = timed(name, command)
            if turn:
                seconds[name].append(each)
    lines = []
    for name in list(seconds)[1:4]:
        target = plan.TARGETS["startup"] if name == "seq2seq --help" else None
        relative = ratio(seconds[name], seconds[TORCH])
        lines.append(compared(f"start: {name}", f'python -c "{TORCH}"', relative, target, lower=True))
    yield {"seconds": {name: spread(each) for name, each in seconds.items()}, "ratios": lines}
