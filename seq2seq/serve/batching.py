"""Requests that wait are computed together. Knows tasks and one thread that works on them; knows no HTTP and no model.

The event loop puts tasks into a queue of limited length, and one thread, which alone uses the models, takes them out:
the oldest and those behind it that have the same key, up to a budget of tokens. While it computes, others gather. A
task that comes alone waits ``QUIET`` seconds for company, no longer. Clients whose batch has been answered often ask
again, one after the other: then the next batch waits until they are there, for a small share of the last one's time.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from seq2seq.serve.limits import Refusal

QUIET = 0.003  # seconds without a new task after which a batch begins
LONGEST = 0.05  # seconds that it waits at most, however many come
SHARES = 0.02, 0.1  # of the seconds of a batch of several tasks, which both may be where the next follows at once
IDLE = 0.1  # seconds without a task after which the last batch says nothing any more
Answers = Sequence[Any]
Work = Callable[[Hashable, Sequence[str]], Answers]
"""From a key and texts to an answer for each text."""


@dataclass(frozen=True)
class Task:
    """Texts that one request wants from the same work."""

    key: Hashable
    texts: tuple[str, ...]
    tokens: int
    future: asyncio.Future[Answers]  # cancelled where nobody waits any more


class Batcher:
    """The queue and its thread."""

    def __init__(
        self,
        work: Work,
        queue: int,
        budget: int,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """A queue that has no thread yet, see ``start``.

        Args:
            queue: tasks that wait at most.
            budget: tokens of a batch; a task above it is a batch of its own.
            around: a context in which all work is done, in the thread.
        """
        self.work, self.queue, self.budget, self.around = work, queue, budget, around
        self.waiting: list[Task] = []
        self.most_waiting, self.answered, self.batches = 0, 0, 0  # since the start
        self._batch: list[Task] = []  # that is computed now
        self._taken = 0.0  # seconds of the last batch, if it was one of several tasks and another follows at once
        self._changed = threading.Condition()
        self._stopped = False
        self._seconds_per_token = 0.001  # of late
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        """Begin to work, for the event loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    @property
    def length(self) -> int:
        """Tasks that wait, without those that nobody waits for any more."""
        return sum(not task.future.cancelled() for task in self.waiting)

    def submit(self, key: Hashable, texts: Sequence[str], tokens: int) -> asyncio.Future[Answers]:
        """Put a task into the queue; the future will have the answers, or the exception of the work.

        Raises:
            Refusal: 429, the queue is full; with the seconds after which there should be room. 503 after ``stop``.
        """
        future: asyncio.Future[Answers] = self._loop.create_future()
        with self._changed:
            if self._stopped:
                raise Refusal(503, "the server is stopping", 5)
            self._drop_cancelled()
            if len(self.waiting) >= self.queue:
                raise Refusal(429, "too many requests wait: try again later", self._seconds_to_wait())
            self.waiting.append(Task(key, tuple(texts), tokens, future))
            self.most_waiting = max(self.most_waiting, len(self.waiting))
            self._changed.notify()
        return future

    def stop(self) -> None:
        """Let the thread end after the batch that it is at; all futures that have no answer yet are cancelled."""
        with self._changed:
            self._stopped = True
            for task in (*self._batch, *self.waiting):
                task.future.cancel()
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end; whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self.around():
            while batch := self._next():
                self._batch = batch
                began = time.monotonic()
                outcomes = self._outcomes(batch)
                taken = time.monotonic() - began
                of_a_token = taken / max(sum(task.tokens for task in batch), 1)
                self._seconds_per_token = 0.7 * self._seconds_per_token + 0.3 * of_a_token
                self._taken = taken if len(batch) > 1 else 0.0
                self.answered, self.batches = self.answered + len(batch), self.batches + 1
                with suppress(RuntimeError):  # the loop has been closed: nobody waits
                    self._loop.call_soon_threadsafe(_deliver, batch, outcomes)

    def _next(self) -> list[Task]:
        """Take the next batch; empty at the end."""
        with self._changed:
            while True:
                began = time.monotonic()
                while not self.waiting and not self._stopped:
                    self._changed.wait()
                if time.monotonic() - began > IDLE:
                    self._taken = 0.0
                self._gather()
                if self._stopped:
                    return []
                self._drop_cancelled()
                if self.waiting:
                    break
            batch, tokens = list[Task](), 0
            for task in self.waiting:
                if task.key == self.waiting[0].key and (not batch or tokens + task.tokens <= self.budget):
                    batch.append(task)
                    tokens += task.tokens
            taken = set(map(id, batch))
            self.waiting = [task for task in self.waiting if id(task) not in taken]
            return batch

    def _gather(self) -> None:
        """Wait until nothing new has come for a moment, or there is a whole batch."""
        quiet, longest = (
            max(least, share * self._taken) for least, share in zip((QUIET, LONGEST), SHARES, strict=True)
        )
        end = time.monotonic() + longest
        while not self._stopped and time.monotonic() < end:
            if sum(task.tokens for task in self.waiting) >= self.budget or not self._changed.wait(quiet):
                return

    def _outcomes(self, batch: Sequence[Task]) -> list[Answers | Exception]:
        """The answers to each task. If the work fails, each task is tried alone: it fails for its own faults."""
        texts = [text for task in batch for text in task.texts]
        try:
            answers = iter(self.work(batch[0].key, texts))
            return [[next(answers) for _ in task.texts] for task in batch]
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [outcome for task in batch for outcome in self._outcomes([task])]

    def _drop_cancelled(self) -> None:
        self.waiting = [task for task in self.waiting if not task.future.cancelled()]

    def _seconds_to_wait(self) -> int:
        seconds = self._seconds_per_token * sum(task.tokens for task in self.waiting)
        return min(max(math.ceil(seconds), 1), 60)


def _deliver(batch: Sequence[Task], outcomes: Sequence[Answers | Exception]) -> None:
    for task, outcome in zip(batch, outcomes, strict=True):
        if task.future.done():
            continue
        if isinstance(outcome, Exception):
            task.future.set_exception(outcome)
        else:
            task.future.set_result(outcome)
