"""A study from its plan to the last measurement: trials, training runs and variants, measurements.

Knows the order of the steps and what each takes from the one before. ``tasks`` has their commands and ``runner`` starts
the processes; what the figures mean is the report's matter.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import torch

from seq2seq.config.schema import Config
from seq2seq.config.validation import sections
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.errors import UserError
from seq2seq.models.build import build, parameters_by_part
from seq2seq.runs.fingerprint import fingerprint
from seq2seq.runs.run import FREE_TO_DIFFER, Run, differences
from seq2seq.study.fairness import (
    OF_EQUAL_COST,
    check_alike,
    check_as_now,
    check_configs,
    check_fingerprints,
    check_of_other_text,
    check_parameters,
)
from seq2seq.study.launchers import at_a_time, run_through
from seq2seq.study.options import VariantConfig
from seq2seq.study.plan import OWN, Planned, Setting, Study
from seq2seq.study.runner import Task, minutes, run_all
from seq2seq.study.tasks import (
    ALIGNING,
    check_gold,
    cost_of_training,
    default_workers,
    expected_seconds,
    measuring_tasks,
    training_task,
)
from seq2seq.system.files import new_folder, write_json
from seq2seq.system.typed_json import read_record
from seq2seq.terminal.tables import print_table
from seq2seq.training.initial import with_subwords


@dataclass(frozen=True)
class Outcome:
    """Finished runs of a study, and why others failed."""

    study: Study
    settings: dict[str, Setting]  # by model, variant with trials and language model
    runs: list[Run]  # by model, in the order of the study's ``models``
    variants: list[tuple[VariantConfig, Run]]
    language_model: Run | None
    sized: list[tuple[int, Run]]  # runs on fewer training pairs, with the number of them
    warnings: list[str]
    failed: dict[str, str]  # label of a task to the reason


def conduct(study: Study) -> Outcome:
    """Train and measure everything in a study that is not there yet. A run that fails is left out, with a warning.

    Raises:
        UserError: the models cannot be compared fairly (said before anything is trained), or no run finished.
        KeyboardInterrupt: the user stopped it, and every process has saved its state.
    """
    options = study.options
    draft = study.runs(study.draft)
    config = draft[0].config
    workers = options.workers or default_workers(config.device, options.threads)
    if study.launcher:
        workers = at_a_time(study.launcher, len(draft))
    _check_language_model(study.language_model(study.draft))
    check_configs([(one.label, one.config) for one in draft], options.anyway, _may_differ(study))
    announce(study, workers)
    corpus = _corpus(config)
    parameters = {planned.model: count_parameters(planned, corpus) for planned in draft[: len(options.models)]}
    warnings = check_parameters(parameters, options.tolerance, options.anyway or options.match != "parameters")
    check_gold(options.gold, len(corpus.splits["test"]))
    _check_sizes(options.sizes, corpus.counts["train"]["read"])
    warnings += _check_as_now(study, corpus)
    failed = _try(study, workers)
    settings = study.settings()
    for name, setting in settings.items():
        if setting != OWN:
            print(f"{name}: {setting}", file=sys.stderr)
    cost = cost_of_a_token(study, parameters, settings)
    planned_runs, planned_sized = study.runs(settings, cost), study.sized(settings, cost)
    reference, planned_variants = study.language_model(settings), study.variants(settings, cost)
    take_from_finals(study, [*planned_runs, *(planned for _, planned in planned_variants)])
    aside = [*([reference] if reference else []), *(planned for _, planned in planned_variants)]
    tasks = [training_task(study, planned) for planned in [*planned_runs, *aside]]
    tasks += [training_task(study, planned, planned_runs[0]) for _, planned in planned_sized]
    tasks += _measuring(study, planned_runs, reference)
    failed |= _run(study, tasks, workers)
    finished = [planned for planned in planned_runs if planned.finished]
    if 0 < len(finished) < len(planned_runs):
        failed = _measure_others(study, finished, reference, failed, workers)
    runs = [planned.run for planned in sorted(finished, key=lambda planned: options.models.index(planned.model))]
    warnings += [f"{label} failed and is left out: {why}" for label, why in failed.items()]
    if not runs:
        raise UserError(f"nothing to compare, no run came to an end: {'; '.join(failed.values())}")
    variants = [(variant, planned.run) for variant, planned in planned_variants if planned.finished]
    language_model = reference.run if reference and reference.finished else None
    warnings += _check_same(study, runs, aside, config)
    sized = [(size, planned.run) for size, planned in planned_sized if planned.finished]
    for _, run in sized:
        warnings += check_of_other_text(runs[0], run, options.anyway, own_subwords=False)
    return Outcome(study, settings, runs, variants, language_model, sized, warnings, failed)


def _may_differ(study: Study) -> tuple[str, ...]:
    """Options in which the study's models may differ, besides those that always may."""
    return () if study.options.match == "parameters" else OF_EQUAL_COST


