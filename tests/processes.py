"""``seq2seq VERB …`` in a process of its own that finds torch loaded.

To load torch and what it loads at the first update takes seconds of a core, a tiny training less than one. A server,
one for all tests of a worker, loads them once and forks for every command. What depends on how an interpreter begins
(``python -m``, a locale, variables that a library reads while it is loaded) is tested by ``subprocess`` instead.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, cast

from seq2seq.cli.main import main
from seq2seq.study import runner

LOADED = ("torch._dynamo", "seq2seq.training.session", "seq2seq.report.reporting", "seq2seq.cli.translate")

SERVER: Final = "forkserver"
"""How ``torch.multiprocessing.start_processes`` is told to take processes from the same server."""
_context = multiprocessing.get_context(SERVER)
_context.set_forkserver_preload([*LOADED, __name__])


def run_command(
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    timeout: float = 120,
    first: Callable[[], object] | None = None,
    module: str = "seq2seq",
) -> subprocess.CompletedProcess[str]:
    """``subprocess.run([SEQ2SEQ, *arguments], capture_output=True)``, sooner. Output is UTF-8.

    ``first``: called in the process before the command, such as ``forking``. ``module``: another one, or a
    file, to be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("in", "out", "err")]
        streams[0].write_bytes(stdin)
        process = start_command(*arguments, streams=streams, env=env, cwd=cwd, first=first, module=module)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = (path.read_bytes().decode() for path in streams[1:])
    return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def start_command(
    *arguments: str,
    streams: Sequence[Path],
    env: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    first: Callable[[], object] | None = None,
    module: str = "seq2seq",
) -> BaseProcess:
    """The command's process, which is not waited for. ``streams``: the files of its input, output and errors."""
    asked = ((module, *arguments), dict(env), str(cwd or Path.cwd()), [str(path) for path in streams], first)
    process = _context.Process(target=_command, args=asked)
    process.start()
    return process


def _command(
    command: tuple[str, ...],
    env: dict[str, str],
    cwd: str,
    streams: list[str],
    first: Callable[[], object] | None,
) -> None:
    """The process: what an interpreter has when it begins, then the command."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY), number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r", closefd=False) for n in range(3))
    sys.argv = [*command]
    if first:
        first()
    try:
        if command[0] == "seq2seq":
            sys.exit(main())
        if command[0].endswith(".py"):
            runpy.run_path(command[0], run_name="__main__")
        else:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def start_server() -> None:
    """Start the server, if it does not run yet: so that nobody else starts one that has loaded less."""
    forkserver.ensure_running()


def forking() -> None:
    """Let the processes that a study starts be forks of its own, which find torch loaded too."""
    runner.start = _start_fork


class _Fork:
    """A fork as ``subprocess.Popen``, as far as ``runner`` asks it."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode


def _start_fork(task: runner.Task, threads: int | None) -> runner.Running:
    return start_task(task, threads, multiprocessing.get_context("fork"))


def start_task(task: runner.Task, threads: int | None, context: BaseContext = _context) -> runner.Running:
    """``runner.start``, sooner: the process is a fork, by default of the server."""
    task.log.parent.mkdir(parents=True, exist_ok=True)
    settings = {**os.environ, "PYTHONUNBUFFERED": "1"} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    asked = (tuple(task.command), settings, str(Path.cwd()), [os.devnull, str(task.log), str(task.log)], None)
    process = cast(Any, context).Process(target=_command, args=asked)
    process.start()
    return runner.Running(task, cast(Any, _Fork(process)), time.monotonic())
