"""``seq2seq compare``. Knows the options of a study; training, measuring and the page are made by other rooms."""

from __future__ import annotations

import signal

from seq2seq.cli.arguments import Arguments, Parser, say_how_to_go_on
from seq2seq.cli.help import reference_of
from seq2seq.study.options import StudyConfig, study_of

ABOUT = """Train the models of a study side by side, measure them, and write one page that
explains the difference. Skips what is finished and goes on with what was cut.
Any option of seq2seq train is one of every run."""


def parser() -> Parser:
    from seq2seq.config.compose import options_of

    taken = Parser("compare", ABOUT, f"{reference_of(StudyConfig())}\n\nstudies: {', '.join(options_of('study'))}")
    taken.add_argument("arguments", nargs="*", metavar="key=value", help="study=NAME, and options that differ")
    return taken


def validate(given: Arguments) -> tuple[StudyConfig, list[str]]:
    """The study, and the options for its runs. Raises ``UserError``."""
    return study_of(given.arguments)


def run(given: Arguments, valid: tuple[StudyConfig, list[str]]) -> int:
    """Conduct the study and write its page; a stop says how to go on."""
    from seq2seq.report.reporting import compare
    from seq2seq.study.plan import Study
    from seq2seq.system.signals import handling

    try:
        with handling(signal.default_int_handler, signal.SIGINT):  # shells ignore it for jobs in the background
            return compare(Study(*valid, given.arguments))
    except KeyboardInterrupt:
        return say_how_to_go_on("stopped and saved", "compare", given.arguments)
