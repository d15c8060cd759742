"""Processes side by side: real ones, small; failures, waiting, and a stop that reaches every child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.study.runner import Plan, Running, Task, minutes, run_all, tail


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Task]:
    """``task(label, code)``: a task that runs a module made of ``code``; done when ``<label>.done`` is there."""

    def make(label: str, code: str, seconds: float = 1.0, ready: Callable[[], bool] = lambda: True) -> Task:
        (tmp_path / f"task_{label}.py").write_text(textwrap.dedent(code))
        done = tmp_path / f"{label}.done"
        return Task(label, [f"task_{label}", str(done)], tmp_path / f"{label}.log", seconds, done.exists, ready)

    return make


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


DONE = "import sys, pathlib; pathlib.Path(sys.argv[1]).touch()"


def test_what_is_not_done_is_run_and_what_is_done_is_not(task: Callable[..., Task], tmp_path: Path) -> None:
    (tmp_path / "old.done").touch()
    tasks = [task("old", "raise SystemExit(9)"), task("one", DONE), task("two", DONE)]
    assert run_all(tasks, 2, 1) == {}
    assert all(each.done() for each in tasks)
    assert not (tmp_path / "old.log").exists()


def test_a_failure_is_told_with_its_last_line_and_the_others_go_on(task: Callable[..., Task], tmp_path: Path) -> None:
    bad = "import sys; print('a line'); print('seq2seq: error: no such file', file=sys.stderr); sys.exit(2)"
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    tasks = [task("bad", bad, 3), task("killed", killed, 2), task("good", DONE, 1)]
    failed = run_all(tasks, 1, 1)
    assert failed["bad"] == f"no such file (see {tmp_path / 'bad.log'})"
    assert "signal 9" in failed["killed"] and set(failed) == {"bad", "killed"}
    assert tasks[2].done()


def test_a_task_waits_for_another_and_is_not_started_when_that_fails(task: Callable[..., Task], tmp_path: Path) -> None:
    first = task("first", "import time; time.sleep(0.5)\n" + DONE)
    after = task("after", f"import pathlib; assert pathlib.Path({str(tmp_path / 'first.done')!r}).exists()\n{DONE}",
                 ready=first.done)  # fmt: skip
    assert run_all([after, first], 2, 1) == {} and after.done()
    broken = task("broken", "raise SystemExit(2)")
    never = task("never", DONE, ready=broken.done)
    failed = run_all([broken, never], 2, 1)
    assert set(failed) == {"broken", "never"} and failed["never"] == "what it waited for did not come"
    assert not never.done()


def test_tasks_that_follow_from_one_that_is_done_begin_while_others_still_run(
    task: Callable[..., Task], tmp_path: Path
) -> None:
    """``slow`` waits for what follows from ``quick``: a round of both would never end."""
    follows = task("follows", DONE)
    slow = task(
        "slow",
        f"""
        import pathlib, sys, time
        while not pathlib.Path({str(tmp_path / "follows.done")!r}).exists():
            time.sleep(0.05)
        pathlib.Path(sys.argv[1]).touch()
        """,
    )
    quick = task("quick", DONE)
    first = [slow, quick]
    assert run_all(first, 2, 1, lambda: [*first, *([follows] if quick.done() else [])]) == {}
    assert slow.done() and follows.done()


def test_processes_get_their_threads_and_no_terminal(task: Callable[..., Task], tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['OMP_NUM_THREADS'], repr(sys.stdin.read()))\n" + DONE
    assert run_all([task("env", code)], 1, 3) == {}
    assert (tmp_path / "env.log").read_text() == "3 ''\n"


STOPPABLE = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(sys.argv[1] + ".saved").touch()
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1] + ".started").touch()
time.sleep(60)
"""

