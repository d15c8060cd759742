"""Arguments that several verbs take. Knows argparse, runs and configs; loads nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, find

TRANSLATION = ("decode", "device", "seed", "trainer.precision")
EVALUATION = ("data.split", "data.valid", "data.test", "data.cache", *TRANSLATION)
"""Sections of the options that can be changed for a trained run."""


class Parser(argparse.ArgumentParser):
    """argparse, with its errors as ours."""

    def __init__(self, verb: str, about: str, epilog: str = "") -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(f"seq2seq {verb}", description=about, epilog=epilog, formatter_class=layout)

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise ``UserError``."""
        raise UserError(f"{message} (see: {self.prog} --help)")

    def add_runs(self, nargs: str, metavar: str = "RUN … key=value …", help: str = "") -> None:
        """Take runs and ``key=value`` options, in any order, as ``arguments``."""
        self.add_argument("arguments", nargs=nargs, metavar=metavar, help=help or "run folders or checkpoints, options")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse ``arguments``; flags may stand anywhere, but behind a leading ``--`` nothing is a flag."""
        given = argparse.Namespace(typed=list(arguments))
        if list(arguments[:1]) == ["--"]:
            return self.parse_args(arguments, given)
        return self.parse_intermixed_args(arguments, given)


def runs_and_config(arguments: Sequence[str]) -> tuple[list[tuple[Run, str]], Config]:
    """The runs among ``arguments``, each with a checkpoint's name, and the config of the first with the options set.

    Raises:
        UserError: no run, something that is none, or an option that cannot be changed for a trained run.
    """
    options = [argument for argument in arguments if "=" in argument and not Path(argument).exists()]
    paths = [argument for argument in arguments if argument not in options]
    if not paths:
        raise UserError("give a run folder or a checkpoint, e.g. outputs/embedded/transformer/seed1")
    runs = [find(Path(path)) for path in paths]
    from seq2seq.config.overrides import override

    return runs, override(runs[0][0].load_config(), options)


def check_src_and_ref(given: argparse.Namespace) -> None:
    """Raise ``UserError`` if only one of ``--src`` and ``--ref`` was given."""
    if bool(given.src) != bool(given.ref):
        raise UserError("--src and --ref belong together: give both, or neither for the run's own split")
