"""The data of a report: finished runs, grouped by model, with their texts. Knows run folders; draws no conclusion."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.analysis.frequency import frequencies
from seq2seq.analysis.nearness import nearness
from seq2seq.analysis.trained_lengths import trained_lengths
from seq2seq.config.overrides import override
from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.data.lengths import Unit, unit_of
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import BLEU, NLL, Metric, SufficientStatistics, TextMetric, ratio
from seq2seq.evaluation.statistics import Bucket, System, by_bucket, interval
from seq2seq.report.beside import Beside, pages_beside
from seq2seq.report.level import Level, trivial_translations
from seq2seq.report.model_runs import ModelRuns, grouped, named
from seq2seq.runs.loading import saved_split, split_of_source
from seq2seq.runs.records import Frequencies, Nearness, TrainedLengths
from seq2seq.runs.run import Run
from seq2seq.study.conduct import Outcome
from seq2seq.study.options import StudyConfig, VariantConfig
from seq2seq.study.plan import Setting, Trial

LENGTH_RATIO = Metric("length_ratio", "output / reference", ratio, high=math.inf)
"""Words of a translation, or characters, for each of its reference."""


def lines_of(path: Path) -> list[str]:
    """Lines of a text file, split at line feeds alone. Raises ``UserError``: missing, empty, or not UTF-8."""
    files.measure(str(path))
    return list(files.lines(str(path)))


@dataclass(frozen=True)
class ReportData:
    """Everything that the sections read. The first group is the baseline, usually the model with the fixed context."""

    title: str
    groups: list[ModelRuns]
    src: list[str]
    references: list[str]
    valid: tuple[list[str], list[str]]  # sources and references of the validation split; empty if it is not here
    edges: list[int]  # upper ends of the buckets of source length, in ``unit``
    tests: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)  # further test sets, of all runs
    trials: list[Trial] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)  # by model and variant, what the trials chose
    variants: list[tuple[VariantConfig, ModelRuns]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tolerance: float = StudyConfig.tolerance  # see there
    gold: str | None = None  # the Pharaoh file of the test pairs, where the user gave one
    language_model: ModelRuns | None = None  # of the target alone: what it predicts, no model takes from the source
    nearness: Nearness | None = None  # of the test to the training text, where that is at hand
    frequencies: Frequencies | None = None  # of the references' words in it
    trained: TrainedLengths | None = None  # of the training sources, as the first run saw them, where they are at hand
    sized: dict[int, list[ModelRuns]] = field(default_factory=dict)  # by the number of training pairs, where it is less
    beside: list[Beside] = field(default_factory=list)  # what other studies' pages say
    _statistics: dict[tuple[Path, str], SufficientStatistics] = field(default_factory=dict)  # cache of ``system``

    @property
    def baseline(self) -> ModelRuns:
        """The model that the others are compared with."""
        return self.groups[0]

    @property
    def others(self) -> list[ModelRuns]:
        """All models but the baseline."""
        return self.groups[1:]

    def system(self, group: ModelRuns, metric: Metric) -> list[SufficientStatistics]:
        """A metric's sufficient statistics (N, k) for each of the group's runs.

        ``metric``: one of texts, for the test translations; ``NLL``, for the test references; or ``LENGTH_RATIO``.
        """
        for run in group.runs:
            if (run.folder, metric.key) not in self._statistics:
                self._statistics[run.folder, metric.key] = self._measured(metric, run.evaluation("test"))
        return [self._statistics[run.folder, metric.key] for run in group.runs]

    def _measured(self, metric: Metric, test: Path) -> SufficientStatistics:
        if metric is NLL:
            return np.stack([-self._log_probabilities(test / "log_probability.txt"), self.reference_tokens], 1)
        hypotheses = self._hypotheses(test)
        if metric is LENGTH_RATIO:
            return np.array([self.tgt_unit.counts(side) for side in (hypotheses, self.references)], float).T
        assert isinstance(metric, TextMetric)
        return metric.statistics(hypotheses, self.references, self.config.data.language, self.src)

    def hypotheses(self, group: ModelRuns) -> list[list[str]]:
        """The test translations of each of the group's runs."""
        return [self._hypotheses(run.evaluation("test")) for run in group.runs]

    def _hypotheses(self, test: Path) -> list[str]:
        return self._beside_references(test / "hypotheses.txt")

    def information(self, group: ModelRuns) -> list[SufficientStatistics]:
        """Nats that each of the group's runs takes from each source, and tokens of the reference (N, 2).

        What the source adds to the reference's log-probability: the language model's NLL, the mean over its seeds, less
        the run's. The language model is one fixed measure for all runs, without an uncertainty of its own.
        """
        if self.language_model is None:
            raise ValueError("there is no language model")
        without = np.mean([nll[:, 0] for nll in self.system(self.language_model, NLL)], axis=0)
        return [np.stack([without - nll[:, 0], nll[:, 1]], axis=1) for nll in self.system(group, NLL)]

    @cached_property
    def near(self) -> NDArray[np.bool_]:
        """Whether each test source (N,) is within a word of a training source; nowhere if that is not known."""
        found = np.zeros(len(self.src), np.bool_)
        if self.nearness is not None:
            found[self.nearness["near"]] = True
        return found

    def further(self, group: ModelRuns, metric: TextMetric, name: str) -> list[SufficientStatistics]:
        """``system`` for a further test set."""
        src, references = self.tests[name]
        files = (run.evaluation(name) / "hypotheses.txt" for run in group.runs)
        found = (self._beside_references(file, references) for file in files)
        return [metric.statistics(hypotheses, references, self.config.data.language, src) for hypotheses in found]

    def _beside_references(self, path: Path, references: Sequence[str] | None = None) -> list[str]:
        """Lines of a file that has one for each of the references (default: the test's). Raises ``UserError``."""
        lines, pairs = lines_of(path), len(self.references if references is None else references)
        if len(lines) != pairs:
            told = f"{path} has {len(lines):,} lines but the test has {pairs:,} pairs"
            raise UserError(f"{told}: copy the run again, or train it anew with overwrite=true")
        return lines

    def _log_probabilities(self, path: Path) -> NDArray[np.float64]:
        """Log-probabilities of the references (N,). Raises ``UserError`` where a line is no finite number."""
        try:
            found = np.array([float(line) for line in self._beside_references(path)])
        except ValueError as error:
            raise UserError(f"{path}: {error}: copy the run again, or train it anew with overwrite=true") from error
        if not np.isfinite(found).all():
            raise UserError(f"{path} holds numbers that are not finite: train the run anew with overwrite=true")
        return found

    def bleu(self, hypotheses: Sequence[str], references: Sequence[str]) -> SufficientStatistics:
        """BLEU's sufficient statistics (N, k) of translations of any sentences."""
        return BLEU.statistics(hypotheses, references, self.config.data.language)

    @property
    def config(self) -> Config:
        """The config of one run, for the options that all have in common."""
        return self.baseline.configs[0]

    @cached_property
    def unit(self) -> Unit:
        """The unit of all source lengths."""
        return unit_of(self.src)

    @cached_property
    def tgt_unit(self) -> Unit:
        """The unit of the lengths of references and translations."""
        return unit_of(self.references)

    @property
    def source_length(self) -> str:
        """The name of the column and of the axis of source lengths."""
        return f"source {self.unit.name}"

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each test source (N,)."""
        return np.array(self.unit.counts(self.src), np.int64)

    @cached_property
    def buckets(self) -> list[Bucket]:
        """The test sentences by source length."""
        return by_bucket(self.lengths.tolist(), self.edges)

    @cached_property
    def level(self) -> Level:
        """Which models have learned enough to be compared, by test BLEU."""
        return self.level_of({group.model: self.system(group, BLEU) for group in self.groups})

    def level_of(self, systems: Mapping[str, System]) -> Level:
        """The same of any systems of BLEU on the test, by name."""
        return Level({name: interval(system, BLEU) for name, system in systems.items()}, self._trivial)

    @cached_property
    def _trivial(self) -> dict[str, float]:
        """Test BLEU of what needs no model."""
        trivial = trivial_translations(self.src, self.references)
        return {name: float(BLEU.score(self.bleu(lines, self.references).sum(0))) for name, lines in trivial.items()}

    @property
    def compared(self) -> list[ModelRuns]:
        """The models, other than the baseline, that verdicts compare with it; none where the baseline is too weak."""
        return [group for group in self.others if self.level.reached(self.baseline.model, group.model)]

    def variants_on(self, question: str) -> list[ModelRuns]:
        """The variants that answer a question of ``VariantConfig``."""
        return [group for variant, group in self.variants if variant.question == question]

    def place(self, bucket: Bucket) -> dict[str, Any]:
        """A bucket's name and the mean length of its sentences, as columns of a row."""
        return {"bucket": bucket.name, self.source_length: float(self.lengths[bucket.indices].mean())}

    @cached_property
    def reference_tokens(self) -> NDArray[np.int64]:
        """Number of tokens of each test reference (N,) that the runs were scored on, EOS included."""
        subwords = Subwords.load(self.baseline.runs[0].subwords)
        return np.array([len(ids) for ids in subwords.encode_tgt(self.references, self.config.decode.max_input)])


