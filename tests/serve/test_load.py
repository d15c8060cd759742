"""The load script: what it counts where a server answers, has gone, or cannot be watched."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scripts.serve_load import Load, measure, report

GIVEN = Namespace(run="nowhere", options=[], clients=2, queue=128)


def load_of(seconds: float) -> Load:
    return Load(["the cat", "a dog"], 1, time.monotonic() + seconds)


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


def test_a_connection_that_is_refused_is_counted_as_lost_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    load = load_of(1)
    with nobody() as url:
        memory, queues = asyncio.run(measure(url, os.getpid(), load, 2))
    assert (memory, queues, load.requests) == ([], [], 0)
    refused = [each for each in load.lost if "ConnectionRefusedError" in each]
    assert len(load.lost) == len(refused) == 3, "two clients, and the one that watches"
    assert report(GIVEN, load, (1.0, 0.0), memory, queues, 0) == 1
    printed = capsys.readouterr().out
    assert "0 answers of 0 requests" in printed and "lost 3" in printed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_server_that_answers_without_json_is_counted_as_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """As uvicorn answers where there are more connections than it takes."""

    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Busy\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nBusy")
        writer.close()

    async def measured() -> tuple[list[float], list[int]]:
        async with await asyncio.start_server(busy, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            return await measure(url, os.getpid(), load, 1)

    load = load_of(1)
    memory, queues = asyncio.run(measured())
    assert load.lost[0] == "500: Busy" and "watched" in load.lost[-1]
    assert report(GIVEN, load, (1.0, 0.0), memory, queues, 0) == 1
    assert f"lost {len(load.lost)}" in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_what_is_answered_is_counted_and_the_server_watched(running: Any) -> None:
    pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
    with running() as server:
        load = load_of(0.3)
        memory, queues = asyncio.run(measure(server.url, os.getpid(), load, 2))
    assert not load.lost and len(load.found) == load.requests > 0
    assert memory and len(memory) == len(queues) and memory[0] > 10
