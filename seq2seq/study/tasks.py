"""The processes of a study as tasks: to train a run, to align the test pairs, to measure a run. Knows their commands,
when each may start and about how long it takes; starts nothing itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from seq2seq.analysis.measurements import FORGETTING, MEASUREMENTS, missing
from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.study.plan import DEFAULT_PACE, OVERHEAD_SECONDS, Planned, Study, seconds_of
from seq2seq.study.runner import Task
from seq2seq.system.devices import choose_device
from seq2seq.system.processes import usable_cores

ALIGNING = "aligning"  # the label of the task
MEASURING_SECONDS = 100.0  # for all measurements of a run


def training_task(study: Study, planned: Planned, after: Planned | None = None) -> Task:
    """``seq2seq train``, which continues a run that was cut off; it waits until ``after``, whose subwords it takes, has
    saved its state."""
    return Task(
        planned.label,
        ["seq2seq", "train", *planned.arguments],
        study.logs / f"{planned.label.replace('/', '-')}.log",
        expected_seconds(study, planned),
        lambda: planned.finished,
        lambda: after is None or after.run.finished or after.run.checkpoint("last").exists(),
    )


def measuring_tasks(
    runs: Sequence[tuple[Run, Config]], logs: Path, gold: str | None, corpus: bool, language_models: Sequence[Run] = ()
) -> list[Task]:
    """A process for each run that makes its measurements; it waits until the run, which may be planned, is finished.

    The measurement of forgetting needs a word alignment of the test pairs: ``gold`` (a Pharaoh file), else the
    corpus's own, else the attention of the first run that has any, the same for all runs: then it is a task of its
    own for each run, behind one that aligns. Without any of these nothing is measured on forgetting. ``corpus``:
    whether the files and the cache that the runs' configs name may be used. Of ``language_models``, which read no
    source, forgetting alone is measured, to be subtracted.
    """
    labels = _labels([run.folder for run in (*(run for run, _ in runs), *language_models)])
    measuring = partial(_measuring_task, labels=labels, logs=logs, gold=bool(gold), corpus=corpus)
    alone = (FORGETTING.name,)
    aligner = next((run for run, config in runs if config.model.sees == "positions"), None)
    if gold or aligner is None or runs[0][1].data.source == "grammar":
        links = Path(gold) if gold else None
        tasks = [measuring(run, links) for run, _ in runs]
        return tasks + [measuring(run, links, only=alone) for run in language_models]
    links = aligner.folder / "measurements" / "alignment.pharaoh"
    command = ["seq2seq", "align", str(aligner.folder), "--out", str(links)]

    def aligned() -> bool:
        newest = aligner.summary_file.stat().st_mtime if aligner.finished else math.inf
        return links.exists() and links.stat().st_mtime >= newest

    tasks = [Task(ALIGNING, command, logs / "aligning.log", OVERHEAD_SECONDS, aligned, lambda: aligner.finished)]
    others = tuple(name for name in MEASUREMENTS if name not in alone)
    tasks += [measuring(run, None, only=others) for run, _ in runs]
    return tasks + [measuring(run, links, aligned, alone) for run in (*(run for run, _ in runs), *language_models)]


def _labels(folders: Sequence[Path]) -> dict[Path, str]:
    """The last two parts of each folder's path, or as many as tell all of them apart."""
    paths = {folder: folder.absolute().parts for folder in folders}
    labels = dict[Path, str]()
    for length in range(2, max(map(len, paths.values()), default=2) + 1):
        labels = {folder: "/".join(parts[-length:]) for folder, parts in paths.items()}
        if len(set(labels.values())) == len(set(paths.values())):
            break
    return labels


def _measuring_task(
    run: Run,
    links: Path | None,
    aligned: Callable[[], bool] = lambda: True,
    only: Sequence[str] = tuple(MEASUREMENTS),
    *,
    labels: Mapping[Path, str],
    logs: Path,
    gold: bool,
    corpus: bool,
) -> Task:
    """The task that makes the measurements named in ``only``, once ``links`` is ``aligned``."""

    def ready() -> bool:
        return run.finished and aligned()

    label = f"measuring {labels[run.folder]}" + f" ({only[0]})" * (len(only) == 1)
    command = ["seq2seq.analysis.measurements", str(run.folder)]
    command += ([] if links is None else ["--links", str(links)]) + ["--gold"] * gold + ["--corpus"] * corpus
    command += ["--only", ",".join(only)] if len(only) < len(MEASUREMENTS) else []
    name = re.sub(r"[^\w.]+", "-", label).strip("-")
    log = logs / f"{name}.log"

    def done() -> bool:
        return ready() and not set(missing(run, links, gold)) & set(only)

    return Task(label, command, log, MEASURING_SECONDS * len(only) / len(MEASUREMENTS), done, ready)


def check_gold(gold: str | None, sentences: int) -> None:
    """Check, before hours are spent, that a gold alignment has one line for each test pair. Raises ``UserError``."""
    lines = files.measure(gold)[0] if gold else sentences
    if lines != sentences:
        raise UserError(f"{gold} has {lines:,} lines, but the test has {sentences:,} pairs: give one for each")


def expected_seconds(study: Study, planned: Planned) -> float:
    """Estimate of a run's time, from the speed of a finished trial of its model, else from the study's ``pace``."""
    model, tokens = planned.config.model.name, planned.config.trainer.max_tokens
    for trial in study.trials:
        if tokens is not None and trial.config.model.name == model and trial.run.finished:
            trained, seconds = cost_of_training(trial.run)
            return seconds / trained * tokens * 1.1 + OVERHEAD_SECONDS
    return seconds_of(planned.config, study.options.pace.get(model, DEFAULT_PACE))


def cost_of_training(run: Run) -> tuple[int, float]:
    """Target tokens that a finished run was trained on, and seconds of its updates; also of one that diverged."""
    last = run.points("valid/bleu")[-1]
    return int(last["train/tokens"]), float(last["train/seconds"])


def default_workers(device: str, threads: int) -> int:
    """Number of processes at a time: on a CPU as many as its cores give ``threads`` threads each; on a GPU one."""
    if choose_device(device).type != "cpu":
        return 1
    return max(usable_cores() // threads, 1)
