"""``seq2seq VERB …`` in a process of its own that finds torch loaded.

To load torch and what it loads at the first update takes seconds of a core, a tiny training less than one. A server,
one for all tests of a worker, loads them once and forks for every command. What depends on how an interpreter begins
(``python -m``, a locale, variables that a library reads while it is loaded) is tested by ``subprocess`` instead.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from seq2seq.cli.main import main

LOADED = ("torch._dynamo", "seq2seq.training.session", "seq2seq.report.reporting", "seq2seq.cli.translate")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*LOADED, __name__])


def run_command(
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """``subprocess.run([SEQ2SEQ, *arguments], capture_output=True)``, sooner. Output is UTF-8."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("in", "out", "err")]
        streams[0].write_bytes(stdin)
        asked = (arguments, dict(env), str(cwd or Path.cwd()), [str(path) for path in streams])
        process = _context.Process(target=_command, args=asked)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = (path.read_bytes().decode() for path in streams[1:])
    return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _command(arguments: tuple[str, ...], env: dict[str, str], cwd: str, streams: list[str]) -> None:
    """The process: what an interpreter has when it begins, then the command."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r", closefd=False) for n in range(3))
    sys.argv = ["seq2seq", *arguments]
    code = main()
    atexit._run_exitfuncs()  # which multiprocessing leaves out
    sys.exit(code)
