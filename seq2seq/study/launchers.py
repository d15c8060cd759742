"""Runs tasks through one of Hydra's launchers: side by side (joblib), or as jobs of a cluster (submitit).

Knows tasks and launchers; no run and no study. The launcher works in a process of its own (``launching``), which the
terminal's Ctrl-C does not reach, and each task is a process again, so that one that is killed takes no other with it.
A file asks them to stop; that also reaches jobs on other machines.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq.config.sweep import IN_TURN, Launcher
from seq2seq.errors import UserError
from seq2seq.study.runner import GRACE_SECONDS, POLL_SECONDS, Running, Task, last_words, run_all, start, told_share
from seq2seq.system.files import write_json
from seq2seq.system.processes import usable_cores
from seq2seq.system.signals import stop_flag
from seq2seq.terminal.progress import Display

SLURM = "submitit_slurm"


def check_launcher(launcher: Launcher) -> None:
    """Raise ``UserError`` for a launcher that cannot work on this machine."""
    if launcher.name == SLURM and not (shutil.which("sbatch") and shutil.which("srun")):
        raise UserError(
            f"hydra/launcher={SLURM} needs Slurm, and there is no sbatch and srun here: start it on a cluster's login "
            "node, or take hydra/launcher=joblib"
        )
    if launcher.options.get("n_jobs") == 0:
        raise UserError("hydra.launcher.n_jobs=0 is not possible: give a number of runs at a time, or -1 for all cores")


def at_a_time(launcher: Launcher, tasks: int) -> int:
    """How many of so many tasks share this machine."""
    if launcher.name == "submitit_local":  # it starts all of them
        return tasks
    if launcher.name != "joblib":
        return 1
    number = int(launcher.options["n_jobs"])
    return max(min(number if number > 0 else usable_cores() + 1 + number, tasks), 1)


def threads_of(launcher: Launcher, tasks: int) -> int | None:
    """CPU threads of each of so many tasks: those beside each other share the cores. None: torch's choice.

    Threads beyond the cores take turns on them, and a product waits for its slowest: two trainings of two threads each
    on two cores are slower than one after the other.
    """
    if launcher.name == SLURM:
        given = launcher.options["cpus_per_task"]
        return int(given) if given else None
    together = at_a_time(launcher, tasks)
    return max(usable_cores() // together, 1) if together > 1 else None


@dataclass(frozen=True)
class Round:
    """Tasks that are launched together, and the files that tell the launcher's process what to do."""

    tasks: Sequence[Task]
    file: Path  # JSON: what ``launching`` reads
    stop: Path  # as soon as this file is there, tasks stop and none is begun

    def running(self) -> list[Task]:
        """Tasks that have been begun and are not done."""
        return [task for task in self.tasks if task.log.exists() and not task.done()]

    def share(self) -> float:
        """The share of the work that is done, 0 to 1."""
        done = sum(task.done() for task in self.tasks)
        return (done + sum(told_share(task) or 0.0 for task in self.running())) / len(self.tasks)


def run_through(launcher: Launcher, tasks: Sequence[Task], threads: int | None, folder: Path) -> dict[str, str]:
    """Run the tasks that are not done; those that wait for others follow in a further round.

    Args:
        threads: CPU threads of each task; None: its own choice.
        folder: where the launcher keeps its files.

    Returns:
        The reason for each failure, by the label of the task.

    Raises:
        UserError: the launcher itself failed.
        KeyboardInterrupt: on SIGINT, SIGTERM or SIGHUP, after every task has stopped and has saved its state.
    """
    if launcher.name == IN_TURN:
        return run_all(tasks, 1, threads)
    failed: dict[str, str] = {}
    waiting = [task for task in tasks if not task.done()]
    while waiting:
        ready = [task for task in waiting if task.ready()]
        waiting = [task for task in waiting if task not in ready]
        if not ready:
            return failed | {task.label: "what it waited for did not come" for task in waiting}
        failed |= _launch(launcher, ready, threads, folder)
    return failed


def _launch(launcher: Launcher, tasks: Sequence[Task], threads: int | None, folder: Path) -> dict[str, str]:
    place = (folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}").resolve()
    one = Round(tasks, place / "tasks.json", place / "stop")
    place.mkdir(parents=True)
    for task in tasks:
        task.log.unlink(missing_ok=True)  # its presence says that the task has begun
    plan = [{"label": task.label, "command": list(task.command), "log": str(task.log.resolve())} for task in tasks]
    arguments = list(launcher.arguments)
    if launcher.name == "joblib":
        arguments.append(f"hydra.launcher.n_jobs={at_a_time(launcher, len(tasks))}")  # no idle workers
    write_json(one.file, {"launcher": arguments, "threads": threads, "stop": str(one.stop), "tasks": plan})
    host = Task(launcher.name, ["seq2seq.study.launching", str(one.file)], place / "launcher.log", 1.0, lambda: False)
    with Display() as display, stop_flag() as stopping:
        running = start(host, None)
        try:
            while running.process.poll() is None:
                stopping.check()
                now = ", ".join(f"{task.label} {told_share(task) or 0:.0%}" for task in one.running())
                done = sum(task.done() for task in tasks)
                display.update(one.share(), f"{done}/{len(tasks)} done  {now}")
                time.sleep(POLL_SECONDS)
            stopping.check()
        finally:
            one.stop.touch()  # for what is left of it
            _wait(running)
    undone = [task for task in tasks if not task.done()]
    if not undone:
        shutil.rmtree(place)
    if running.process.returncode and not any(task.log.exists() for task in tasks):
        raise UserError(f"hydra/launcher={launcher.name} failed: {last_words(host)}")
    return {task.label: last_words(task) if task.log.exists() else f"not begun: {last_words(host)}" for task in undone}


def _wait(host: Running) -> None:
    """Wait until the launcher, whose tasks have been asked to stop, has ended."""
    try:
        host.process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        host.process.kill()
