"""seq2seq VERB …: finds the verb, and is the one place where an error becomes a line and an exit code.

Imports nothing heavy: arguments are checked, and ``--help`` is answered, before torch or datasets is loaded.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

import seq2seq
from seq2seq.cli.verbs import VERBS, overview
from seq2seq.errors import ANSWERED, UserError, complaint, nearest
from seq2seq.system.processes import place
from seq2seq.system.signals import STOPS, handling


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program on ``argv``; returns the exit code: 0, 2 for a mistake of the user's, 130 when stopped."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _write_utf8()
    try:
        with handling(signal.default_int_handler, *STOPS):  # so that ``finally`` and ``with`` clean up
            return _run(arguments)
    except SystemExit as end:  # argparse has printed a help
        return int(end.code or 0)
    except KeyboardInterrupt:
        print("seq2seq: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ANSWERED as error:
        line = complaint(error)
        if line is None:
            raise
        if place()[0] == 0:  # of several processes, one speaks
            print(f"seq2seq: error: {line}", file=sys.stderr)
        return 2


def _write_utf8() -> None:
    """Let files and pipes get UTF-8 whatever the locale says, and let no sign that a terminal lacks end a command."""
    for stream, others in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            if not stream.isatty():
                stream.reconfigure(encoding="utf-8", errors=others)  # others: names of files that are not UTF-8
            elif stream.encoding.lower().replace("-", "") != "utf8":
                stream.reconfigure(errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.encoding.lower().replace("-", "") != "utf8":
        sys.stdin.reconfigure(errors="replace")  # what a person types; files and pipes are read as bytes


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"seq2seq-trainer {seq2seq.__version__} (torch {version('torch')})")
        return 0
    name, *rest = arguments
    if name not in VERBS:
        raise UserError(f"unknown verb {name}{nearest(name, list(VERBS))} (see: seq2seq --help)")
    if name != "train" and place()[1] > 1:
        raise UserError(f"{name} runs in one process: start it without torchrun")
    verb = importlib.import_module(f"seq2seq.cli.{name}")
    given = verb.parser().read(rest)
    code: int = verb.run(given, verb.validate(given))
    return code
