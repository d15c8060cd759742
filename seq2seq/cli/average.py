"""``seq2seq average``. Knows arguments; which checkpoints are meant, and their mean, are ``runs.averaging``'s."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, no_run

ABOUT = """Write the mean of the weights of several checkpoints of one training, which
often translates better than each of them. trainer.keep=K keeps the weights of
the last K validations of a run and of the K best."""


@dataclass(frozen=True)
class Means:
    """What is asked for: checkpoints, or how many of a run's, and where their mean is written."""

    paths: list[Path]
    run: Run | None
    out: Path


def parser() -> Parser:
    taken = Parser("average", ABOUT)
    taken.add_argument("paths", nargs="+", metavar="RUN|FILE", help="a run, or checkpoints (.safetensors)")
    which = taken.add_mutually_exclusive_group()
    which.add_argument("--last", type=int, metavar="N", help="the last N kept checkpoints of the run")
    which.add_argument("--best", type=int, metavar="N", help="the N best by its trainer.metric at validation")
    where = "checkpoint to write (default: average-last5, average-best3 or average-of-2 beside the first)"
    taken.add_argument("--out", metavar="FILE", help=where)
    return taken


def validate(given: Arguments) -> Means:
    """What is asked for. Raises ``UserError`` for arguments that do not go together, or a file in the way."""
    paths, count = [Path(path) for path in given.paths], given.last if given.best is None else given.best
    if count is not None and count < 1:
        raise UserError(f"{count} checkpoints have no mean: give 1 or more")
    if paths[0].is_dir():
        if count is None or len(paths) > 1:
            raise UserError(f"of the run {paths[0]} say which checkpoints: --last N, --best N, or name the files")
        run: Run | None = (own := Run(paths[0]))
        own.load_config()
        default = own.checkpoint(f"average-{'best' if given.last is None else 'last'}{count}")
    else:
        if count is not None:
            raise UserError("--last and --best choose among the checkpoints of a run: give one run, not files")
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise no_run(missing[0])
        run, default = None, paths[0].with_name(f"average-of-{len(paths)}.safetensors")
    out = Path(given.out) if given.out else default
    if given.out and (out.exists() or out.suffix != ".safetensors"):
        reason = "is there: choose another" if out.exists() else "is no name of a checkpoint: it ends with .safetensors"
        raise UserError(f"--out {out} {reason}")
    if out.resolve() in [path.resolve() for path in paths]:
        raise UserError(f"{out} is one of the checkpoints, and the mean would replace it: give --out FILE")
    return Means(paths, run, out)


def run(given: Arguments, asked: Means) -> int:
    """Write the mean, and say of what it is and what to type next."""
    from seq2seq.runs import averaging

    paths = asked.paths
    if asked.run:
        paths = averaging.best(asked.run, given.best) if given.best else averaging.last(asked.run, given.last)
    averaging.write(paths, asked.out)
    if doubt := averaging.doubt(paths):
        print(doubt, file=sys.stderr)
    print(f"{asked.out}: the mean of {', '.join(path.stem for path in paths)}")
    print(f"\nnext:  seq2seq evaluate {asked.out} data.split=valid")
    return 0