def _corpus(config: Config) -> Corpus:
    """The corpus of the runs, with the subwords that they take along, if they do."""
    config, taken = with_subwords(config, None)
    return prepare(config.data, taken)


def _measuring(study: Study, planned: Sequence[Planned], reference: Planned | None) -> list[Task]:
    """The tasks that measure these runs and the language model."""
    runs, others = [(one.run, one.config) for one in planned], [reference.run] if reference else []
    return measuring_tasks(runs, study.logs, study.options.gold, corpus=True, language_models=others)


def _measure_others(
    study: Study, finished: Sequence[Planned], reference: Planned | None, failed: dict[str, str], workers: int
) -> dict[str, str]:
    """Measure what waited for a run that failed: that whose attention was to align words. What has failed then."""
    again = _measuring(study, finished, reference if reference and reference.finished else None)
    labels = {task.label for task in again} | {ALIGNING}
    return {label: why for label, why in failed.items() if label not in labels} | _run(study, again, workers)


def _check_same(study: Study, runs: Sequence[Run], aside: Sequence[Planned], config: Config) -> list[str]:
    """Warnings where trials and the runs ``aside`` differ from ``runs`` in more than they should (``anyway``)."""
    options = study.options
    warnings = check_alike(runs, options.anyway, _may_differ(study))
    others = [planned for planned in (*study.trials, *study.finals, *aside) if planned.finished]
    same = [planned.run for planned in others if planned.config.data == config.data]
    warnings += check_fingerprints([runs[0], *same], options.anyway)
    for planned in others:
        if planned.run not in same:
            warnings += check_of_other_text(runs[0], planned.run, options.anyway)
    return warnings


def _check_as_now(study: Study, corpus: Corpus) -> list[str]:
    """Warnings (``anyway``) where what is finished is not like what is to be trained now, said before it is."""
    tried = [*study.trials, *study.finals]
    settings = study.settings() if all(one.run.finished for one in tried) else study.draft
    runs, reference = study.runs(settings), study.language_model(settings)
    planned = [*tried, *runs, *(run for _, run in study.variants(settings)), *([reference] if reference else [])]
    there = [one.run for one in planned if _is_there(one) and one.config.data == runs[0].config.data]
    sized = [one for _, one in study.sized(settings)]
    if all(one.run.finished for one in [*planned, *sized]):
        return []
    now = fingerprint(corpus)
    of_fewer = {entry: value for entry, value in now.items() if entry != "data"}  # the corpus of all pairs has another
    fewer = [one.run for one in sized if _is_there(one)]
    return [*check_as_now(there, now, study.options.anyway), *check_as_now(fewer, of_fewer, study.options.anyway)]


def _is_there(planned: Planned) -> bool:
    """Whether updates of a run have been made and saved, so that what goes on with them must be the same program.

    Whether its config is the one that is planned is asked when the trials have decided it, not of a draft.
    """
    return planned.run.finished or planned.run.checkpoint("last").exists()


def _check_language_model(reference: Planned | None) -> None:
    """Raise ``UserError`` for a language model that reads the source, which the others would be measured against."""
    if reference and reference.config.model.sees != "nothing":
        advice = "name an experiment of a model that sees nothing, such as language_model, or null for none"
        raise UserError(f"language_model={reference.model} reads the source: {advice}")


def _check_sizes(sizes: Sequence[int], pairs: int) -> None:
    """Raise ``UserError`` where there are fewer training ``pairs`` than the largest of ``sizes``."""
    if sizes and sizes[-1] > pairs:
        raise UserError(f"sizes={list(sizes)}: there are {pairs:,} training pairs: give that as the last, or fewer")


def _try(study: Study, workers: int) -> dict[str, str]:
    """Run the trials and the finals, and further ones while the best of a subject lies at an end of its rates."""

    def tasks() -> list[Task]:
        return [training_task(study, planned) for planned in (*study.trials, *study.finals)]

    if not study.launcher:
        return run_all(tasks(), workers, study.options.threads, tasks)
    failed, known = dict[str, str](), 0
    while len(planned := tasks()) > known and not failed:
        known = len(planned)
        failed = _run(study, planned, workers)
    return failed


def take_from_finals(study: Study, runs: Sequence[Planned]) -> None:
    """Copy a final, which is not trained again, to where a run of the same config is to be."""
    finals = study.finals
    for planned in runs:
        same = [final for final in finals if not differences(final.config, planned.config)]
        if same and not planned.run.folder.exists():
            with new_folder(planned.run.folder) as folder:
                shutil.copytree(same[0].run.folder, folder, dirs_exist_ok=True)
                copy = Run(folder)
                copy.save_config(replace(copy.load_config(), name=planned.config.name))


def _run(study: Study, tasks: Sequence[Task], workers: int) -> dict[str, str]:
    """Run the tasks that are not done, as processes here or through the study's launcher; the failures by label."""
    if study.launcher:
        return run_through(study.launcher, tasks, study.options.threads, study.logs / "launched")
    return run_all(tasks, workers, study.options.threads)


