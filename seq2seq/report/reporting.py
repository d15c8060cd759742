"""From a study, or from finished runs, to the page: read the data, write the page, print its answer."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seq2seq.config.overrides import override
from seq2seq.errors import UserError
from seq2seq.report.data import ReportData, data_of_runs, data_of_study
from seq2seq.report.model_runs import ModelRuns, grouped
from seq2seq.report.page.write import check_place, require_charts, write_page, write_tensorboard
from seq2seq.report.sections.assembly import page_of
from seq2seq.runs.run import Run, find
from seq2seq.study.conduct import conduct
from seq2seq.study.fairness import check_alike, check_parameters
from seq2seq.study.options import StudyConfig
from seq2seq.study.plan import Study
from seq2seq.study.runner import run_all
from seq2seq.study.tasks import check_gold, default_workers, measuring_tasks


def compare(study: Study) -> int:
    """Conduct a study and write its page; returns the exit code, 1 where a run failed. Raises as ``conduct`` does."""
    require_charts()
    check_place(study.report)
    outcome = conduct(study)
    write_report(data_of_study(outcome), study.report)
    return 1 if outcome.failed else 0


def report(
    runs: Sequence[Path],
    folder: Path,
    title: str,
    edges: list[int] | None,
    gold: str | None,
    anyway: bool,
    given: Sequence[str],
    corpus: bool,
) -> int:
    """Write the page of finished runs after measuring what has not been measured; the exit code is 1 where that failed.

    Runs of a model that reads no source are the language model that the others' likelihood is compared with.

    Args:
        edges: upper ends of the buckets of source length, in its unit (default: ``Unit.edges``).
        gold: Pharaoh file with the alignment of the test pairs.
        anyway: compare runs that are not alike, with a warning.
        given: all arguments of the command as the user typed them, which the page repeats.
        corpus: whether the files and the cache that the runs' configs name may be used.

    Raises:
        UserError: a run is not finished, the runs are not alike and ``anyway`` is false, there are several language
            models, or other files of the page's names are in the folder.
    """
    require_charts()
    check_place(folder)
    found = [find(path)[0] for path in runs]
    sourceless = [run for run in found if run.load_config().model.sees == "nothing"]
    found = [run for run in found if run not in sourceless]
    if not found:
        raise UserError(f"{sourceless[0].folder} reads no source: name runs of models that do beside it")
    found.sort(key=lambda run: run.load_config().model.sees == "positions")  # the baseline comes first
    warnings = check_alike([*found, *sourceless], anyway)
    language_model = _language_model(sourceless) if sourceless else None
    command = shlex.join(["seq2seq", "report", *given])
    data = data_of_runs(found, title, edges, corpus, language_model, warnings=warnings, commands=[command], gold=gold)
    warnings += check_parameters(
        {group.model: group.parameters for group in data.groups}, StudyConfig.tolerance, anyway
    )
    check_gold(gold, len(data.src))
    configs = [override(run.load_config(), [], corpus) for run in found]
    tasks = measuring_tasks(list(zip(found, configs, strict=True)), folder / "logs", gold, corpus, sourceless)
    failed = run_all(tasks, default_workers(data.config.device, 1), 1)
    warnings += [f"{label} failed: {why}" for label, why in failed.items()]
    write_report(data, folder)
    return 1 if failed else 0


def _language_model(runs: Sequence[Run]) -> ModelRuns:
    """The runs of one language model. Raises ``UserError`` for those of several, or two with one seed."""
    group, *others = grouped(runs)
    if others:
        one, two = group.runs[0].folder, others[0].runs[0].folder
        raise UserError(f"{one} and {two} are two language models: leave the runs of one out")
    return replace(group, model="language model")


def write_report(data: ReportData, folder: Path) -> None:
    """Write the page into ``folder``; print its answer and its warnings."""
    page = page_of(data)
    path = write_page(page, folder)
    write_tensorboard(page, folder)
    print()
    for text in [*page.answer, *(f"warning: {warning}" for warning in page.warnings)]:
        print(textwrap.fill(text, 80))
    print(f"\nopen {path} in a browser")