def data_of_runs(
    runs: Sequence[Run],
    title: str,
    edges: list[int] | None,
    corpus: bool = False,
    language_model: ModelRuns | None = None,
    **more: Any,
) -> ReportData:
    """Read runs, which must be alike.

    Args:
        edges: upper ends of the buckets of source length (default: ``Unit.edges``).
        corpus: whether the files and the cache that the runs' configs name may be used.
        language_model: runs of a language model of the target, trained and tested on the same text.
        more: further fields of ``ReportData``.

    Raises:
        UserError: a run is not finished, a model has two runs with one seed, or the test split is gone.
    """
    groups = grouped(runs)
    test = saved_split(groups[0].runs[0], "test")
    if test is None:
        raise UserError(f"{groups[0].runs[0].folder}: its test split is gone: train it anew with overwrite=true")
    warnings = more.setdefault("warnings", [])
    try:
        saved = saved_split(groups[0].runs[0], "valid")
        valid = saved or split_of_source(override(groups[0].configs[0], [], corpus), "valid")
    except UserError as error:  # the runs were trained on another machine
        valid = [], []
        warnings.append(f"the validation split is not here, so how BLEU grew is not shown: {error}")
    if corpus:
        _read_training(groups, *test, more)
    edges = unit_of(test[0]).edges(edges)
    tests = _further_tests(groups, warnings)
    return ReportData(title, groups, *test, valid, edges, tests, language_model=language_model, **more)


