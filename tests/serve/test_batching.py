"""The queue: what shares a batch, what is refused, what is dropped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest

from seq2seq.serve.batching import QUIET, Batcher
from seq2seq.serve.limits import Refusal


class Slow:
    """Work that waits until it may go on, and remembers its batches."""

    def __init__(self) -> None:
        self.may, self.began = threading.Event(), threading.Event()
        self.batches: list[tuple[Hashable, list[str]]] = []

    def __call__(self, key: Hashable, texts: Sequence[str]) -> list[str]:
        self.batches.append((key, list(texts)))
        self.began.set()
        assert self.may.wait(20)
        if "wrong" in texts:
            raise ValueError("wrong")
        return [text.upper() for text in texts]


def conducted(work: Any, play: Callable[[Batcher], Any], queue: int = 100, budget: int = 10) -> Any:
    """What ``play`` returns, which is run beside a batcher that is then stopped."""

    async def whole() -> Any:
        batcher = Batcher(work, queue, budget)
        batcher.start()
        try:
            return await asyncio.wait_for(play(batcher), 30)
        finally:
            work.may.set()
            batcher.stop()
            assert await asyncio.to_thread(batcher.join, 20)

    return asyncio.run(whole())


async def begun(work: Slow, batcher: Batcher) -> asyncio.Future[Any]:
    """A task with which the thread is busy."""
    first = batcher.submit("first", ["first"], 1)
    await asyncio.to_thread(work.began.wait, 20)
    return first


def test_what_waits_is_batched_by_key_in_order_up_to_the_budget() -> None:
    work = Slow()

    async def play(batcher: Batcher) -> list[Any]:
        first = await begun(work, batcher)
        tasks = [batcher.submit("b" if n in (1, 3) else "a", [f"t{n}", "x"], 4) for n in range(6)]
        tasks.append(batcher.submit("a", ["long"], 50))
        work.may.set()
        return [await task for task in [first, *tasks]]

    found = conducted(work, play)
    assert found == [["FIRST"], *([f"T{n}", "X"] for n in range(6)), ["LONG"]]
    assert [key for key, _ in work.batches] == ["first", "a", "b", "a", "a"]
    assert [len(texts) for _, texts in work.batches] == [1, 4, 4, 4, 1]


def test_a_lonely_task_waits_a_few_milliseconds() -> None:
    work = Slow()
    work.may.set()

    async def play(batcher: Batcher) -> float:
        spent = []
        for _ in range(20):
            began = time.perf_counter()
            await batcher.submit("a", ["a"], 1)
            spent.append(time.perf_counter() - began)
        return min(spent)  # the machine may be busy

    assert conducted(work, play) < QUIET + 0.01


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    work = Slow()

    async def play(batcher: Batcher) -> Refusal:
        await begun(work, batcher)
        waiting = [batcher.submit("a", ["a"], 1) for _ in range(3)]
        with pytest.raises(Refusal) as refused:
            batcher.submit("a", ["a"], 1)
        waiting[1].cancel()
        batcher.submit("a", ["a"], 1)  # its place is free at once
        assert batcher.most_waiting == 3
        return refused.value

    refused = conducted(work, play, queue=3)
    assert refused.status == 429 and 1 <= (refused.retry_after or 0) <= 60


def test_what_nobody_waits_for_is_not_computed() -> None:
    work = Slow()

    async def play(batcher: Batcher) -> None:
        first = await begun(work, batcher)
        gone, stays = batcher.submit("a", ["gone"], 1), batcher.submit("a", ["stays"], 1)
        gone.cancel()
        first.cancel()  # is computed already
        work.may.set()
        assert await stays == ["STAYS"]

    conducted(work, play)
    assert work.batches == [("first", ["first"]), ("a", ["stays"])]


def test_a_task_fails_for_its_own_faults_alone() -> None:
    work = Slow()

    async def play(batcher: Batcher) -> None:
        await begun(work, batcher)
        right, wrong = batcher.submit("a", ["right"], 1), batcher.submit("a", ["wrong"], 1)
        work.may.set()
        assert await right == ["RIGHT"]
        with pytest.raises(ValueError, match="wrong"):
            await wrong
        assert await batcher.submit("a", ["later"], 1) == ["LATER"]

    conducted(work, play)


def test_a_stop_cancels_what_has_no_answer_and_takes_nothing_more() -> None:
    work = Slow()

    async def play(batcher: Batcher) -> None:
        first, waiting = await begun(work, batcher), batcher.submit("a", ["a"], 1)
        batcher.stop()
        assert first.cancelled() and waiting.cancelled()
        with pytest.raises(Refusal, match="stopping"):
            batcher.submit("a", ["a"], 1)

    conducted(work, play)
    assert len(work.batches) == 1
