"""The runs of a sweep: their names, whether they can be trained, and what became of each.

Knows configs and run folders; the processes are the launcher's matter. Loads no torch.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq.config.schema import Config
from seq2seq.config.sweep import Combination, Launcher
from seq2seq.config.validation import short_keys
from seq2seq.config.verbatim import parse
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, differences, run_of
from seq2seq.study.launchers import run_through, threads_of
from seq2seq.study.plan import seconds_of
from seq2seq.study.runner import Task
from seq2seq.terminal.tables import print_table, say

LONGEST = 60  # characters of a value in the name of a folder
ConfigOf = Callable[[Sequence[str]], Config]
Check = Callable[[Config], Config]


@dataclass(frozen=True)
class Job:
    """A training of a sweep: the arguments of ``seq2seq train``, its name included, and the config that they give."""

    arguments: tuple[str, ...]
    config: Config
    began: float  # ``time.time()`` when the sweep was planned

    @property
    def run(self) -> Run:
        """The run folder, which may not exist yet."""
        return run_of(self.config)

    @property
    def label(self) -> str:
        """The run folder below ``outputs``."""
        return str(self.run.folder.relative_to(self.config.outputs))

    def done(self) -> bool:
        """Whether the run is finished, as its config wants it; by this sweep, where it is to be trained anew."""
        run = self.run
        if not run.finished:
            return False
        if self.config.overwrite:
            return run.summary_file.stat().st_mtime > self.began
        return not differences(run.load_config(), self.config)


@dataclass(frozen=True)
class Sweep:
    """All trainings of a sweep, and the launcher that runs them."""

    jobs: list[Job]
    launcher: Launcher

    @property
    def folder(self) -> Path:
        """Where the output of every training is written, and the launcher's files."""
        return Path(self.jobs[0].config.outputs) / "sweeps"


def plan(found: Sequence[Combination], launcher: Launcher, config_of: ConfigOf, check: Check) -> Sweep:
    """Compose and check every training before the first one begins.

    Args:
        config_of: the config of the arguments of one training.
        check: what a single training checks before it begins; returns the config.

    Raises:
        UserError: names the combination that cannot be trained, or two that are the same training.
    """
    jobs, taken, began = list[Job](), dict[Path, str](), time.time()
    for combination in found:
        shown = " ".join(combination.varied)
        try:
            job = _job(combination, config_of, began)
            check(job.config)
        except UserError as error:
            raise UserError(f"{shown}: {error}" if shown else str(error)) from error
        folder = job.run.folder.resolve()
        if folder in taken:
            raise UserError(f"{taken[folder]} and {shown} are one run, {job.run.folder}: leave one out, or vary name=")
        taken[folder] = shown
        jobs.append(job)
    return Sweep(jobs, launcher)


def _job(combination: Combination, config_of: ConfigOf, began: float) -> Job:
    arguments = list(combination.arguments)
    config = config_of(arguments)
    name = name_of(config, combination.varied)
    if name is not None:
        arguments = [*(argument for argument in arguments if not argument.startswith("name=")), f"name={name}"]
        config = config_of(arguments)
    run = run_of(config)
    if run.begun and not config.overwrite:
        changed = differences(run.load_config(), config)
        if changed and not config.extend:
            raise UserError(
                f"{run.folder} holds a run with another config ({'; '.join(changed[:3])}): choose another name=…, or "
                "throw it away with overwrite=true"
            )
        if run.finished:
            run.load_summary()  # damage is told now, not when the others are trained
    return Job(tuple(arguments), config, began)


def name_of(config: Config, varied: Sequence[str]) -> str | None:
    """The name of a run of a sweep; None where the usual name, DATA/MODEL/seedN, tells all that is varied.

    What the usual name does not tell is added to it: ``seed1-lr-0.004``. Under a ``name`` that is given, each run is a
    folder that tells all: ``mine/model-lstm-seed-1``. It depends on the run's own options and on which keys the sweep
    varies, so that the same sweep, and one with more values, finds its runs again.
    """
    pairs = [(key.lstrip("+"), value) for key, _, value in (argument.partition("=") for argument in varied)]
    told = {
        "seed": (str(config.seed),),
        "model": (config.model.name,),
        "data": (config.data.name,),
        "experiment": (config.model.name, f"{config.data.name}/{config.model.name}"),
    }
    given = config.name is not None
    pairs = [(key, value) for key, value in pairs if key != "name" and (given or value not in told.get(key, ()))]
    if not pairs:
        return None
    short = short_keys([key for key, _ in pairs])
    parts = "-".join(f"{short[key]}-{_in_a_name(value)}" for key, value in pairs)
    if len(parts) > 2 * LONGEST:
        parts = f"{parts[:LONGEST]}-{_digest(parts)}"
    return f"{config.name}/{parts}" if given else f"{config.data.name}/{config.model.name}/seed{config.seed}-{parts}"


def _in_a_name(value: str) -> str:
    """A value as a part of a folder's name; what other signs than letters, digits and dots said is in a checksum."""
    try:
        text = str(parse(f"value={value}", {}).value())
    except UserError:
        text = value
    plain = re.sub(r"[^\w.]+", "-", text).strip("-")
    same = re.fullmatch(r"-?[\w.]+(-[\w.]+)*", text) or re.fullmatch(r"\[[\w.]+(, [\w.]+)+\]", text)
    return plain if same and len(plain) <= LONGEST else f"{plain[:LONGEST]}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def conduct(sweep: Sweep) -> int:
    """Train every run that is not finished; print what became of each. Returns the exit code, 1 where a run failed.

    Raises:
        UserError: the launcher itself failed.
        KeyboardInterrupt: the user stopped it, and every training has saved its state.
    """
    before = {job.label for job in sweep.jobs if job.done()}
    left = len(sweep.jobs) - len(before)
    threads = threads_of(sweep.launcher, left)
    tasks = [_task(job, sweep.folder, threads) for job in sweep.jobs]
    by = f" by hydra/launcher={sweep.launcher.name}" if sweep.launcher.arguments else ""
    say(f"{len(tasks)} runs, {len(before)} of them finished; {left} to train{by}. Their output: {sweep.folder}/RUN.log")
    failed: Mapping[str, str] = {}
    try:
        failed = run_through(sweep.launcher, tasks, threads, sweep.folder / "launched")
    finally:
        _print_outcome(sweep, before, failed)
    return 1 if failed else 0


def _task(job: Job, folder: Path, threads: int | None) -> Task:
    own = [f"trainer.threads={threads}"] if threads and job.config.trainer.threads is None else []
    command = ["seq2seq", "train", *job.arguments, *own]
    return Task(job.label, command, folder / f"{job.label}.log", seconds_of(job.config), job.done)


def _print_outcome(sweep: Sweep, before: set[str], failed: Mapping[str, str]) -> None:
    """A row for each run: what became of it, and the scores of the test."""
    rows = []
    for job in sweep.jobs:
        scores = ("", "")
        if job.done():
            state = "finished before" if job.label in before else "finished"
            test = job.run.load_summary()["test"]
            scores = (f"{test['bleu']:.2f}", f"{test['nll']:.3f}")
        elif job.label in failed:
            state = "failed"
        else:
            state = "unfinished" if job.run.begun else "not begun"
        rows.append((job.label, state, *scores))
    print_table(f"sweep in {sweep.jobs[0].config.outputs}", ("run", "", "BLEU", "loss"), rows, left=("run", ""))
    for label, why in failed.items():
        say(f"{label} failed: {why}")
