"""What ``seq2seq compare`` does, in its order: say what will be run, trials, runs, measurements, the page."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from seq2seq.analysis.measurements import missing
from seq2seq.config.schema import DataConfig
from seq2seq.data import files
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError
from seq2seq.models.build import build, parameters_by_part
from seq2seq.report.page.page import require_charts, tensorboard_summary, write_page
from seq2seq.report.sections.assembly import material_of_runs, material_of_study, page_of
from seq2seq.report.sections.material import Material
from seq2seq.runs.run import Run, find
from seq2seq.study.options import StudyConfig
from seq2seq.study.plan import Planned, Study, check_alike, check_parameters, check_prints
from seq2seq.study.runner import Task, minutes, run_all
from seq2seq.system.devices import choose_device

PACE = 150.0  # seconds a million target tokens, for a model of which nothing is known
AROUND = 25.0  # seconds of a run that are not training: starting, validations, the test
MEASURING = 100.0  # seconds that the measurements of a run take


def compare(study: Study) -> int:
    """Train what is missing, measure, write the page; returns the exit code, 1 where a run failed.

    Raises:
        UserError: before anything is trained, for what cannot be compared fairly.
        KeyboardInterrupt: stopped; the same command goes on.
    """
    require_charts()
    options = study.options
    trials = study.trials
    first = options.rates[0] if options.rates else None
    draft = study.runs(dict.fromkeys(options.models, first))
    announce(study, trials, draft)
    config = draft[0].config
    corpus = prepare(config.data)
    counts = {planned.model: count_parameters(planned, corpus) for planned in draft[: len(options.models)]}
    anyway = options.anyway or options.match != "parameters"
    warnings = check_parameters(counts, options.tolerance, anyway)
    check_gold(options.gold, len(corpus.splits["test"]))
    workers = options.workers or default_workers(config.device, options.threads)
    failed = run_all([training(study, planned) for planned in trials], workers, options.threads)
    rates = study.rates()
    for model, rate in rates.items():
        if rate is not None:
            print(f"{model}: learning rate {rate:g}", file=sys.stderr)
    runs = study.runs(rates, cost_of_a_token(study, counts))
    variants = [planned for _, planned in study.variants(rates)]
    tasks = [training(study, planned) for planned in [*runs, *variants]]
    tasks += measuring([planned.run for planned in runs], config.data, study.logs, options.gold, reader_of(runs))
    failed |= run_all(tasks, workers, options.threads)
    finished = sorted((planned for planned in runs if planned.finished), key=lambda p: options.models.index(p.model))
    warnings += [f"{label} failed and is left out: {why}" for label, why in failed.items()]
    if not finished:
        raise UserError(f"nothing to compare, no run came to an end: {'; '.join(failed.values())}")
    allowed = () if options.match == "parameters" else ("trainer.max_tokens",)
    warnings += check_alike([planned.run for planned in finished], options.anyway, allowed)
    aside = [planned.run for planned in [*trials, *variants] if planned.finished]
    warnings += check_prints([finished[0].run, *aside], options.anyway)
    write(material_of_study(study, rates, [planned.run for planned in finished], warnings), study.report)
    return 1 if failed else 0


def write(material: Material, folder: Path) -> None:
    """Make the page, and say where it is and what it says."""
    page = page_of(material)
    path = write_page(page, folder)
    tensorboard_summary(page, folder)
    print()
    for sentence in page.answer:
        print(textwrap.fill(sentence, 80))
    for warning in page.warnings:
        print(textwrap.fill(f"warning: {warning}", 80))
    print(f"\nopen {path} in a browser")


def report(
    runs: Sequence[Path],
    folder: Path,
    title: str,
    edges: list[int],
    gold: str | None,
    anyway: bool,
    given: Sequence[str],
) -> int:
    """Make the page from finished runs, measuring first what has not been measured; 1 where that failed.

    Raises:
        UserError: a run is not finished, or they are not alike and nobody said to go on anyway.
    """
    require_charts()
    found = [find(path)[0] for path in runs]
    found.sort(key=lambda run: run.load_config().model.decoder.sees == "positions")  # the baseline comes first
    warnings = check_alike(found, anyway)
    command = shlex.join(["seq2seq", "report", *given])
    material = material_of_runs(found, title, edges, warnings=warnings, commands=[command], gold=gold)
    counts = {group.model: group.parameters for group in material.groups}
    warnings += check_parameters(counts, StudyConfig.tolerance, anyway)
    check_gold(gold, len(material.src))
    looking = [run for run in found if run.load_config().model.decoder.sees == "positions"]
    tasks = measuring(found, material.config.data, folder / "logs", gold, looking[0] if looking else None)
    failed = run_all(tasks, default_workers(material.config.device, 1), 1)
    material.warnings.extend(f"{label} failed: {why}" for label, why in failed.items())
    write(material, folder)
    return 1 if failed else 0


# ---------------------------------------------------------------------------------------------------- the plan


def announce(study: Study, trials: Sequence[Planned], runs: Sequence[Planned]) -> None:
    """Say what will be run, what is there already, and about how long the rest takes."""
    options = study.options
    variants = [planned for _, planned in study.variants(dict.fromkeys(options.models))]
    workers = options.workers or default_workers(runs[0].config.device, options.threads)
    table = Table(title=f"study {options.name}", title_justify="left", title_style="bold")
    for number, column in enumerate(("", "runs", "there", "to do")):
        table.add_column(column, justify="left" if number == 0 else "right")
    left = 0.0
    parts = (("trials of learning rates", trials), ("models × seeds", runs), ("variants", variants))
    for name, planned in parts:
        if planned:
            seconds = sum(expected(study, one) for one in planned if not one.run.finished) / workers
            there = sum(one.run.finished for one in planned)
            table.add_row(name, str(len(planned)), str(there), "" if there == len(planned) else minutes(seconds))
            left += seconds
    left += sum(MEASURING for one in runs if not one.run.finished or missing(one.run)) / workers
    Console().print(table)
    print(f"{workers} at a time, {options.threads} thread{'s' * (options.threads > 1)} each; about", end=" ")
    print(f"{minutes(left)} in all, measuring included.\nStop it with Ctrl-C at will: the same command goes on.")


def expected(study: Study, planned: Planned) -> float:
    """About how many seconds a run takes: by the speed of a finished run of the model, or by the study's ``pace``."""
    tokens = planned.config.trainer.max_tokens
    if tokens is None:
        return (planned.config.trainer.max_hours or 1.0) * 3600
    model = planned.config.model.name
    for other in study.trials:
        if other.config.model.name == model and other.run.finished:
            summary = other.run.load_summary()
            return float(summary["seconds"]) / summary["tokens"] * tokens * 1.1 + AROUND
    return study.options.pace.get(model, PACE) * tokens / 1e6 + AROUND


