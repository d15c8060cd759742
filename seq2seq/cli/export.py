"""``seq2seq export``. Knows the arguments; they are checked, and the folder is made, by ``export``."""

from __future__ import annotations

import importlib

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.export.options import QUANTIZATIONS, TARGETS, Request, requested

ABOUT = """Write a trained run for another program or another place, and compare: float32
weights must give our translations there too, or nothing is written."""


def parser() -> Parser:
    taken = Parser("export", ABOUT)
    taken.add_argument("run", metavar="RUN", help="a run folder, or one of its checkpoints")
    taken.add_argument("--to", required=True, metavar="FORMAT", help=f"one of: {', '.join(TARGETS)}")
    taken.add_argument("--out", metavar="PATH", help="new (default: RUN/export/FORMAT[-QUANTIZATION])")
    of_weights = f"of the weights: {', '.join(QUANTIZATIONS)}"
    taken.add_argument("--quantization", default="none", metavar="TYPE", help=of_weights)
    taken.add_argument(
        "--license", metavar="NAME", help="of the model, for the card of --to folder or hub: apache-2.0, …"
    )
    taken.add_argument("--repo", metavar="NAME/MODEL", help="of --to hub: the repository to push to, made if need be")
    taken.add_argument("--public", action="store_true", help="with --repo: for everybody to read (default: private)")
    return taken


validate = requested


def run(given: Arguments, request: Request) -> int:
    """Write the folder and print the comparison."""
    importlib.import_module(f"seq2seq.export.{TARGETS[request.to].module}").export(request)
    return 0
