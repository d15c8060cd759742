"""What a report is made from: finished runs, grouped by model. Knows run folders and texts; draws no conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.analysis.measurements import load, measurement_file
from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import SufficientStatistics, TextMetric
from seq2seq.runs.loading import saved_split
from seq2seq.runs.run import Run
from seq2seq.study.options import VariantConfig
from seq2seq.study.plan import Trial


def lines_of(path: Path) -> list[str]:
    """The lines of a file of a run, split at the line feed alone."""
    return list(files.lines(str(path)))


@dataclass(frozen=True)
class Group:
    """One model's runs, in the order of their seeds."""

    model: str
    runs: list[Run]

    @cached_property
    def configs(self) -> list[Config]:
        """Each run's config."""
        return [run.load_config() for run in self.runs]

    @cached_property
    def summaries(self) -> list[dict[str, Any]]:
        """What each run came to."""
        return [run.load_summary() for run in self.runs]

    @property
    def seeds(self) -> list[int]:
        """Each run's seed."""
        return [config.seed for config in self.configs]

    @property
    def parameters(self) -> int:
        """How many there are in all."""
        return int(self.summaries[0]["parameters"]["total"])

    @cached_property
    def hypotheses(self) -> list[list[str]]:
        """Each run's translations of the test split."""
        return [lines_of(run.evaluation("test") / "hypotheses.txt") for run in self.runs]

    @cached_property
    def reference_nll(self) -> list[NDArray[np.float64]]:
        """Each run's negative log-likelihood (nats) of each reference."""
        return [-np.loadtxt(run.evaluation("test") / "log_probability.txt", ndmin=1) for run in self.runs]

    @cached_property
    def validated(self) -> list[list[dict[str, Any]]]:
        """Each run's validations: their figures, the step among them."""
        return [run.points("valid/bleu") for run in self.runs]

    def measured(self, name: str) -> list[dict[str, Any]]:
        """One measurement of each run that has it."""
        return [load(run, name) for run in self.runs if measurement_file(run, name).exists()]


@dataclass(frozen=True)
class Material:
    """Everything that the sections read. The first group is the baseline, the model with the fixed context."""

    title: str
    groups: list[Group]
    src: list[str]
    references: list[str]
    valid: tuple[list[str], list[str]]
    edges: list[int]
    trials: list[Trial] = field(default_factory=list)
    rates: dict[str, float | None] = field(default_factory=dict)
    variants: list[tuple[VariantConfig, Group]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    gold: str | None = None  # the file that tells which words belong together, where the user gave one
    _counts: dict[tuple[Path, str], SufficientStatistics] = field(default_factory=dict)

    @property
    def baseline(self) -> Group:
        """The model with the fixed context."""
        return self.groups[0]

    @property
    def others(self) -> list[Group]:
        """The models that it is compared with."""
        return self.groups[1:]

    def system(self, group: Group, metric: TextMetric) -> list[SufficientStatistics]:
        """A metric's counts of the test translations of each of the group's runs, each run counted once."""
        found = []
        for run, hypotheses in zip(group.runs, group.hypotheses, strict=True):
            key = (run.folder, metric.key)
            if key not in self._counts:
                self._counts[key] = metric.statistics(hypotheses, self.references, self.language, self.src)
            found.append(self._counts[key])
        return found

    @property
    def language(self) -> str:
        """Of the references."""
        return self.baseline.configs[0].data.tgt

    @property
    def config(self) -> Config:
        """A run's config, for what all have in common."""
        return self.baseline.configs[0]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each test source."""
        return np.array([len(line.split()) for line in self.src])

    @cached_property
    def reference_tokens(self) -> NDArray[np.int64]:
        """Pieces of each reference, the end mark counted."""
        subwords = Subwords.load(self.baseline.runs[0].subwords)
        return np.array([len(ids) for ids in subwords.encode_tgt(self.references)])


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Runs by model, as they come, each model's in the order of the seeds.

    Where runs of one name are not the same model, or had other learning rates, they go by the folder above them.

    Raises:
        UserError: a run is not finished, or a model has two runs with one seed.
    """
    kinds: dict[str, list[Any]] = {}
    for run in runs:
        if not run.finished:
            raise UserError(f"{run.folder}: not finished: start the same `seq2seq train` again")
        config = run.load_config()
        kind = (config.model, config.trainer.optimizer.lr)
        kinds.setdefault(config.model.name, []).append(kind)
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        name = run.load_config().model.name
        alike = all(kind == kinds[name][0] for kind in kinds[name])
        by_model.setdefault(name if alike else run.folder.absolute().parent.name, []).append(run)
    groups = [Group(model, sorted(own, key=lambda run: run.load_config().seed)) for model, own in by_model.items()]
    for group in groups:
        if len(set(group.seeds)) < len(group.seeds):
            folders = ", ".join(str(run.folder) for run in group.runs)
            raise UserError(f"{group.model} has two runs with the same seed among {folders}: leave one out")
    return groups


def test_split(group: Group) -> tuple[list[str], list[str]]:
    """Sources and references, as the first run has kept them."""
    found = saved_split(group.runs[0], "test")
    if found is None:
        raise UserError(f"{group.runs[0].folder}: its test split is gone: train it anew with overwrite=true")
    return found
