"""seq2seq VERB …: the verbs, and the one place where an error becomes a line and an exit code.

Imports nothing heavy: arguments are checked, and ``--help`` is answered, before torch or datasets is loaded.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from seq2seq.errors import UserError

USAGE = """seq2seq trains translation models, three architectures through one pipeline.

  seq2seq train experiment=NAME [key=value …]  train, test, print the scores
  seq2seq evaluate RUN [key=value …]           score a split or new files
  seq2seq translate RUN [key=value …]          translate a file or what you type
  seq2seq compare study=NAME [key=value …]     train models side by side and
                                               explain the difference in a page
  seq2seq report RUN RUN …                     that page from any runs
  seq2seq align RUN                            word alignments by attention, AER
  seq2seq score --ref FILE NAME=FILE …         statistics of any translations
  seq2seq export RUN --to ctranslate2          a Transformer for CTranslate2
  seq2seq configs                              list the experiments that ship
  seq2seq completion                           print the completion for bash

seq2seq VERB --help explains the verb and every option with its default.
A RUN is a run folder below outputs/, or one of its checkpoints; several are an
ensemble.
"""

INTERRUPTED = 130
TRANSLATION = ("decode", "device", "seed", "trainer.precision")
EVALUATION = ("data.split", "data.valid", "data.test", "data.cache", *TRANSLATION)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program on ``argv``; returns the exit code: 0, 2 for a mistake of the user's, 130 when stopped."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    verb, *rest = arguments
    try:
        if verb not in VERBS:
            from seq2seq.errors import nearest

            raise UserError(f"unknown verb {verb}{nearest(verb, list(VERBS))} (see: seq2seq --help)")
        return VERBS[verb](rest)
    except UserError as error:
        print(f"seq2seq: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("seq2seq: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # what the machine can answer where nobody expected it: a full disk behind stdout, say
        print(f"seq2seq: error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2


class Parser(argparse.ArgumentParser):
    """argparse, with its errors as ours."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise ``UserError``."""
        raise UserError(f"{message} (see: {self.prog} --help)")


