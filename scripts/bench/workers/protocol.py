"""The worker protocol: one JSON object a line, and a clock that runs only while a slice is measured.

Knows no toolkit. It uses the standard library alone, because every peer's own interpreter loads it; torch is used where
the worker has loaded it already, to wait for a GPU before the clock is read.

A worker's first message is ``ready`` or ``failed``. Then the benchmark writes orders to the worker's stdin:
    {"seconds": 6.0}      measure a slice: train or decode for so long, to the end of an update
                          → seconds, tokens, updates, nll, …
    {"check": true}       → {"check": {"own": …, "recomputed": …}}
    {"translate": […]}    → {"translations": […]}    (lists of tokens in, lists of tokens out)
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
from typing import Any, NoReturn


class Channel:
    """The worker's end of the protocol. Make it first: it takes stdin and stdout for itself.

    Attributes:
        spec: the content of SPEC.json, whose path is the process's first argument.
    """

    def __init__(self, spec: str | Path | None = None) -> None:
        self.started = _process_start()
        self.spec: dict[str, Any] = json.loads(Path(spec or sys.argv[1]).read_text(encoding="utf-8"))
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
        os.dup2(2, 1)  # what a toolkit prints goes to the log
        sys.stdout = sys.stderr
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        sys.excepthook = self._crash
        self._handlers: dict[str, tuple[str, Callable[[Any], Any]]] = {}
        self._idle = 0.0  # seconds spent waiting for orders, which the time to the first update leaves out
        self._limit: float | None = None  # length of the running slice in seconds; None between slices
        self._clock = 0.0  # start of the slice, moved forward by the time spent off the clock
        self._uncounted = 0.0  # processor seconds spent off the clock in this slice
        self._slice_tokens = self._slice_updates = 0
        self._losses: list[tuple[Any, int]] = []  # (sum of NLL, tokens); tensors are read after the slice
        self.tokens = self.updates = 0  # since the start
        self._first_update: float | None = None
        self._told_first = False

    # ------------------------------------------------------------------------------------------ called by a worker

    def ready(self, version: str, parameters: int, notes: Iterable[str] = (), **more: Any) -> None:
        """Report that everything is loaded and slices can be measured; ``more`` goes into the message."""
        seconds = time.time() - self.started
        about = {"version": version, "parameters": parameters, "seconds_to_ready": round(seconds, 3)}
        self._say({"ready": True, **about, "notes": list(notes), **more})

    def fail(self, why: str) -> NoReturn:
        """Report in one line why this contender cannot run, and end the process."""
        self._say({"failed": " ".join(why.split())})
        self._answers.close()
        os._exit(1)

    def batches(self, iterable: Iterable[Any], tokens: Callable[[Any], int]) -> Iterator[Any]:
        """The batches of an endless iterable, one by one, until the benchmark ends; blocks between slices.

        The caller makes one update (decodes one batch) before it asks for the next batch. ``tokens`` counts a batch's
        target tokens. A toolkit that fetches batches ahead calls ``begin`` and ``update`` itself instead.
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
        """Wait for the first slice. False: the benchmark has ended."""
        return True if self._limit is not None else self._wait()

    def update(self, tokens: int) -> bool:
        """Count an update (a decoded batch) of so many target tokens. False: the benchmark has ended.

        When the time of the slice is over, its figures are sent, and the call blocks until the next slice.
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
        """A context whose time does not count: work that the benchmark needs and the toolkit would not do."""
        self._synchronise()
        since, used = time.perf_counter(), time.process_time()
        yield
        self._synchronise()
        self._clock += time.perf_counter() - since
        self._uncounted += time.process_time() - used

    def finish(self) -> None:
        """The toolkit has ended its training: report the running slice, and answer further orders without an update."""
        while self._limit is not None:
            self._synchronise()
            self._report(time.perf_counter() - self._clock)
            self._wait()

    def loss(self, nll: Any, tokens: int) -> None:
        """Note the sum of an update's NLL in nats, without label smoothing. A tensor is read only after the slice."""
        self._losses.append((nll, tokens))

    def on_check(self, function: Callable[[], dict[str, float]]) -> None:
        """``function`` returns a batch's loss a token as the toolkit computes it (``own``), and ``recomputed``."""
        self._handlers["check"] = ("check", lambda _: function())

    def on_translate(self, function: Callable[[list[list[str]]], list[list[str]]]) -> None:
        """``function`` translates lists of source tokens greedily, in the order given, and keeps the training mode.

        Tokens are without BOS and EOS on both sides.
        """
        self._handlers["translate"] = ("translations", function)

    # ------------------------------------------------------------------------------------------------- the protocol

    def _wait(self) -> bool:
        """Answer orders until a slice begins (True) or the benchmark ends (False)."""
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
        except Exception as error:  # whatever a toolkit raises: the benchmark notes it
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
        }
        if not self._told_first:
            answer["first_update_seconds"] = self._first_update
            self._told_first = True
        cuda = self._cuda()
        if cuda:  # the next contender needs the memory
            cuda.empty_cache()
        self._say(answer)

    def _cuda(self) -> Any:
        """torch.cuda where the worker computes on a GPU, else None."""
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
        """The hook of uncaught exceptions: the traceback goes to the log, the last line to the benchmark."""
        sys.__excepthook__(kind, error, trace)
        if issubclass(kind, Exception):
            self.fail(f"{kind.__name__}: {error}")


def peak_memory_mb() -> float:
    """Largest resident memory of this process in MiB.

    ``ru_maxrss`` would include the memory of the process that started this one, which fork and exec hand on.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _process_start() -> float:
    """The time at which this process began, in seconds since the epoch: before Python itself was loaded."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return time.time()