def _read_training(
    groups: Sequence[ModelRuns], src: Sequence[str], references: Sequence[str], fields: dict[str, Any]
) -> None:
    """Add to the fields what is read in the training text, which all runs share; a warning where it cannot be read."""
    run, config = groups[0].runs[0], override(groups[0].configs[0], [], True)
    try:
        fields["nearness"] = nearness(run, config, src)
        fields["frequencies"] = frequencies(run, config, references)
        fields["trained"] = trained_lengths(run, config, unit_of(src))
    except UserError as error:
        told = "which lengths were trained on, which test sentences are near training sentences, and how rare words are"
        fields["warnings"].append(f"{told}, is not shown: {error}")


def _further_tests(groups: Sequence[ModelRuns], warnings: list[str]) -> dict[str, tuple[list[str], list[str]]]:
    """The text of each further test set that all runs were tested on; a warning for each other one."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    runs = [run for group in groups for run in group.runs]
    tested = [(run, run.load_summary().get("tests", {})) for run in runs]
    for name in dict.fromkeys(name for _, tests in tested for name in tests):
        first, *others = [saved_split(run, name) if name in tests else None for run, tests in tested]
        if first is not None and all(text == first for text in others):
            found[name] = first
        else:
            warnings.append(f"the test set {name} is not shown: not all runs were tested on the same text of it")
    return found


def _of_fewer(outcome: Outcome, size: int) -> list[ModelRuns]:
    """The runs on so many training pairs, by the names that the models have on all of them."""
    known = {run.folder.parent.name: group.model for group in grouped(outcome.runs) for run in group.runs}
    runs = [run for number, run in outcome.sized if number == size]
    folders = [run.folder.parent.name.removesuffix(f"-{size}") for run in runs]
    return named(runs, [known.get(folder, folder) for folder in folders])


def data_of_study(outcome: Outcome) -> ReportData:
    """Read the finished runs, trials and variants of a study. Raises ``UserError`` as ``data_of_runs`` does."""
    study = outcome.study
    fewer = study.options.sizes[:-1]  # of which one is kept where every run failed
    sized = {size: _of_fewer(outcome, size) for size in fewer}
    beside, missing = pages_beside(study.report, study.options.beside)
    return data_of_runs(
        outcome.runs,
        f"Study {study.options.name}",
        study.options.buckets,
        corpus=True,
        trials=study.tried(),
        settings=outcome.settings,
        variants=[(variant, ModelRuns(variant.name, [run])) for variant, run in outcome.variants],
        warnings=[*outcome.warnings, *missing],
        sized=sized,
        beside=beside,
        tolerance=study.options.tolerance,
        commands=[shlex.join(["seq2seq", "compare", *study.given])],
        gold=study.options.gold,
        language_model=ModelRuns("language model", [outcome.language_model]) if outcome.language_model else None,
    )