def _parser(verb: str, description: str, sections: Sequence[str]) -> Parser:
    from seq2seq.cli.help import reference

    return Parser(
        prog=f"seq2seq {verb}",
        description=description,
        epilog=reference(sections),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _train(arguments: list[str]) -> int:
    if "-h" in arguments or "--help" in arguments:
        about = "Train a model, test it, and print what came out. The same command again goes on where it stopped."
        _parser("train", about, ("data", "model", "trainer", "decode", "")).print_help()
        return 0
    from seq2seq.config.compose import compose

    if not any(argument.partition("=")[0] in ("experiment", "model") for argument in arguments):
        raise UserError(f"say what to train: experiment=NAME, where NAME is one of {', '.join(_choices('experiment'))}")
    config = compose(arguments)
    if config.data.source == "hub" and config.data.hub.repo:
        from seq2seq.data.hub import check_reach
        from seq2seq.runs.run import run_of

        if not run_of(config).finished:
            check_reach(config.data)

    from seq2seq.training import session as commands
    from seq2seq.training.trainer import Stopped

    threading.excepthook = _leave_it_to_the_main_thread
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # outside the training loop too, both stop tidily
    try:
        commands.train(config)
    except (Stopped, KeyboardInterrupt) as stop:
        again = [argument for argument in arguments if not argument.startswith("overwrite=")]
        done = "stopped and saved" if isinstance(stop, Stopped) else "stopped"
        print(f"{done}; to go on, the same command again: {shlex.join(['seq2seq', 'train', *again])}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _leave_it_to_the_main_thread(told: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer hands a full disk on to whoever writes next, so its thread need not print a traceback."""
    if not isinstance(told.exc_value, OSError):
        threading.__excepthook__(told)


def _evaluate(arguments: list[str]) -> int:
    parser = _parser("evaluate", "Score a trained run, or an ensemble of several.", EVALUATION)
    parser.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help="run folders or checkpoints, options")
    parser.add_argument("--src", metavar="FILE", help="source text, one sentence a line, instead of the run's split")
    parser.add_argument("--ref", metavar="FILE", help="its reference translations, line by line")
    parser.add_argument("--ter", action="store_true", help="TER as well (slow)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.add_argument("--out", metavar="FOLDER", help="write scores and hypotheses there instead of into the run")
    given = parser.parse_intermixed_args(arguments)
    if bool(given.src) != bool(given.ref):
        raise UserError("--src and --ref belong together: give both, or neither for the run's own split")
    runs, config = _runs_and_config(given.arguments)

    from seq2seq.runs import loading as trained
    from seq2seq.training import session as commands

    loaded = trained.load(runs, config)
    commands.evaluate_run(loaded, given.src, given.ref, given.ter, given.json, given.out)
    return 0


def _translate(arguments: list[str]) -> int:
    parser = _parser("translate", "Translate with a trained run, or an ensemble of several.", TRANSLATION)
    parser.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help="run folders or checkpoints, options")
    parser.add_argument("--in", dest="source", metavar="FILE", help="text, one sentence a line (default: stdin)")
    parser.add_argument("--out", metavar="FILE", help="where to write, a line for every line (default: stdout)")
    parser.add_argument("--attention", action="store_true", help="draw what each target piece looked at")
    given = parser.parse_intermixed_args(arguments)
    runs, config = _runs_and_config(given.arguments)

    from seq2seq.runs import loading as trained
    from seq2seq.training import session as commands

    commands.translate(trained.load(runs, config), given.source, given.out, given.attention)
    return 0


def _compare(arguments: list[str]) -> int:
    from seq2seq.study.options import StudyConfig, study_of

    if _asks_for_help(arguments):
        from seq2seq.cli.help import reference_of

        about = """Train the models of a study side by side, measure them, and write one page that
explains the difference. Skips what is finished and goes on with what was cut.
Any option of seq2seq train is one of every run."""
        parser = Parser("seq2seq compare", description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.epilog = f"{reference_of(StudyConfig())}\n\nstudies: {', '.join(_choices('study'))}"
        parser.print_help()
        return 0
    options, for_runs = study_of(arguments)

    from seq2seq.report.reporting import compare
    from seq2seq.study.plan import Study
    from seq2seq.system.signals import handling

    try:
        with handling(signal.default_int_handler, signal.SIGINT, signal.SIGTERM):
            return compare(Study(options, for_runs, arguments))
    except KeyboardInterrupt:
        again = shlex.join(["seq2seq", "compare", *arguments])
        print(f"stopped and saved; to go on, the same command again: {again}", file=sys.stderr)
        return INTERRUPTED


def _report(arguments: list[str]) -> int:
    from seq2seq.study.options import BUCKETS, bucket_edges

    parser = Parser("seq2seq report", description="Make the page of a comparison from finished runs.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs, of several models and seeds")
    parser.add_argument(
        "--out", metavar="FOLDER", default="outputs/report", help="where the page goes (default: outputs/report)"
    )
    parser.add_argument("--title", default="Translation models compared", help="title of the page")
    parser.add_argument("--anyway", action="store_true", help="show runs that are not alike beside each other, marked")
    parser.add_argument("--buckets", metavar="N,N,…", default=BUCKETS, help="source words up to which buckets go")
    parser.add_argument("--gold", metavar="FILE", help="alignment of the test pairs (Pharaoh; default: the grammar's)")
    given = parser.parse_args(arguments)
    edges = bucket_edges(given.buckets)

    from seq2seq.report.reporting import report

    runs = [Path(path) for path in given.runs]
    return report(runs, Path(given.out), given.title, edges, given.gold, given.anyway, arguments)


def _align(arguments: list[str]) -> int:
    from seq2seq.cli import align as aligning

    parser = Parser("seq2seq align", description="Word alignments from a run's attention, and their error rate (AER).")
    parser.add_argument("arguments", nargs="+", metavar="RUN key=value …", help="a run, options as for evaluate")
    aligning.add_arguments(parser)
    given = parser.parse_intermixed_args(arguments)
    runs, config = _runs_and_config(given.arguments)
    aligning.run(runs, config, given)
    return 0


def _score(arguments: list[str]) -> int:
    from seq2seq.cli import score as scoring

    parser = Parser("seq2seq score", description="Scores of any systems' translations, with intervals and tests.")
    scoring.add_arguments(parser)
    scoring.run(parser.parse_intermixed_args(arguments))
    return 0


def _export(arguments: list[str]) -> int:
    from seq2seq.export import options

    about = """Write a trained run for another program, and compare: float32 weights must give
our translations there too, or nothing is written."""
    parser = Parser("seq2seq export", description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_arguments(parser)
    request = options.requested(parser.parse_args(arguments))

    from seq2seq.export.exporting import export

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing half-written stays behind
    export(request)
    return 0


def _runs_and_config(arguments: Sequence[str]):  # type: ignore[no-untyped-def]
    from seq2seq.config.overrides import override
    from seq2seq.runs.run import find

    options = [argument for argument in arguments if "=" in argument and not Path(argument).exists()]
    paths = [argument for argument in arguments if argument not in options]
    if not paths:
        raise UserError("give a run folder or a checkpoint, e.g. outputs/embedded/transformer/seed1")
    runs = [find(Path(path)) for path in paths]
    return runs, override(runs[0][0].load_config(), options)


def _choices(group: str) -> list[str]:
    from seq2seq.config.compose import options_of

    return options_of(group)


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return list(arguments) in (["-h"], ["--help"])


def _configs(arguments: list[str]) -> int:
    if _asks_for_help(arguments):
        print(
            "seq2seq configs\n\nList the experiments that ship: what experiment=NAME and make train CONFIG=NAME can be."
        )
    else:
        print("\n".join(_choices("experiment")))
    return 0


def _completion(arguments: list[str]) -> int:
    if _asks_for_help(arguments):
        print('seq2seq completion\n\nPrint the completion script for bash. Use it by: eval "$(seq2seq completion)"')
        return 0
    from seq2seq.cli.completion import BASH, complete

    print("\n".join(complete(arguments)) if arguments else BASH)
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "evaluate": _evaluate,
    "translate": _translate,
    "compare": _compare,
    "report": _report,
    "align": _align,
    "score": _score,
    "export": _export,
    "configs": _configs,
    "completion": _completion,
}
