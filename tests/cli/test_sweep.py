"""``seq2seq train -m``, as a user runs it: real processes, launchers, a failure, a stop, the same command again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from seq2seq.runs.run import Run
from seq2seq.study.resuming import differences

SEQ2SEQ = str(Path(sys.executable).parent / "seq2seq")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
TINY = (
    *("experiment=lstm", "model.embedding=8", "model.encoder.width=8", "model.decoder.width=8", "device=cpu"),
    *("model.decoder.context_width=8", "data.grammar.pairs=60", "data.grammar.valid=4", "data.grammar.test=4"),
    *("data.grammar.max_words=6", "data.subwords.vocab_size=400", "trainer.batch_tokens=128", "trainer.max_steps=4"),
    *("trainer.max_tokens=null", "trainer.valid_every=2", "trainer.save_every=2", "trainer.samples=0"),
    *("trainer.precision=fp32", "decode.beam=1", "data.filters.max_length=64"),
)


def arguments(folder: Path, *more: str) -> list[str]:
    return ["train", "-m", *TINY, f"data.cache={folder}/cache", f"outputs={folder}/outputs", *more]


def run(given: list[str], code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "COLUMNS": "100", **environment}
    done = subprocess.run([SEQ2SEQ, *given], capture_output=True, text=True, env=settings, timeout=200)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def state(table: str, run: str) -> str:
    """What a sweep's table says became of a run."""
    (row,) = [line for line in table.splitlines() if line.startswith("│") and line.split("│")[1].strip() == run]
    return row.split("│")[2].strip()


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_failure_stops_no_other_run_and_what_is_finished_is_skipped(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    swept = ["trainer.precision=fp32,fp16", "trainer.threads=1"]  # fp16 needs a GPU
    done = run(arguments(tmp_path, *swept, *JOBLIB), code=1)
    outputs = tmp_path / "outputs"
    names = [f"embedded/lstm/seed1-precision-{precision}" for precision in ("fp32", "fp16")]
    assert [state(done.stdout, name) for name in names] == ["finished", "failed"]
    assert f"{names[1]} failed: trainer.precision=fp16 needs a GPU" in done.stdout
    before = snapshot(outputs / names[0])
    again = run(arguments(tmp_path, *swept), code=1)
    assert [state(again.stdout, name) for name in names] == ["finished before", "failed"]
    assert snapshot(outputs / names[0]) == before


@pytest.mark.slow
def test_the_results_are_the_same_bits_whichever_launcher_ran_them(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    places = [tmp_path / "beside", tmp_path / "turn"]
    for place, launcher in zip(places, (JOBLIB, ()), strict=True):
        run(arguments(tmp_path, "seed=1,2", "trainer.threads=1", f"outputs={place}", *launcher))
    for name in ("embedded/lstm/seed1", "embedded/lstm/seed2"):
        assert differences(*(Run(place / name) for place in places)) == []


def test_nothing_begins_where_one_combination_is_impossible(tmp_path: Path) -> None:
    said = run(arguments(tmp_path, "seed=1,2", "trainer.batch_tokens=128,16"), code=2).stderr
    assert said.startswith("seq2seq: error: trainer.batch_tokens=16 seed=1: ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_one_training_takes_no_launcher_and_no_several_values(tmp_path: Path) -> None:
    single = [each for each in arguments(tmp_path) if each != "-m"]
    assert "train -m" in run([*single, "seed=1,2"], code=2).stderr
    assert "train -m" in run([*single, *JOBLIB], code=2).stderr
    own = tmp_path / "mine.yaml"
    for text in (
        "defaults:\n  - override /model: lstm\n  - override /hydra/launcher: joblib\n",
        "hydra:\n  launcher: {}\n",
    ):
        own.write_text(text)
        said = run(["train", "-m", f"experiment={own}", "seed=1,2"], code=2).stderr
        assert "comes too late" in said and said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), JOBLIB], ids=["in turn", "joblib"])
