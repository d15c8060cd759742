"""The gate between a worker and the bench: one JSON object a line, and a clock that runs only while a slice runs.

Knows no framework. Standard library only, because it is loaded by every peer's own interpreter; torch is used where the
worker has loaded it already, to wait for a GPU before the clock is read.

What the bench writes on a worker's stdin, and what the gate answers:
    {"seconds": 6.0}      trains or decodes on for so long, to the end of an update → seconds, tokens, updates, nll, …
    {"check": true}       → {"check": {"own": …, "recomputed": …}}
    {"translate": […]}    → {"translations": […]}    (lists of pieces in, lists of pieces out)
    {"quit": true}, EOF   the iteration over ``batches`` ends
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

LOSS_EVERY = 2_000  # target tokens between two points of the loss curve


class Gate:
    """One worker's side of the protocol. Make it first: it takes stdin and stdout for itself.

    Attributes:
        spec: what SPEC.json (the first argument) says.
    """

    def __init__(self, spec: str | Path | None = None) -> None:
        self.started = _process_start()
        self.spec: dict[str, Any] = json.loads(Path(spec or sys.argv[1]).read_text(encoding="utf-8"))
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
        os.dup2(2, 1)  # whatever a framework prints goes to the log
        sys.stdout = sys.stderr
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        sys.excepthook = self._crash
        self._handlers: dict[str, tuple[str, Callable[[Any], Any]]] = {}
        self._idle = 0.0  # seconds spent waiting for orders: no part of the time to the first update
        self._limit: float | None = None  # seconds of the slice that is running
        self._clock = 0.0  # when the slice began, moved on by what does not count
        self._uncounted = 0.0  # processor seconds of what does not count in this slice
        self._slice_tokens = self._slice_updates = 0
        self._losses: list[tuple[Any, int]] = []  # (sum of nll, tokens); converted after the clock has stopped
        self.tokens = self.updates = 0  # since the beginning
        self._first_update: float | None = None
        self._told_first = False

    # ------------------------------------------------------------------------------------------ what a worker calls

    def ready(self, version: str, parameters: int, notes: Iterable[str] = (), **more: Any) -> None:
        """Everything is loaded; the bench may begin."""
        seconds = time.time() - self.started
        about = {"version": version, "parameters": parameters, "seconds_to_ready": round(seconds, 3)}
        self._say({"ready": True, **about, "notes": list(notes), **more})

    def fail(self, why: str) -> None:
        """Say in one line why this contender cannot run, and leave."""
        self._say({"failed": " ".join(why.split())})
        self._answers.close()
        os._exit(1)

    def batches(self, iterable: Iterable[Any], tokens: Callable[[Any], int]) -> Iterator[Any]:
        """The batches of an endless iterable, one by one, as long as the bench wants more; blocks between slices.

        The caller makes one update (decodes one batch) before it asks for the next. A framework that fetches ahead
        calls ``begin`` and ``update`` itself instead.
        """
        iterator = iter(iterable)
        going = self.begin()
        while going:
            try:
                batch = next(iterator)
            except StopIteration:
                self.finish()
                return
            count = tokens(batch)
            yield batch
            going = self.update(count)

    def begin(self) -> bool:
        """Wait for the first slice. False: leave."""
        return True if self._limit is not None else self._wait()

    def update(self, tokens: int) -> bool:
        """An update (a decoded batch) of so many target tokens is done. False: leave.

        Reports and blocks until the next slice when the time of this one is over.
        """
        self.tokens += tokens
        self.updates += 1
        self._slice_tokens += tokens
        self._slice_updates += 1
        if self._first_update is None:
            self._synchronise()
            self._first_update = time.time() - self.started - self._idle
        if self._limit is None:
            return True
        if time.perf_counter() - self._clock < self._limit:
            return True
        self._synchronise()
        self._report(time.perf_counter() - self._clock)
        return self._wait()

    @contextlib.contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """What is done within it is done for the bench alone, and takes no time of the slice."""
        self._synchronise()
        since, used = time.perf_counter(), time.process_time()
        yield
        self._synchronise()
        self._clock += time.perf_counter() - since
        self._uncounted += time.process_time() - used

    def finish(self) -> None:
        """There is nothing more to train on: report the slice that is running, and answer the rest without working."""
        while self._limit is not None:
            self._synchronise()
            self._report(time.perf_counter() - self._clock)
            self._wait()

    def loss(self, nll: Any, tokens: int) -> None:
        """Note an update's summed, un-smoothed nll in nats: a number, or a tensor that is read only after the slice."""
        self._losses.append((nll, tokens))

    def on_check(self, function: Callable[[], dict[str, float]]) -> None:
        """``function`` returns a batch's loss a token as the framework computes it (``own``), and ``recomputed``."""
        self._handlers["check"] = ("check", lambda _: function())

    def on_translate(self, function: Callable[[list[list[str]]], list[list[str]]]) -> None:
        """``function`` translates lists of source pieces greedily, in the order given, and leaves training mode alone.

        Pieces have neither BOS nor EOS, on either side.
        """
        self._handlers["translate"] = ("translations", function)

    # ------------------------------------------------------------------------------------------------- the protocol

    def _wait(self) -> bool:
        """Answer orders until a slice begins (True) or the bench has had enough (False)."""
        self._limit = None
        since = time.perf_counter()
        for line in iter(self._orders.readline, ""):
            order = json.loads(line) if line.strip() else {}
            if "quit" in order:
                return False
            if "seconds" in order:
                self._limit = float(order["seconds"])
                self._slice_tokens = self._slice_updates = 0
                self._losses, self._uncounted = [], 0.0
                self._idle += time.perf_counter() - since
                self._clock = time.perf_counter()
                return True
            for name in order:
                self._answer(name, order[name])
        return False

    def _answer(self, name: str, argument: Any) -> None:
        key, function = self._handlers.get(name, (name, None))
        if function is None:
            self._say({key: None, "error": f"this worker has no answer to {name}"})
            return
        try:
            self._say({key: function(argument)})
        except Exception as error:  # a peer's any error: the bench marks the row
            self._say({key: None, "error": f"{type(error).__name__}: {error}"})

    def _report(self, seconds: float) -> None:
        noted = [(float(nll), tokens) for nll, tokens in self._losses]
        counted = sum(tokens for _, tokens in noted)
        answer = {
            "seconds": seconds,
            "uncounted_cpu_seconds": self._uncounted,
            "tokens": self._slice_tokens,
            "updates": self._slice_updates,
            "nll": sum(nll for nll, _ in noted) / counted if counted else None,
            "rss_mb": peak_memory_mb(),
            "cuda_mb": self._cuda_mb(),
            "losses": self._curve(noted),
        }
        if not self._told_first:
            answer["first_update_seconds"] = self._first_update
            self._told_first = True
        cuda = self._cuda()
        if cuda:  # the others, who now have their turn, need the memory
            cuda.empty_cache()
        self._say(answer)

    def _curve(self, noted: list[tuple[float, int]]) -> list[list[float]]:
        """[tokens since the beginning, mean nll since the last point] about every ``LOSS_EVERY`` tokens."""
        points: list[list[float]] = []
        at, nll, tokens = self.tokens - sum(count for _, count in noted), 0.0, 0
        for number, (value, count) in enumerate(noted, 1):
            at, nll, tokens = at + count, nll + value, tokens + count
            if tokens and (tokens >= LOSS_EVERY or number == len(noted)):
                points.append([at, nll / tokens])
                nll, tokens = 0.0, 0
        return points

    def _cuda(self) -> Any:
        """torch.cuda where the worker computes there, else None."""
        torch = sys.modules.get("torch") if self.spec.get("device") == "cuda" else None
        return torch.cuda if torch is not None and torch.cuda.is_available() else None

    def _synchronise(self) -> None:
        cuda = self._cuda()
        if cuda:
            cuda.synchronize()

    def _cuda_mb(self) -> float | None:
        cuda = self._cuda()
        return cuda.max_memory_allocated() / 2**20 if cuda else None

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _crash(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """An exception that nobody caught: the whole of it into the log, its last line to the bench."""
        sys.__excepthook__(kind, error, trace)
        if issubclass(kind, Exception):
            self.fail(f"{kind.__name__}: {error}")


def peak_memory_mb() -> float:
    """Largest resident memory of this process in MiB.

    ``ru_maxrss`` would count what the process that started this one held before it was replaced.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _process_start() -> float:
    """When this process began, in seconds since the epoch: before Python itself was loaded."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return time.time()
