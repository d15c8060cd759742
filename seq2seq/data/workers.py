"""Chunks of text given to other processes of this program, or done in this one. Knows frames of bytes; no corpora.

A worker is a new interpreter that reads requests from its standard input and answers on its standard output: nothing is
forked, the caller's main module is not run again, and nothing is unpickled. It ends when its input ends, however this
process ends; a worker that is killed is an error here.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import seq2seq
from seq2seq.errors import Outage
from seq2seq.system.processes import usable_cores

Frame = list[bytes]
Job = Callable[[Frame], Frame]
ENDED = (
    "a process that prepares the corpus has ended, perhaps for want of memory: start the same command again, it goes "
    "on where it was (trainer.threads=1 prepares in one process)"
)


def cores(most: int | None) -> int:
    """The cores that this process may use, at most ``most``."""
    return min(usable_cores(), most or usable_cores())


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Write byte strings, each with its length."""
    stream.write(struct.pack(f"<{len(frame) + 1}Q", len(frame), *map(len, frame)))
    stream.writelines(frame)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """Read what ``write_frame`` has written; None at the end of the stream, also in the middle of a frame."""
    try:
        (count,) = struct.unpack("<Q", stream.read(8))
        sizes = struct.unpack(f"<{count}Q", stream.read(8 * count))
    except struct.error:
        return None
    frame = [stream.read(size) for size in sizes]
    return frame if [len(part) for part in frame] == list(sizes) else None


def serve(job_of: Callable[[Frame], Job]) -> None:
    """Be a worker: the first frame says which job, each further one is a request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of the terminal; the first one decides
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    setup = read_frame(asked)
    job = job_of(setup) if setup else None
    with suppress(BrokenPipeError):
        while job and (frame := read_frame(asked)) is not None:
            write_frame(answers, job(frame))
    os._exit(0)  # nothing is left to be written, also where the other end of the pipe is gone


class Workers:
    """Answers requests in order, in ``count`` processes, or in this one if ``count`` is 0."""

    def __init__(self, module: str, job_of: Callable[[Frame], Job], setup: Frame, count: int) -> None:
        self.processes = [_start(module) for _ in range(count)]
        for process in self.processes:
            _send(process, setup)
        here = None if count else job_of(setup)
        self.ask = [_asker(process) for process in self.processes] or [_own(here)]

    def map(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        """The answer to each request; each worker has one request at a time, so that no pipe is ever full."""
        waiting: list[Callable[[], Frame]] = []
        for number, request in enumerate(requests):
            if len(waiting) == len(self.ask):
                yield waiting.pop(0)()
            waiting.append(self.ask[number % len(self.ask)](request))
        for answer in waiting:
            yield answer()

    def all(self, request: Frame) -> list[Frame]:
        """The answer of each worker to the same request."""
        answers = [ask(request) for ask in self.ask]
        return [answer() for answer in answers]

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()


@contextmanager
def workers(module: str, job_of: Callable[[Frame], Job], setup: Frame, count: int) -> Iterator[Workers]:
    """``count`` workers that run ``module``, which serves ``job_of``; none where one process is enough."""
    own = Workers(module, job_of, setup, count if count > 1 else 0)
    try:
        yield own
    finally:
        own.close()


def _start(module: str) -> subprocess.Popen[bytes]:
    package = str(Path(seq2seq.__file__).resolve().parents[1])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def _send(process: subprocess.Popen[bytes], frame: Frame) -> None:
    assert process.stdin is not None
    try:
        write_frame(process.stdin, frame)  # type: ignore[arg-type]
    except BrokenPipeError as error:
        raise Outage(ENDED) from error


def _asker(process: subprocess.Popen[bytes]) -> Callable[[Frame], Callable[[], Frame]]:
    def answer() -> Frame:
        assert process.stdout is not None
        frame = read_frame(process.stdout)  # type: ignore[arg-type]
        if frame is None:
            raise Outage(ENDED)
        return frame

    def ask(request: Frame) -> Callable[[], Frame]:
        _send(process, request)
        return answer

    return ask


def _own(job: Job | None) -> Callable[[Frame], Callable[[], Frame]]:
    assert job is not None

    def ask(request: Frame) -> Callable[[], Frame]:
        done = job(request)
        return lambda: done

    return ask