def test_a_stop_saves_what_runs_and_the_same_command_goes_on(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    if launcher:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    given = arguments(tmp_path, "seed=1,2,3", "trainer.max_steps=20000", "trainer.valid_every=20000", *launcher)
    log = tmp_path / "stderr"
    first = Run(tmp_path / "outputs/embedded/lstm/seed1")
    with started(given, log) as process:
        waited_for(lambda: first.checkpoint("last").exists())
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everything in the foreground gets it
        assert process.wait(60) == 130
    said = log.read_text()
    assert state(said, "embedded/lstm/seed1") == "unfinished" and state(said, "embedded/lstm/seed3") == "not begun"
    assert "to go on, the same command again: seq2seq train -m experiment=lstm" in said and "Traceback" not in said
    output = tmp_path / "outputs/sweeps/embedded/lstm/seed1.log"
    assert "stopped; all that was trained is saved" in output.read_text() and not first.finished
    with started(given, log):
        waited_for(lambda: output.exists() and "going on with" in output.read_text())
    # Killed, it asks nobody to stop; who runs for it stops all the same.
    waited_for(lambda: "stopped; all that was trained is saved" in output.read_text())
    waited_for(lambda: not processes_below(tmp_path))
    assert not Run(tmp_path / "outputs/embedded/lstm/seed3").folder.exists()


def processes_below(folder: Path) -> list[str]:
    """The command lines of trainings and launchers that work in ``folder``."""
    if not Path("/proc").is_dir():
        return []
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes().decode(errors="replace"))
    return [line for line in lines if str(folder) in line]


@contextmanager
def started(given: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end, if it still runs."""
    with (
        log.open("w") as file,
        subprocess.Popen([SEQ2SEQ, *given], stdout=file, stderr=file, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def waited_for(there: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.1)


SBATCH = """#!{python}
import os, subprocess, sys
script = sys.argv[1]
lines = open(script).read().splitlines()
array = [line for line in lines if line.startswith("#SBATCH --array=")]
numbers = range(int(array[0].partition("=")[2].partition("%")[0].partition("-")[2]) + 1) if array else [None]
for number in numbers:
    place = {{"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": str(number)}} if array else {{}}
    names = {{"SLURM_JOB_ID": f"77{{number or 0}}", "SLURM_PROCID": "0", "SLURM_NTASKS": "1", **place}}
    env = {{**os.environ, **names, "SLURM_NODEID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "here"}}
    nowhere = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.Popen(["bash", script], env=env, start_new_session=True, **nowhere)
print("Submitted batch job 77")
"""
SRUN = """#!{python}
import os, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[2:] if words[0] in ("--output", "--error") else words[1:]
os.execvp(words[0], words)
"""
SACCT = "#!{python}\nprint('JobID|State|NodeList')\nfor n in range(9): print(f'77_{{n}}|RUNNING|here')\n"


@pytest.mark.slow
def test_a_sweep_on_slurm(tmp_path: Path) -> None:
    """Slurm's commands are stand-ins on PATH: sbatch starts the script of each job of the array, as Slurm would."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT), ("scancel", "#!/bin/sh\n")):
        (commands / name).write_text(text.format(python=sys.executable))
        (commands / name).chmod(0o755)
    path = f"{commands}:{os.environ['PATH']}"
    swept = ["trainer.precision=fp32,fp16", "hydra/launcher=submitit_slurm"]
    said = run(arguments(tmp_path, *swept), code=2).stderr
    assert "needs Slurm" in said and said.count("\n") == 1
    more = ["hydra.launcher.partition=short", "hydra.launcher.cpus_per_task=1"]
    done = run(arguments(tmp_path, *swept, *more), code=1, PATH=path)
    assert state(done.stdout, "embedded/lstm/seed1-precision-fp32") == "finished"
    assert "seed1-precision-fp16 failed: trainer.precision=fp16 needs a GPU" in done.stdout
    (script,) = (tmp_path / "outputs/sweeps/launched").rglob("*_submission.sh")
    assert "#SBATCH --partition=short" in script.read_text()


@pytest.mark.slow
def test_a_sweep_by_submitit_on_this_machine(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    given = arguments(tmp_path, "seed=1,2", "trainer.precision=fp32,fp16", "hydra/launcher=submitit_local")
    done = run(given, code=1)
    assert state(done.stdout, "embedded/lstm/seed2-precision-fp32") == "finished"
    assert "seed1-precision-fp16 failed: trainer.precision=fp16 needs a GPU" in done.stdout
