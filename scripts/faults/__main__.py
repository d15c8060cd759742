"""Measure what each fault costs: ``python -m scripts.faults``. docs/seven-faults.md explains the faults and the table.

Finished trainings are skipped and interrupted ones go on, so it may be stopped (Ctrl-C) and started at will.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from scripts.faults import results
from scripts.faults.plan import NUMBERS, TRAININGS, rows_of, trainings_of
from seq2seq.config.compose import compose
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, differences, run_of
from seq2seq.study.fairness import unlike_entries
from seq2seq.study.runner import Task, minutes, run_all
from seq2seq.system.files import write_atomically, write_json
from seq2seq.system.processes import usable_cores
from seq2seq.terminal import tables

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = (
    *("trainer.max_tokens=1500000", "trainer.optimizer.warmup_steps=null", "trainer.valid_every=250"),
    *("trainer.samples=0", "trainer.threads=1"),
)
OVERHEAD_SECONDS = 120.0  # of a run outside its updates: start, validations, test, evaluations


def options_of(name: str, seed: int, given: Sequence[str]) -> list[str]:
    """The options of a training: ``key=value`` as for ``seq2seq train``, without what its faults add."""
    return [*OPTIONS, *given, f"name=faults/{name}/seed{seed}", f"seed={seed}"]


def task(name: str, evaluations: Sequence[str], seed: int, given: Sequence[str]) -> tuple[Task, Run]:
    """The process that trains and evaluates, and the run that it makes.

    Raises:
        UserError: the run is finished, with other options.
    """
    training, options = TRAININGS[name], options_of(name, seed, given)
    config = compose([f"experiment={training.experiment}", *options, *training.options])
    run = run_of(config)
    if run.finished and (changed := differences(run.load_config(), config)):
        advice = "give another outputs=…, or delete the folder to train it anew"
        raise UserError(f"{run.folder} is finished, with other options ({'; '.join(changed[:3])}): {advice}")
    made = [run.summary_file, *(run.evaluation(each) / "scores.json" for each in evaluations)]
    seconds = training.pace * (config.trainer.max_tokens or 0) / 1e6 + OVERHEAD_SECONDS
    command = ["scripts.faults.worker", name, ",".join(evaluations), *options]
    log = Path(config.outputs) / "faults" / name / f"seed{seed}.log"
    return Task(f"{name}/seed{seed}", command, log, seconds, partial(all_exist, made)), run


def all_exist(paths: Sequence[Path]) -> bool:
    """Whether every file is there."""
    return all(path.exists() for path in paths)


def measure(faults: Sequence[str], seeds: Sequence[int], given: Sequence[str]) -> list[results.Result]:
    """Train and evaluate what is missing; returns the lines of the table.

    Raises:
        UserError: an impossible option, a training failed, or some were made by other code or from other text.
    """
    rows = rows_of(faults)
    planned = {
        name: [task(name, evaluations, seed, given) for seed in seeds]
        for name, evaluations in trainings_of(rows).items()
    }
    tasks = [one for pairs in planned.values() for one, _ in pairs]
    missing = [one for one in tasks if not one.done()]
    workers = usable_cores()
    if missing:
        left = minutes(sum(one.seconds for one in missing) / workers)
        tables.say(f"{len(missing)} of {len(tasks)} trainings to do, {workers} at a time: about {left} on slow cores")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    trained = [run for pairs in planned.values() for _, run in pairs]
    check_alike([run for run in trained if run.finished])
    if failed := run_all(tasks, workers, 1):
        raise UserError("; ".join(f"{label} failed: {why}" for label, why in failed.items()))
    check_alike(trained)
    runs = results.Runs({name: [run for _, run in pairs] for name, pairs in planned.items()})
    return [runs.result(row) for row in rows]


def check_alike(runs: Sequence[Run]) -> None:
    """Raise ``UserError`` where runs were made by other code or versions, or from other text, than the first."""
    for run in runs[1:]:
        if differing := unlike_entries(runs[0], run):
            advice = "give another outputs=…, or delete the older folders to train them anew"
            raise UserError(f"{run.folder} is not like {runs[0].folder}: {', '.join(differing)}: {advice}")


def file_of(faults: Sequence[str]) -> str:
    """The name of a table's files: ``faults``, or for a part ``faults-5-6``, so that it leaves the whole as it is."""
    part = [number for number in NUMBERS if number in faults]
    return "faults" if len(part) == len(NUMBERS) else "-".join(["faults", *part])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and keep it as ``faults.json`` and ``faults.md``, or under the name of the part."""
    parser = argparse.ArgumentParser("python -m scripts.faults", description="What seven faults cost in BLEU.")
    parser.add_argument("options", nargs="*", metavar="key=value", help="options of every training")
    parser.add_argument("--only", default=",".join(NUMBERS), help="numbers of the faults, e.g. 5,6 (default: all)")
    parser.add_argument("--seeds", default="1,2,3", help="seeds of each training; from three on intervals cover them")
    given = parser.parse_args(arguments)
    faults, seeds = given.only.split(","), given.seeds.split(",")
    try:
        if wrong := [each for each in faults if each not in NUMBERS]:
            raise UserError(f"--only {wrong[0]}: the faults are {','.join(NUMBERS)}")
        if wrong := [each for each in seeds if not each.isdecimal()] or seeds[len(set(seeds)) :]:
            raise UserError(f"--seeds {given.seeds}: give different whole numbers, e.g. 1,2,3")
        found = measure(faults, [*map(int, seeds)], given.options)
        folder = Path(compose(given.options).outputs) / "faults"
        settings = {"options": [*OPTIONS, *given.options], "seeds": [*map(int, seeds)]}
        name, table = file_of(faults), results.markdown(found)
        write_json(folder / f"{name}.json", {**settings, "rows": found})
        write_atomically(folder / f"{name}.md", table)
    except UserError as error:
        print(f"faults: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("faults: stopped; the same command goes on", file=sys.stderr)
        return 130
    heads = results.columns(found)[:5]
    tables.print_table(
        "what each fault costs in BLEU", heads, (results.cells(one)[:5] for one in found), left=heads[:2]
    )
    tables.say(f"intervals cover {found[0]['covers']}; by length: {folder}/{name}.md and {name}.json")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
