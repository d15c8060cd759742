"""`seq2seq serve` under load, beside `translate` on the same lines: the figures of docs/serving.md.

    python -m scripts.serve_load RUN [key=value …] [--clients 50] [--seconds 60] [--texts 1]

Clients on loopback each send a request, wait for its answer, and send the next, until the time is up; then each line
that was answered is translated once more by the run itself, and texts and speed are compared. The server is a process
of its own, whose memory is read once a second (Linux). The exit code is 1 where an answer was lost, the queue grew
beyond its bound, or memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seq2seq.config.overrides import override
from seq2seq.runs import loading
from seq2seq.runs.run import Run, find

MOST = 200_000  # requests, however fast they are
GROWTH = 1.05, 8.0  # the memory of the last quarter may be this multiple of the second's, and so many MB more


@dataclass
class Load:
    """What the clients send, and what came of it."""

    lines: Sequence[str]
    texts: int  # of a request
    end: float  # of the time, by time.monotonic
    next: int = 0  # of the lines, which are taken in turn
    requests: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)  # lines with their translations
    seconds: list[float] = field(default_factory=list)  # of each answered request
    refused: Counter[int] = field(default_factory=Counter)  # by status; they are sent again
    lost: list[str] = field(default_factory=list)  # errors of requests that had no answer

    def take(self) -> list[str]:
        """The lines of the next request."""
        chosen = [self.lines[(self.next + n) % len(self.lines)] for n in range(self.texts)]
        self.next += self.texts
        self.requests += 1
        return chosen


@dataclass
class Client:
    """A connection that stays open, in plain HTTP/1.1."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, path: str, asked: Any = None) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of one answer; its text where it is no JSON."""
        body = b"" if asked is None else json.dumps(asked).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await self.writer.drain()
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = await self.reader.readexactly(int(headers["content-length"]))
        plain = headers.get("content-type") != "application/json"
        return int(first.split()[1]), headers, content.decode("latin-1") if plain else json.loads(content)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client of this address, whose connection is closed at the end."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Client(address.netloc, reader, writer)
    finally:
        writer.close()


async def keep_asking(url: str, load: Load) -> None:
    """One client, until the time is up."""
    try:
        async with connected(url) as client:
            while time.monotonic() < load.end and load.requests < MOST:
                texts, began = load.take(), time.monotonic()
                status, headers, told = await client.ask("POST", "/api/translate", {"texts": texts})
                while status in (429, 503):
                    load.refused[status] += 1
                    await asyncio.sleep(int(headers.get("retry-after", "1")))
                    status, headers, told = await client.ask("POST", "/api/translate", {"texts": texts})
                if status != 200:
                    load.lost.append(f"{status}: {told}")
                    continue
                load.seconds.append(time.monotonic() - began)
                answers = told["models"][0]["translations"]
                load.found += [(text, each["text"]) for text, each in zip(texts, answers, strict=True)]
    except (OSError, asyncio.IncompleteReadError) as error:
        load.lost.append(repr(error))


async def watch(url: str, pid: int, memory: list[float], queues: list[int]) -> None:
    """Each second the server's resident memory in MB and the length of its queue.

    Raises:
        OSError: the server does not tell them, or has ended; so does ``IncompleteReadError``.
    """
    async with connected(url) as client:
        while True:
            held = resident(pid)
            status, _, told = await client.ask("GET", "/health")
            if status != 200:
                raise ConnectionError(f"{status}: {told}")
            memory.append(held)
            queues.append(told["most_waiting"])
            await asyncio.sleep(1)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MB that a process holds in memory; none once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), "0")) / 1000


