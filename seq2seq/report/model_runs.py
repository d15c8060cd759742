"""Finished runs grouped by model, each model's runs in the order of their seeds. Knows run folders; no text.

Runs are of one model only if they differ in nothing but the seed, whatever their folders are called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from seq2seq.analysis.measurements import Measurement, Record
from seq2seq.config.schema import Config
from seq2seq.config.validation import sections
from seq2seq.errors import UserError
from seq2seq.runs.records import Summary
from seq2seq.runs.run import FREE_TO_DIFFER, Run

Cell = TypeVar("Cell")
"""A row of a measurement's table."""


def mean(values: Iterable[float]) -> float:
    """The mean, e.g. over runs."""
    return float(np.mean(list(values)))


def mean_row(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of one row over several runs; what is no float is the same in all."""
    return {
        key: mean(cell[key] for cell in cells) if isinstance(value, float) else value for key, value in cells[0].items()
    }


@dataclass(frozen=True)
class ModelRuns:
    """One model's runs, in the order of their seeds."""

    model: str
    runs: list[Run]

    @cached_property
    def configs(self) -> list[Config]:
        """Each run's config."""
        return [run.load_config() for run in self.runs]

    @cached_property
    def summaries(self) -> list[Summary]:
        """Each run's ``summary.json``."""
        return [run.load_summary() for run in self.runs]

    @property
    def seeds(self) -> list[int]:
        """Each run's seed."""
        return [config.seed for config in self.configs]

    @property
    def parameters(self) -> int:
        """Number of parameters of the model."""
        return self.summaries[0]["parameters"]["total"]

    @property
    def bleu(self) -> float:
        """Test BLEU, the mean over the runs."""
        return mean(summary["test"]["bleu"] for summary in self.summaries)

    def measured(self, measurement: Measurement[Record]) -> list[Record]:
        """The record of a measurement of each run that has it."""
        return [measurement.load(run) for run in self.runs if measurement.file(run).exists()]

    def cells(
        self, measurement: Measurement[Record], table: Callable[[Record], Sequence[Cell] | None]
    ) -> Iterator[tuple[Cell, ...]]:
        """Each row of a measurement's ``table`` as it is in all runs that have the table."""
        return zip(*(rows for record in self.measured(measurement) if (rows := table(record))), strict=True)


def grouped(runs: Sequence[Run]) -> list[ModelRuns]:
    """Group runs by the name of their model, each group in the order of the seeds.

    Where runs of one name differ in any option of the config but the seed and their place, groups are named by their
    folders: by the parent, or by as much of the path as tells them apart.

    Raises:
        UserError: a run is not finished, or a model has two runs with one seed.
    """
    for run in runs:
        if not run.finished:
            raise UserError(f"{run.folder}: not finished: start the same `seq2seq train` again")
    kinds = [_kind(run.load_config()) for run in runs]
    names = [run.load_config().model.name for run in runs]
    several = {name for name, kind in zip(names, kinds, strict=True) if kinds[names.index(name)] != kind}
    unlike = [n for n, name in enumerate(names) if name in several]
    taken = {name for name in names if name not in several}
    told_apart = _told_apart([runs[n].folder for n in unlike], [kinds[n] for n in unlike], taken)
    for n, name in zip(unlike, told_apart, strict=True):
        names[n] = name
    return named(runs, names)


def _kind(config: Config) -> dict[str, Any]:
    """What runs of one model share that differ in their seeds alone."""
    return {key: value for key, _, value in sections(config) if key != "seed" and key not in FREE_TO_DIFFER}


def named(runs: Sequence[Run], names: Sequence[str]) -> list[ModelRuns]:
    """Group runs by the name that is given for each. Raises ``UserError`` where a group has two runs with one seed."""
    by_model: dict[str, list[Run]] = {}
    for run, name in zip(runs, names, strict=True):
        by_model.setdefault(name, []).append(run)
    groups = [ModelRuns(model, sorted(own, key=lambda run: run.load_config().seed)) for model, own in by_model.items()]
    for group in groups:
        if len(set(group.seeds)) < len(group.seeds):
            folders = ", ".join(str(run.folder) for run in group.runs)
            raise UserError(f"{group.model} has two runs with the same seed among {folders}: leave one out")
    return groups


def _told_apart(folders: Sequence[Path], kinds: Sequence[object], taken: Collection[str]) -> list[str]:
    """A name for each folder: its parent's, or as much more of the path as it takes to tell unlike kinds apart.

    Args:
        taken: names of other groups.
    """
    paths = [folder.absolute().parts for folder in folders]
    deepest = max(map(len, paths), default=2)
    candidates = [["/".join(path[-n:-1]) for path in paths] for n in range(2, deepest)]
    candidates.append(["/".join(path[-2:]) for path in paths])  # in one folder: by their own names
    for names in candidates:
        pairs = combinations(zip(names, kinds, strict=True), 2)
        apart = all(name != other or kind == another for (name, kind), (other, another) in pairs)
        if apart and not set(taken) & set(names):
            return names
    return [str(folder) for folder in folders]
