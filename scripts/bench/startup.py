"""How long a user waits for a first word: our commands beside a bare ``import torch``. Knows processes and clocks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plan as plans
import rounds

if TYPE_CHECKING:
    from speed import Bench

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
    """What is timed, by its name in the table."""
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
    """Seconds until the command has answered what it should.

    Raises:
        rounds.Failed: it answered something else.
    """
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - began
    code, word = EXPECTED[name]
    if done.returncode != code or word not in done.stdout + done.stderr:
        raise rounds.Failed(f"{name}: exit code {done.returncode}: {(done.stderr or done.stdout)[-200:]}")
    return taken


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """Seconds of each command, in turns; the first turn, which warms the disk's cache, is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in commands()}
    for turn in range(bench.plan.startup_repeats + 1):
        for name, command in commands().items():
            taken = timed(name, command)
            if turn:
                seconds[name].append(taken)
    ratios = []
    for name in list(seconds)[1:4]:
        ratio = rounds.ratio(seconds[name], seconds[TORCH])
        target = plans.TARGETS["startup"] if name == "seq2seq --help" else None
        reached = None if target is None or ratio is None else ratio["median"] <= target
        line = {"what": f"start: {name}", "against": f'python -c "{TORCH}"', "ratio": ratio}
        ratios.append({**line, "target": target, "reached": reached, "lower": True})
    yield {"seconds": {name: rounds.spread(each) for name, each in seconds.items()}, "ratios": ratios}
