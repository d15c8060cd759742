"""A worker process, seen from the benchmark: started with a SPEC.json, asked for slices, stopped. Knows no toolkit.

The worker's side of the protocol, and what each message means, is ``workers/protocol.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_PATIENCE = 600.0  # seconds until a worker must be ready
SLICE_PATIENCE = 300.0  # seconds that an answer may take beyond the length of a slice


class Failed(Exception):
    """A measurement that could not be made; the reason is one line."""


@dataclass
class Row:
    """One contender in one precision: how its worker is started, and the measurements of it."""

    contender: str
    precision: str
    command: Sequence[str]
    spec: dict[str, Any]
    folder: Path
    threads: int = 1
    paths: Sequence[Path] = (ROOT,)  # of PYTHONPATH
    about: dict[str, Any] = field(default_factory=dict)  # the worker's first message
    slices: list[dict[str, Any]] = field(default_factory=list)
    warmup: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] | None = None
    failed: str | None = None

    @property
    def name(self) -> str:
        """Contender and precision, for messages."""
        return f"{self.contender} {self.precision}"


class Worker:
    """A running worker process, in a session of its own so that its children can be ended with it."""

    def __init__(self, row: Row) -> None:
        row.folder.mkdir(parents=True, exist_ok=True)
        spec = row.folder / "spec.json"
        spec.write_text(json.dumps({**row.spec, "scratch": str(row.folder)}, indent=1), encoding="utf-8")
        self.log = row.folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*row.command, str(spec)],
                cwd=row.folder,
                env=environment(row.threads, row.paths),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._unread = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, order: dict[str, Any] | None, patience: float) -> dict[str, Any]:
        """Send an order (None: send nothing) and wait for the worker's next message.

        Raises:
            Failed: no message within ``patience`` seconds, the process ended, or the worker reports why it cannot run.
        """
        assert self.process.stdin is not None
        if order is not None:
            with contextlib.suppress(OSError):  # the process has ended; reading its output tells how
                self.process.stdin.write(json.dumps(order).encode() + b"\n")
                self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line(patience))
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def _line(self, patience: float) -> bytes:
        assert self.process.stdout is not None
        until = time.monotonic() + patience
        while b"\n" not in self._unread:
            if not select.select([self.process.stdout], [], [], max(until - time.monotonic(), 0))[0]:
                raise Failed(f"no answer in {patience:.0f} s")
            chunk = os.read(self.process.stdout.fileno(), 1 << 20)
            if not chunk:
                code = self.process.wait()
                raise Failed(f"ended with exit code {code}: {self.last_words()}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def last_words(self) -> str:
        """The last line of the worker's log."""
        return last_line(self.log.read_text(encoding="utf-8", errors="replace"))[:200]

    def stop(self, patience: float = 5.0) -> None:
        """Ask the worker to leave; after ``patience`` seconds end it and its children."""
        try:
            if self.process.stdin is not None:
                self.process.stdin.write(b'{"quit": true}\n')
                self.process.stdin.close()
            self.process.wait(patience)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            pass
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start(row: Row) -> Worker:
    """A worker that is ready to be measured.

    Raises:
        Failed: the worker cannot run; ``row.failed`` holds the reason too.
    """
    worker = Worker(row)
    try:
        row.about = worker.ask(None, READY_PATIENCE)
    except BaseException as error:
        row.failed = str(error)
        worker.stop(0)
        raise
    return worker


def environment(threads: int, paths: Sequence[Path] = (ROOT,)) -> dict[str, str]:
    """Environment variables of a child process.

    Every thread pool gets the same size, no library asks the network, and ``scripts.bench`` can be imported from
    ``paths`` by an interpreter in which nothing of this repository is installed.
    """
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    pools = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    path = os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **quiet, **pools, "PYTHONPATH": path}


def output_of(command: Sequence[str], threads: int, paths: Sequence[Path] = (ROOT,), folder: Path | None = None) -> str:
    """The standard output of a command that runs to its end.

    Raises:
        Failed: another exit code than 0; the reason is the last line that the command wrote.
    """
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment(threads, paths)
    )
    if done.returncode:
        raise Failed(last_line(done.stderr or done.stdout))
    return done.stdout


def last_line(text: str) -> str:
    """The last line that is not blank."""
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "no word of why")