def default_workers(device: str, threads: int) -> int:
    """As many runs at a time as there are cores for their threads; one on a GPU."""
    if choose_device(device).type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores // threads, 1)


def count_parameters(planned: Planned, corpus: Corpus) -> int:
    """How many parameters a planned run will have."""
    with torch.random.fork_rng(devices=[]):
        return parameters_by_part(build(planned.config.model, *corpus.subwords.sizes))["total"]


def cost_of_a_token(study: Study, counts: dict[str, int]) -> dict[str, float] | None:
    """What a target token costs each model: training seconds as the trials had them, or operations.

    Operations are counted as is usual, six for each parameter (two forward, four backward) and token; the products of
    attention with as many positions as the sentence has are not counted.
    """
    if study.options.match == "parameters":
        return None
    if study.options.match == "flops":
        return {model: 6.0 * count for model, count in counts.items()}
    cost: dict[str, float] = {}
    for planned in study.trials:
        if planned.run.finished:
            summary = planned.run.load_summary()
            cost[planned.model] = max(cost.get(planned.model, 0.0), summary["seconds"] / summary["tokens"])
    return cost


# --------------------------------------------------------------------------------------------------- the tasks


def training(study: Study, planned: Planned) -> Task:
    """``seq2seq train``: goes on with a cut run, and does nothing where it is finished."""
    return Task(
        planned.label,
        ["seq2seq", "train", *planned.arguments],
        study.logs / f"{planned.label.replace('/', '-')}.log",
        expected(study, planned),
        lambda: planned.finished,
    )


def check_gold(gold: str | None, sentences: int) -> None:
    """That a gold alignment has a line for each test pair, before hours are spent. Raises ``UserError``."""
    lines = files.measure(gold)[0] if gold else sentences
    if lines != sentences:
        raise UserError(f"{gold} has {lines:,} lines, but the test has {sentences:,} pairs: give one for each")


def reader_of(runs: Sequence[Planned]) -> Run | None:
    """The first of the runs that may look back; None where none does."""
    return next((planned.run for planned in runs if planned.config.model.decoder.sees == "positions"), None)


def measuring(runs: Sequence[Run], data: DataConfig, logs: Path, gold: str | None, reader: Run | None) -> list[Task]:
    """What the page needs beyond the test: a process for each run as soon as it is finished (it may be to come).

    Where a source word went is told by the gold alignment: the grammar's own, or ``gold``. Where there is none, by the
    attention of ``reader``, the same for all runs; without a reader that is not asked.
    """
    tasks: list[Task] = []
    links = Path(gold) if gold else None
    if links is None and reader is not None and open_source(data).alignment_file("test") is None:
        links = logs / "attention.pharaoh"
        command = ["seq2seq", "align", str(reader.folder), "--out", str(links)]
        tasks.append(Task("aligning", command, logs / "aligning.log", AROUND, links.exists, lambda: reader.finished))
    for run in runs:
        command = ["seq2seq.analysis.measurements", str(run.folder)]
        command += [] if links is None else ["--links", str(links)]
        command += ["--gold"] if gold else []
        label = "/".join(run.folder.parts[-2:])
        log = logs / f"measuring-{label.replace('/', '-')}.log"
        done = partial(_measured, run, links, bool(gold))
        ready = partial(_readable, run, links)
        tasks.append(Task(f"measuring {label}", command, log, MEASURING, done, ready))
    return tasks


def _readable(run: Run, links: Path | None) -> bool:
    return run.finished and (links is None or links.exists())


def _measured(run: Run, links: Path | None, gold: bool) -> bool:
    return _readable(run, links) and not missing(run, links, gold)
