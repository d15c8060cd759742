"""The worker protocol: one JSON object a line, and a clock that runs only while a slice is measured.

Knows no toolkit. It uses the standard library alone, because every peer's own interpreter loads it; torch is used where
the worker has loaded it already, to wait for a GPU before the clock is read.

A worker's first message is ``ready`` or ``failed``. Then the benchmark writes orders to the worker's stdin:
    {"seconds": 6.0}      measure a slice: train or decode for so long, to the end of an update
                          → {"seconds": …, "tokens": …, "updates": …, "rss_mb": …, "cuda_mb": …}
    {"check": true}       → {"check": {"own": …, "recomputed": …}}, the loss a token of one batch
    {"translate": […]}    → {"translate": […]}, lists of tokens on both sides, without BOS and EOS
    {"quit": true}, EOF   the iteration over ``batches`` ends
"""

from __future__ import annotations

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
        self._handlers: dict[str, Callable[[Any], Any]] = {}
        self._idle = 0.0  # seconds spent waiting for orders, which the time to the first update leaves out
        self._limit: float | None = None  # length of the running slice in seconds; None between slices
        self._began = 0.0  # start of the slice
        self._slice_tokens = self._slice_updates = 0
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
        if self._limit is None or time.perf_counter() - self._began < self._limit:
            return True
        self._report()
        return self._wait()

    def finish(self) -> None:
        """The toolkit has ended its training: report the running slice, and answer further orders without an update."""
        while self._limit is not None:
            self._report()
            self._wait()

    def on(self, order: str, answer: Callable[[Any], Any]) -> None:
        """Answer an order by a function of its argument; the answer's key is the order's name."""
        self._handlers[order] = answer

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
                self._idle += time.perf_counter() - since
                self._began = time.perf_counter()
                return True
            for name in order:
                self._answer(name, order[name])
        return False

    def _answer(self, name: str, argument: Any) -> None:
        try:
            if name not in self._handlers:
                raise LookupError(f"this worker has no answer to {name}")
            self._say({name: self._handlers[name](argument)})
        except Exception as error:  # whatever a toolkit raises: the benchmark notes it
            self._say({name: None, "error": f"{type(error).__name__}: {error}"})

    def _report(self) -> None:
        self._synchronise()
        answer = {
            "seconds": time.perf_counter() - self._began,
            "tokens": self._slice_tokens,
            "updates": self._slice_updates,
            "rss_mb": peak_memory_mb(),
            "cuda_mb": None,
        }
        if not self._told_first:
            answer["first_update_seconds"] = self._first_update
            self._told_first = True
        cuda = self._cuda()
        if cuda:
            answer["cuda_mb"] = cuda.max_memory_allocated() / 2**20
            cuda.empty_cache()  # the next contender needs the memory
        self._say(answer)

    def _cuda(self) -> Any:
        """torch.cuda where the worker computes on a GPU, else None."""
        torch = sys.modules.get("torch") if self.spec.get("device") == "cuda" else None
        return torch.cuda if torch is not None and torch.cuda.is_available() else None

    def _synchronise(self) -> None:
        cuda = self._cuda()
        if cuda:
            cuda.synchronize()

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
