"""Arguments that several verbs take. Knows argparse, runs and configs; loads nothing heavy."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from seq2seq.config.schema import EVALUATION, Config
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, find
from seq2seq.system.files import is_there
from seq2seq.terminal.program import program

Trained = tuple[list[tuple[Run, str]], Config]
"""Runs, each with the name of a checkpoint, and the config to use them with."""
RUNS = "run folders, checkpoints or folders exported to ONNX, options"
CORPUS = "read the files, and use the cache, that the run's config names: if you trust it"
Arguments = argparse.Namespace
"""Parsed arguments, in ``typed`` as they were typed."""


class Parser(argparse.ArgumentParser):
    """argparse, with its errors as ours."""

    def __init__(self, verb: str, about: str, epilog: str = "") -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(f"seq2seq {verb}", description=about, epilog=epilog, formatter_class=layout)

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise ``UserError``."""
        raise UserError(f"{message} (see: {self.prog} --help)")

    def read(self, arguments: Sequence[str]) -> Arguments:
        """Parse ``arguments``; flags may stand anywhere, but behind a leading ``--`` nothing is a flag."""
        given = Arguments(typed=list(arguments))
        if list(arguments[:1]) == ["--"]:
            return self.parse_args(arguments, given)
        return self.parse_intermixed_args(arguments, given)


def runs_and_config(given: Arguments, sections: Sequence[str] = EVALUATION) -> Trained:
    """The runs among ``arguments``, each with a checkpoint's name, and the config of the first with the options set.

    ``sections``: those of the options that mean something to the verb.

    Raises:
        UserError: no run, something that is none, an option that cannot be changed for a trained run, or ``--src``
            without ``--ref``.
    """
    if "src" in given and bool(given.src) != bool(given.ref):
        raise UserError("--src and --ref belong together: give both, or neither for the run's own split")
    from seq2seq.config.overrides import override

    runs, options = runs_and_options(given)
    return runs, override(runs[0][0].load_config(), options, "corpus" in given and given.corpus, sections)


def runs_and_options(given: Arguments) -> tuple[list[tuple[Run, str]], list[str]]:
    """The runs among ``arguments``, each with a checkpoint's name, and the options. Raises ``UserError``: no run."""
    options = [argument for argument in given.arguments if "=" in argument and not is_there(argument)]
    paths = [argument for argument in given.arguments if argument not in options]
    if not paths:
        raise UserError("give a run folder or a checkpoint, e.g. outputs/embedded/transformer/seed1")
    return [find(Path(path)) for path in paths], options


def say_how_to_go_on(done: str, verb: str, arguments: Sequence[str]) -> int:
    """Print the command that continues a stopped one; returns the exit code of a stop."""
    again = shlex.join([program(), verb, *arguments])
    print(f"{done}; to go on, the same command again: {again}", file=sys.stderr)
    return 130


def pairs_of(given: Arguments, run: Run, config: Config) -> tuple[list[str], list[str]]:
    """Sources and references: of ``--src`` and ``--ref``, or of the split, as the run saved it if its options match.

    Files that seem to be of other languages than the run's are warned of.

    Raises:
        UserError: as ``corpus_of`` does, where the split is not saved.
    """
    from seq2seq.data.files import all_lines
    from seq2seq.data.sides import misplaced
    from seq2seq.runs.loading import saved_split, split_of_source

    if given.src:
        references = all_lines(given.ref)
        src = all_lines(given.src, references, given.ref)
        for doubt in misplaced({"--src": given.src, "--ref": given.ref}, config.data.codes, (src, references)):
            print(f"warning: {doubt}", file=sys.stderr)
        return src, references
    name = config.data.split
    return (saved_split(run, name) if is_own_split(given, run, config) else None) or split_of_source(config, name)


def refuse_own_text(out: str | None, **read: str | None) -> None:
    """Raise ``UserError`` where ``out`` is a file that the command reads; ``read``: paths by their flags."""
    for flag, path in read.items():
        if out and path and Path(path).is_file() and Path(out).exists() and Path(out).samefile(path):
            raise UserError(f"--out {out} is the text of {flag}, which would be lost: name another file")


def is_own_split(given: Arguments, run: Run, config: Config) -> bool:
    """Whether what ``pairs_of`` gives is a split that the run was validated or tested on."""
    from seq2seq.config.overrides import override

    name, own = config.data.split, override(run.load_config(), [], given.corpus)
    known = not given.src and (name in ("valid", "test") or name in own.data.tests)
    return known and config.data.split_options(name) == own.data.split_options(name)
