"""Variants and the models that they vary. Knows runs and what a study asked of them; draws no conclusion."""

from __future__ import annotations

from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns


def varied_by(data: ReportData, of: str) -> ModelRuns | None:
    """All runs of the model that variants call ``of``; None where none of them came to its end.

    A study may call a model otherwise than its config does: the folder of its runs has the name that variants give.
    """
    return next((group for group in data.groups if group.runs[0].folder.absolute().parent.name == of), None)


def of_seed(group: ModelRuns, variant: ModelRuns) -> ModelRuns | None:
    """The group's run with the seed of a variant alone, to compare the two; None where there is no such run."""
    runs = [run for run, seed in zip(group.runs, group.seeds, strict=True) if seed in variant.seeds]
    return ModelRuns(group.model, runs) if runs else None


def variants_by_model(data: ReportData, question: str) -> dict[str, list[ModelRuns]]:
    """The variants that answer a question of ``VariantConfig``, by what they call the model that they vary."""
    found: dict[str, list[ModelRuns]] = {}
    for variant, group in data.variants:
        if variant.question == question:
            found.setdefault(variant.of, []).append(group)
    return found