async def measure(url: str, pid: int, load: Load, clients: int) -> tuple[list[float], list[int]]:
    """Let the clients ask; the memory and the queue's length meanwhile, as often as the server told them.

    Where it could not be watched to the end, that is among what was lost.
    """
    memory, queues = list[float](), list[int]()
    watching = asyncio.create_task(watch(url, pid, memory, queues))
    await asyncio.gather(*(keep_asking(url, load) for _ in range(clients)))
    await asyncio.sleep(1.1)
    watching.cancel()
    [ended] = await asyncio.gather(watching, return_exceptions=True)
    if not queues or not isinstance(ended, asyncio.CancelledError):
        load.lost.append(f"the server could not be watched: {ended!r}")
    return memory, queues


def started(run: str, options: Sequence[str], queue: int) -> tuple[subprocess.Popen[str], str]:
    """A server of one run as a process, and its address."""
    command = [sys.executable, "-m", "seq2seq", "serve", run, "--port", "0", "--queue", str(queue), *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert server.stdout is not None
    greeting = server.stdout.readline()
    if not greeting:
        sys.exit(f"the server has not begun (exit code {server.wait()})")
    return server, next(word for word in greeting.split() if word.startswith("http"))


def flat(memory: Sequence[float]) -> bool:
    """Whether the memory of the last quarter is that of the second one."""
    quarter = max(len(memory) // 4, 1)
    second, last = statistics.mean(memory[quarter : 2 * quarter] or memory), statistics.mean(memory[-quarter:])
    return last <= GROWTH[0] * second + GROWTH[1]


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("options", nargs="*", metavar="key=value")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--texts", type=int, default=1, help="lines of a request")
    parser.add_argument("--queue", type=int, default=128)
    given = parser.parse_intermixed_args()
    test = loading.saved_split(Run(Path(given.run)), "test")
    if test is None:
        sys.exit(f"{given.run} has not saved its test split")
    server, url = started(given.run, given.options, given.queue)
    began, before = time.monotonic(), processor_seconds(server.pid)
    load = Load(test[0], given.texts, began + given.seconds)
    try:
        memory, queues = asyncio.run(measure(url, server.pid, load, given.clients))
        spent = time.monotonic() - began - 1.1, processor_seconds(server.pid) - before
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    return report(given, load, spent, memory, queues, code)


def report(
    given: argparse.Namespace, load: Load, spent: tuple[float, float], memory: list[float], queues: list[int], code: int
) -> int:
    """Translate the same lines by the run itself, print both, and judge."""
    print(f"{given.clients} clients, {spent[0]:.1f} s: {len(load.seconds):,} answers of {load.requests:,} requests")
    print(f"lost {len(load.lost)} {load.lost[:3]}, refused for a while {dict(load.refused)}, server's exit code {code}")
    if not load.found or not queues:
        print("no answer, or no figure of the server: there is nothing to compare")
        return 1
    found = [find(Path(given.run))]
    model = loading.load(found, override(found[0][0].load_config(), given.options))
    lines = [line for line, _ in load.found]
    began = time.monotonic(), time.process_time()
    expected = [best.text for best, *_ in model.translator.translate(lines, model.config.decode)]
    alone = time.monotonic() - began[0], time.process_time() - began[1]
    different = sum(text != served for text, (_, served) in zip(expected, load.found, strict=True))
    times = sorted(load.seconds)
    late = times[int(0.95 * (len(times) - 1))]
    steady = flat(memory)
    told = "flat" if steady else "growing"
    for clock, served, own in zip(("", "processor "), spent, alone, strict=True):
        speeds = f"{len(lines) / served:.1f} served, {len(lines) / own:.1f} by translate"
        print(f"lines a {clock}second: {speeds}: {own / served:.2f} of it")
    print(f"texts that differ from translate's: {different} of {len(lines):,}")
    print(f"seconds of an answer: median {statistics.median(times):.3f}, 95 % below {late:.3f}")
    print(f"queue: at most {max(queues)} of {given.queue}")
    print(f"MB: {memory[0]:.0f} first, {max(memory):.0f} most, {memory[-1]:.0f} last: {told}")
    whole = not load.lost and code == 0 and max(queues) <= given.queue and steady
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
