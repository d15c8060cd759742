"""``seq2seq export``. Knows the arguments; the folder is made by ``export``."""

from __future__ import annotations

import argparse

from seq2seq.cli.arguments import Parser
from seq2seq.export import options

ABOUT = """Write a trained run for another program, and compare: float32 weights must give
our translations there too, or nothing is written."""


def parser() -> Parser:
    """The arguments of the verb."""
    taken = Parser("export", ABOUT)
    options.add_arguments(taken)
    return taken


def validate(given: argparse.Namespace) -> options.Request:
    """The export, checked. Raises ``UserError``."""
    return options.requested(given)


def run(given: argparse.Namespace, request: options.Request) -> int:
    """Write the folder and print the comparison."""
    from seq2seq.export.exporting import export

    export(request)
    return 0
