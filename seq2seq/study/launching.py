"""The process in which one of Hydra's launchers runs tasks, and what each of its jobs does.

``python -m seq2seq.study.launching tasks.json``. Knows Hydra's plugins and the processes of tasks; no run and no study.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from hydra import compose, initialize_config_module
from hydra._internal.callbacks import Callbacks
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from seq2seq.study.runner import POLL_SECONDS, STOPPED, Running, Task, killed, start, stop
from seq2seq.system.files import read_json
from seq2seq.system.signals import STOPS, Handler, handling

JOB = "_job"  # the name of the config that a launcher composes for each job: which of the tasks it is
QUIET = ("hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.sweep.subdir=.")


def main(file: str) -> None:
    """Launch the tasks of a file that ``launchers`` wrote; returns when all of them have ended."""
    plan = read_json(Path(file), "a list of tasks")
    ConfigStore.instance().store(name=JOB, node={"file": "", "number": 0})
    folder = _quoted(str(Path(file).parent))
    with initialize_config_module("seq2seq.configs", version_base="1.3"):
        config = compose(JOB, [*plan["launcher"], *QUIET, f"hydra.sweep.dir={folder}"], return_hydra_config=True)
        context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
        launcher = Plugins.instance().instantiate_launcher(context, run_task, config)
        jobs = [[f"file={_quoted(file)}", f"number={number}"] for number in range(len(plan["tasks"]))]
        # Whoever waits for us is gone, and sends SIGTERM by its end: no further task may begin.
        with handling(lambda *_: Path(plan["stop"]).touch(), signal.SIGINT, *STOPS):
            launcher.launch(jobs, initial_job_idx=0)


def _quoted(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()


def run_task(config: DictConfig) -> int:
    """Run one task, as a process; returns its exit code, which is also told by the last line of its log.

    The process is asked to save its state and to stop when the file that says so is there, when the launcher that
    started this job is gone, and when a cluster says by a signal that time is up.
    """
    plan = read_json(Path(config.file), "a list of tasks")
    task, asked = plan["tasks"][config.number], Path(plan["stop"])
    if asked.exists():
        return STOPPED
    running = start(Task(task["label"], task["command"], Path(task["log"]), 1.0, lambda: False), plan["threads"])
    parent = os.getppid()
    with _saved_before_a_cluster_ends_it(running):
        while running.process.poll() is None:
            if asked.exists() or os.getppid() != parent:
                stop([running])
            time.sleep(POLL_SECONDS)
    code = running.process.returncode
    if code < 0:
        with running.task.log.open("a", encoding="utf-8") as log:
            print(f"\n{killed(code)}", file=log)
    return code


@contextmanager
def _saved_before_a_cluster_ends_it(running: Running) -> Iterator[None]:
    """Stop the task before submitit answers the signal with which Slurm announces the end of the job's time."""
    with ExitStack() as stack:
        for number in (signal.SIGUSR1, signal.SIGUSR2) if sys.platform != "win32" else ():
            before = signal.getsignal(number)
            if callable(before):
                stack.enter_context(handling(_first_stopping(running, before), number))
        yield


def _first_stopping(running: Running, then: Handler) -> Handler:
    def handler(number: int, frame: FrameType | None) -> None:
        stop([running])
        then(number, frame)

    return handler


if __name__ == "__main__":
    from seq2seq.study.launching import main as launch  # workers find ``run_task`` by the module's name

    launch(sys.argv[1])