def announce(study: Study, workers: int) -> None:
    """Print how many runs are needed, how many are finished, and an estimate of the time for the others."""
    options = study.options
    runs, reference = study.runs(study.draft), study.language_model(study.draft)
    variants = [planned for _, planned in study.variants(study.draft)]
    rows = []
    left = 0.0
    finals = study.finals or _drafted_finals(study, runs)
    parts = {"trials": study.trials, "finals": finals, "models × seeds": runs}
    parts |= {"language model": [reference] if reference else [], "variants": variants}
    parts |= {"fewer training pairs": [planned for _, planned in study.sized(study.draft)]}
    for name, planned in parts.items():
        if planned:
            own = runs[len(options.models) :] if planned is runs and finals else planned  # the first seed's are finals
            seconds = sum(expected_seconds(study, one) for one in own if not one.run.finished) / workers
            there = sum(one.run.finished for one in planned)
            rows.append((name, str(len(planned)), str(there), "" if there == len(planned) else minutes(seconds)))
            left += seconds
    left += sum(task.seconds for task in _measuring(study, runs, reference) if not task.done()) / workers
    print_table(f"study {options.name}", ("", "runs", "there", "to do"), rows)
    by = f" by hydra/launcher={study.launcher.name}" if study.launcher else ""
    print(f"{workers} at a time{by}, {options.threads} thread{'s' * (options.threads > 1)} each;")
    print(f"about {minutes(left)} in all on idle cores, measuring included.")
    print("Stop it with Ctrl-C at will: the same command goes on.")


def _drafted_finals(study: Study, runs: Sequence[Planned]) -> list[Planned]:
    """Runs as long as the finals, and as many, before the trials have told what they are."""
    options, of_model = study.options, {planned.model: planned for planned in runs}
    number, optimizers = min(options.finals, len(options.rates)), max(len(options.optimizers), 1)
    compared = [subject for subject in study.subjects if subject.compared]
    return [
        of_model[subject.model]
        for subject in compared
        for _ in range(optimizers * (min(number, 1) if subject.varies else number))
    ]


def count_parameters(planned: Planned, corpus: Corpus) -> int:
    """Number of parameters of a run's model. Leaves the state of the random number generators as it was."""
    with torch.random.fork_rng(devices=[]):
        return parameters_by_part(build(planned.config.model, *corpus.subwords.sizes))["total"]


def cost_of_a_token(study: Study, parameters: dict[str, int], settings: dict[str, Setting]) -> dict[str, float] | None:
    """Cost of a target token in each model, in the unit that ``match`` makes equal; None if that is the parameters.

    Seconds are the mean of the model's trials and finals with the optimiser that was chosen, and stay what they were
    when first asked for (``kept_costs``): one more trial would change the tokens of runs that are finished. Operations
    are six for each parameter and token (two in the forward pass, four in the backward pass), as is usual; products of
    attention, which grow with the length, are not counted.
    """
    if study.options.match == "parameters":
        return None
    if study.options.match == "flops":
        return {model: 6.0 * count for model, count in parameters.items()}
    tried = [planned for planned in (*study.trials, *study.finals) if planned.run.finished]
    origins = {one.model: _origin(one.config) for one in study.runs(settings)}
    known = kept_costs(study)
    kept = dict(known)
    cost: dict[str, float] = {}
    for model in study.options.models:
        if model in kept and kept[model]["origin"] == origins[model]:
            cost[model] = kept[model]["seconds"]
            continue
        chosen = [one for one in tried if one.subject == model and one.setting.optimizer == settings[model].optimizer]
        tokens, seconds = zip(*(cost_of_training(one.run) for one in chosen), strict=True)
        cost[model] = sum(seconds) / sum(tokens)
        kept[model] = {"origin": origins[model], "seconds": cost[model]}
    if kept != known:
        write_json(_cost_file(study), {"seconds_of_a_token": kept})
    return cost


class Cost(TypedDict):
    """Seconds that a target token takes in training, and a hash of what they are of."""

    origin: str
    seconds: float


class Costs(TypedDict):
    """``cost.json`` in the folder of a study's runs: by model, what its tokens were shared out by."""

    seconds_of_a_token: dict[str, Cost]


def kept_costs(study: Study) -> dict[str, Cost]:
    """The costs that the runs of a study were planned with; none before, or where the file is damaged."""
    with suppress(UserError):
        return read_record(_cost_file(study), Costs, "cost of a study", "remove it")["seconds_of_a_token"]
    return {}


def _cost_file(study: Study) -> Path:
    return Path(study.options.outputs) / study.options.folder / "cost.json"


def _origin(config: Config) -> str:
    """A hash of what decides how long a token takes: all but the seed, the place, and the rate."""
    left_out = (*FREE_TO_DIFFER, "seed", "trainer.optimizer.lr")
    told = {key: value for key, _, value in sections(config) if key not in left_out}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