PARENT = """
import sys, pathlib
from seq2seq.study.runner import Task, run_all
folder = pathlib.Path(sys.argv[1])
tasks = [Task(n, ["task_" + n, str(folder / n)], folder / (n + ".log"), 1.0, lambda: False) for n in ("a", "b")]
run_all(tasks, 2, 1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_reaches_every_child_and_lets_it_save(tmp_path: Path, number: signal.Signals) -> None:
    for name in ("a", "b"):
        (tmp_path / f"task_{name}.py").write_text(STOPPABLE)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "a.started", tmp_path / "b.started")
    os.kill(parent.pid, number)
    parent.wait(30)
    wait_for(tmp_path / "a.saved", tmp_path / "b.saved")


def test_a_stop_while_a_process_is_started_reaches_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task_a.py").write_text(STOPPABLE)
    monkeypatch.chdir(tmp_path)
    real = subprocess.Popen

    def stopped_there(*given: Any, **options: Any) -> Any:
        process = real(*given, **options)
        wait_for(tmp_path / "a.started")
        os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", stopped_there)
    with pytest.raises(KeyboardInterrupt):
        run_all([Task("a", ["task_a", str(tmp_path / "a")], tmp_path / "a.log", 1.0, lambda: False)], 1, 1)
    assert (tmp_path / "a.saved").exists()


def test_a_stop_while_the_last_process_ends_is_not_lost(task: Callable[..., Task]) -> None:
    one, asked = task("one", DONE), list[bool]()

    def done() -> bool:
        if one.done() and not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return one.done()

    with pytest.raises(KeyboardInterrupt):
        run_all([replace(one, done=done)], 1, 1)
    assert one.done()


def wait_for(*paths: Path) -> None:
    until = time.monotonic() + 30
    while not all(path.exists() for path in paths):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def test_the_share_is_the_last_percentage_of_the_log(task: Callable[..., Task], tmp_path: Path) -> None:
    one = task("one", DONE, seconds=1000.0)
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    running = Running(one, process, time.monotonic() - 100)
    assert running.share() == pytest.approx(0.1, abs=0.01)
    one.log.write_text(" 3.0%  loss 2\nstep 5\n 41.5%  loss 1\n")
    assert running.share() == 0.415
    one.log.write_text("100.0%\n")
    assert running.share() == 0.99


class Told:
    """A display that keeps the last share and the last time that it was told."""

    def update(self, share: float, figures: str, left: float) -> None:
        self.share, self.figures, self.left = share, figures, left


def test_the_time_left_is_the_plans_until_another_pace_is_seen(task: Callable[..., Task], tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    plan, told = Plan(workers=2, total=3000.0), Told()
    later, one = task("later", DONE, seconds=1000.0), task("one", DONE, seconds=2000.0)
    running = Running(one, process, time.monotonic())
    plan.show(told, [later], [running])  # type: ignore[arg-type]
    assert told.left == pytest.approx(1500, rel=0.01) and told.share == pytest.approx(0, abs=0.01)
    one.log.write_text("50.0%\n")  # another process had come so far before: nothing is known of the pace
    plan.show(told, [later], [running])  # type: ignore[arg-type]
    assert told.left == pytest.approx(1000, rel=0.01) and told.figures == "one 50%"
    one.log.write_text("50.0%\n80.0%\n")  # 300 of the plan's seconds for each worker, in twice the time
    plan.began -= 600
    plan.show(told, [later], [running])  # type: ignore[arg-type]
    assert told.left == pytest.approx(700 * 900 / 600, rel=0.01)


def test_the_tail_is_the_end_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path) == b""
    path.write_bytes(b"x" * 5000 + b"end")
    assert tail(path, 4) == b"xend"


@pytest.mark.parametrize(("seconds", "text"), [(5, "under a minute"), (61, "1 min"), (3000, "50 min"), (7200, "2.0 h")])
def test_minutes_are_said_as_people_do(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


def test_a_folder_of_the_packages_name_where_the_user_is_does_not_stand_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 always looks into the current folder first")
    (tmp_path / "elsewhere/seq2seq").mkdir(parents=True)
    (tmp_path / "elsewhere/seq2seq/__init__.py").write_text("raise SystemExit('the wrong package')\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    log = tmp_path / "log"
    done = Task("help", ["seq2seq", "--help"], log, 1.0, lambda: "seq2seq VERB" in tail(log).decode())
    assert run_all([done], 1, 1) == {}
