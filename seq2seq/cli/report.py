"""``seq2seq report``. Knows the arguments; the page is made by ``report``."""

from __future__ import annotations

from pathlib import Path

from seq2seq.cli.arguments import CORPUS, Arguments, Parser
from seq2seq.study.options import BUCKETS, bucket_edges


def parser() -> Parser:
    taken = Parser("report", "Make the page of a comparison from finished runs.")
    taken.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs, of several models and seeds")
    out = "folder of the page (default: outputs/report)"
    taken.add_argument("--out", metavar="FOLDER", default="outputs/report", help=out)
    taken.add_argument("--title", default="Translation models compared", help="title of the page")
    taken.add_argument("--anyway", action="store_true", help="show runs that are not alike beside each other, marked")
    buckets = f"source lengths up to which buckets go (default: {BUCKETS})"
    taken.add_argument("--buckets", metavar="N,N,…", help=buckets)
    taken.add_argument("--gold", metavar="FILE", help="alignment of the test pairs (Pharaoh; default: the grammar's)")
    taken.add_argument("--corpus", action="store_true", help=CORPUS)
    return taken


def validate(given: Arguments) -> list[int] | None:
    """The upper ends of the buckets of source length, if given. Raises ``UserError``."""
    return None if given.buckets is None else bucket_edges(given.buckets)


def run(given: Arguments, edges: list[int] | None) -> int:
    """Measure what has not been measured, and write the page."""
    from seq2seq.report.reporting import report

    runs = [Path(path) for path in given.runs]
    return report(runs, Path(given.out), given.title, edges, given.gold, given.anyway, given.typed, given.corpus)
