"""``seq2seq compare``. Knows the options of a study; training, measuring and the page are made by other rooms."""

from __future__ import annotations

import signal
import textwrap
from typing import TYPE_CHECKING

from seq2seq.cli.arguments import Arguments, Parser, say_how_to_go_on
from seq2seq.cli.help import reference_of
from seq2seq.errors import UserError
from seq2seq.study.options import StudyConfig, study_of

if TYPE_CHECKING:
    from seq2seq.config.sweep import Launcher

ABOUT = """Train the models of a study side by side, measure them, and write one page that
explains the difference. Skips what is finished and goes on with what was cut.
Any option of seq2seq train is one of every run. As in train -m, the runs can be
left to hydra/launcher=joblib hydra.launcher.n_jobs=N or submitit_slurm."""


def parser() -> Parser:
    from seq2seq.config.compose import options_of

    studies = textwrap.fill(f"studies: {', '.join(options_of('study'))}", 78)
    taken = Parser("compare", ABOUT, f"{reference_of(StudyConfig())}\n\n{studies}")
    taken.add_argument("arguments", nargs="*", metavar="key=value", help="study=NAME, and options that differ")
    return taken


def validate(given: Arguments) -> tuple[StudyConfig, list[str], Launcher | None]:
    """The study, the options for its runs, and the launcher that is chosen for them. Raises ``UserError``."""
    from seq2seq.config.sweep import take_launcher
    from seq2seq.study.launchers import check_launcher

    launcher, arguments = take_launcher(given.arguments)
    check_launcher(launcher)
    options, of_runs = study_of(arguments)
    if launcher.arguments and options.workers:
        raise UserError(f"workers={options.workers} and hydra/launcher={launcher.name} both say how many run at a time")
    return options, of_runs, launcher if launcher.arguments else None


def run(given: Arguments, valid: tuple[StudyConfig, list[str], Launcher | None]) -> int:
    """Conduct the study and write its page; a stop says how to go on."""
    from seq2seq.report.reporting import compare
    from seq2seq.study.plan import Study
    from seq2seq.system.signals import handling

    try:
        with handling(signal.default_int_handler, signal.SIGINT):  # shells ignore it for jobs in the background
            options, of_runs, launcher = valid
            return compare(Study(options, of_runs, given.arguments, launcher))
    except KeyboardInterrupt:
        return say_how_to_go_on("stopped; all that was trained is saved", "compare", given.arguments)
