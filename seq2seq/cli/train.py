"""``seq2seq train``. Knows configs and the session that trains them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from seq2seq.cli.arguments import Arguments, Parser, say_how_to_go_on
from seq2seq.cli.help import reference
from seq2seq.config.schema import Config
from seq2seq.config.sweep import combinations, take_launcher
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, find, run_of
from seq2seq.study.launchers import check_launcher
from seq2seq.study.sweep import Sweep, conduct, plan
from seq2seq.system.processes import place

ABOUT = """Train a model, test it, and print the scores. The same command again goes on
where it stopped. With -m, train each combination of the values: -m seed=1,2,3
experiment=lstm,transformer; in turn, or by hydra/launcher=joblib
hydra.launcher.n_jobs=2 side by side, or by hydra/launcher=submitit_slurm."""


def parser() -> Parser:
    taken = Parser("train", ABOUT, reference(("data", "model", "trainer", "decode", "")))
    taken.add_argument("arguments", nargs="*", metavar="key=value", help="experiment=NAME, and options that differ")
    taken.add_argument("-m", "--multirun", action="store_true", help="several values of an option are a sweep")
    return taken


def validate(given: Arguments) -> Config | Sweep | None:
    """The config, or all that a sweep trains; None in a process that follows another's orders.

    Raises:
        UserError: an impossible config, or what ``check`` finds.
    """
    rank, world, _ = place()
    if rank:
        return None
    if not given.multirun:
        return check(config_of(given.arguments))
    if world > 1:
        raise UserError("-m starts processes of its own: start it without torchrun")
    launcher, arguments = take_launcher(given.arguments)
    check_launcher(launcher)
    return plan(combinations(arguments), launcher, config_of, check)


def config_of(arguments: Sequence[str]) -> Config:
    """The config of the arguments of one training. Raises ``UserError`` for an impossible one."""
    from seq2seq.config.compose import compose, names_model

    model = None
    if not names_model(arguments):
        init = _value_of("init", arguments)
        if init is None:
            compose([*arguments, "experiment=lstm"])  # complains of what is misspelt
            raise UserError(
                "say what to train: experiment=lstm, bahdanau, transformer, … (seq2seq configs lists all), or init=RUN"
            )
        model = find(Path(init))[0].load_config().model
    return compose(arguments, model)


def check(config: Config) -> Config:
    """Check what a training finds around it; return its config.

    Raises:
        UserError: somebody's files in the run's place, no run to start from, a tracker that is not installed, a
            device that no step is compiled for, or neither the hub nor a copy of its data.
    """
    from seq2seq.config.validation import check_compiled_on
    from seq2seq.training.trackio_log import check_installed

    check_installed(config)
    check_compiled_on(config.trainer, config.device)
    run = run_of(config)
    run.refuse_other_content()
    if config.overwrite or not run.begun:
        for path in filter(None, (config.init, config.subwords_of)):
            _check_source(path, run)
    if config.data.source == "hub" and config.data.hub.repo and not run.finished:
        from seq2seq.data.hub import check_reach

        check_reach(config.data)
    return config


def _value_of(key: str, arguments: Sequence[str]) -> str | None:
    """The value of the last ``key=value``; None without one."""
    from seq2seq.config.verbatim import parse

    found = [argument for argument in arguments if argument.partition("=")[0] == key]
    value = parse(found[-1]).value() if found else None
    return None if value is None else str(value)


def _check_source(path: str, run: Run) -> None:
    """Raise ``UserError`` if the run from which weights or subwords are to be taken is not there, or is ``run``."""
    source = find(Path(path))[0]
    if source.folder.resolve() == run.folder.resolve():
        raise UserError(f"{path} is the run itself: give name=…, or train it longer with extend=true")


def run(given: Arguments, config: Config | Sweep | None) -> int:
    """Train; a stop says how to go on."""
    if config is None:
        from seq2seq.training.following import follow

        follow()
        return 0
    if isinstance(config, Sweep):
        return _run_sweep(given, config)
    from seq2seq.system.distributed import joined
    from seq2seq.training import session
    from seq2seq.training.trainer import Stopped

    threading.excepthook = _no_traceback_for_os_errors
    try:
        with joined() as group:
            session.train(config, group)
    except (Stopped, KeyboardInterrupt) as stop:
        done = "stopped and saved" if isinstance(stop, Stopped) else "stopped"
        return say_how_to_go_on(done, "train", _to_go_on(given.arguments))
    return 0


def _run_sweep(given: Arguments, sweep: Sweep) -> int:
    """Train all runs of a sweep that are not finished; a stop says how to go on."""
    try:
        return conduct(sweep)
    except KeyboardInterrupt:
        return say_how_to_go_on("stopped; all that was trained is saved", "train", ["-m", *_to_go_on(given.arguments)])


def _to_go_on(arguments: Sequence[str]) -> list[str]:
    """The arguments of the command that continues a stopped one."""
    return [argument for argument in arguments if not argument.startswith("overwrite=")]


def _no_traceback_for_os_errors(told: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer thread hands a full disk on to the main thread, which reports it."""
    if not isinstance(told.exc_value, OSError):
        threading.__excepthook__(told)
