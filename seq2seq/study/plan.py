"""The plan of a study: its trials, training runs and variants as configs. Knows run folders; starts nothing, no torch.

Short trials and, of the likeliest, finals as long as a run choose each model's optimiser and learning rate; then every
model is trained with every seed; then come the language model, which reads no source, the variants, and every model
with every seed on fewer training pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from seq2seq.config.compose import compose, long_form
from seq2seq.config.schema import Config
from seq2seq.config.sweep import Launcher
from seq2seq.config.validation import validate
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, differences, run_of
from seq2seq.study.options import StudyConfig, VariantConfig

DEFAULT_PACE = 150.0  # seconds a million target tokens, for a model of which nothing is known
OVERHEAD_SECONDS = 25.0  # of a run outside training: start, validations, test


def seconds_of(config: Config, pace: float = DEFAULT_PACE) -> float:
    """A rough estimate of a run's time on a slow core; ``pace``: seconds a million target tokens."""
    tokens, hours = config.trainer.max_tokens, config.trainer.max_hours
    return (hours or 1.0) * 3600 if tokens is None else pace * tokens / 1e6 + OVERHEAD_SECONDS


@dataclass(frozen=True)
class Setting:
    """What trials choose: the optimiser and its peak learning rate. None: the experiment's own."""

    optimizer: str | None = None
    rate: float | None = None

    def __str__(self) -> str:
        parts = [self.optimizer, None if self.rate is None else f"{self.rate:g}"]
        return " ".join(part for part in parts if part)


OWN = Setting()
"""The setting of an experiment as it is."""


@dataclass(frozen=True)
class Subject:
    """What has trials: a model, the language model, or a variant that is tuned anew."""

    name: str
    model: str  # for a variant, the model that it varies
    overrides: tuple[str, ...] = ()
    compared: bool = True  # not the language model, which the others are measured against

    @property
    def varies(self) -> bool:
        """Whether this is a variant of a model."""
        return self.name != self.model


@dataclass(frozen=True)
class Planned:
    """A run of a study, finished or not: the arguments of ``seq2seq train`` and the config that they give."""

    subject: str  # the name of a model or a variant
    model: str  # for a variant, the model that it varies
    seed: int
    setting: Setting
    arguments: tuple[str, ...]
    config: Config

    @property
    def run(self) -> Run:
        """The run folder, which may not exist yet."""
        return run_of(self.config)

    @property
    def finished(self) -> bool:
        """Whether the run has been trained and tested. Raises ``UserError`` for a finished run with another config."""
        if not self.run.finished:
            return False
        changed = differences(self.run.load_config(), self.config)
        if changed:
            raise UserError(
                f"{self.run.folder} is a finished run with another config ({'; '.join(changed[:3])}): "
                "give the study another name=…, or delete the folder to train it anew"
            )
        return True

    @property
    def label(self) -> str:
        """Short name for messages and log files, e.g. ``lstm/seed1``."""
        return (self.config.name or "").split("/", 2)[-1]


@dataclass(frozen=True)
class Trial:
    """Result of a training with one optimiser and rate on the validation split, at its likeliest validation."""

    subject: str  # the name of a model or a variant
    optimizer: str | None
    rate: float
    tokens: int  # target tokens trained on
    bleu: float
    nll: float  # nats a token; infinite for a training that diverged
    final: bool = False  # as long as a run; trials proper are shorter

    @property
    def setting(self) -> Setting:
        """What was tried."""
        return Setting(self.optimizer, self.rate)


class Study:
    """A study: its options, and the arguments that the user gave for all of its runs."""

    def __init__(
        self,
        options: StudyConfig,
        arguments: Sequence[str] = (),
        given: Sequence[str] = (),
        launcher: Launcher | None = None,
    ) -> None:
        """Plan a study.

        Args:
            given: all arguments of the command as the user typed them, which the page repeats.
            launcher: one of Hydra's that runs the processes; None: ``options.workers`` at a time on this machine.
        """
        self.options, self.arguments, self.given = options, tuple(arguments), tuple(given)
        self.launcher = launcher
        self._composed: dict[tuple[str, ...], Config] = {}
        self._results: dict[str, Trial] = {}  # of the finished ones, by label

    @property
    def report(self) -> Path:
        """Folder of the page."""
        return Path(self.options.outputs) / "studies" / self.options.name / "report"

    @property
    def logs(self) -> Path:
        """Folder of the output of all processes, one file each."""
        return Path(self.options.outputs) / self.options.folder / "logs"

    @cached_property
    def subjects(self) -> list[Subject]:
        """All whose optimiser and rate are chosen: the models, the language model, and variants that ask for it."""
        options, reference = self.options, self.options.language_model
        tuned = [variant for variant in options.variants if variant.tuned]
        return [
            *(Subject(model, model) for model in options.models),
            *([Subject(reference, reference, compared=False)] if reference else []),
            *(Subject(variant.name, variant.of, tuple(variant.overrides)) for variant in tuned),
        ]

    @property
    def trials(self) -> list[Planned]:
        """One short run for each subject, optimiser and learning rate; none for variants where there are finals.

        Where the best finished trial of a subject and an optimiser is at an end of the rates, the next rate beyond it
        is planned as well, by factors of two and at most ``widen`` times. A single rate is the user's choice.
        """
        optimizers: Sequence[str | None] = self.options.optimizers or [None]
        return [
            planned
            for subject in self.subjects
            if not (subject.varies and self.options.finals)
            for optimizer in optimizers
            for planned in self._widened(subject, [Setting(optimizer, rate) for rate in self.options.rates])
        ]

    @property
    def finals(self) -> list[Planned]:
        """Runs with the study's first seed from which each subject's setting is chosen.

        Of a model they are the ``finals`` likeliest trials of each optimiser, trained for as long as the runs; of a
        variant the likeliest final of each optimiser that its model has. Where the best finished one is at an end of
        its optimiser's rates, the next rate beyond it is planned as well, as for trials.
        """
        planned, trials = list[Planned](), self.trials
        for subject in self.subjects:
            earlier = planned if subject.varies else trials
            of_model = [one for one in earlier if one.subject == subject.model]
            likeliest = self._likeliest(of_model, 1 if subject.varies else self.options.finals)
            if subject.compared and likeliest:
                planned += self._widened(subject, likeliest, final=True)
        return planned

    def _likeliest(self, planned: Sequence[Planned], number: int) -> list[Setting]:
        """The settings of the likeliest so many by each optimiser; none before all are finished."""
        results = sorted((result for each in planned if (result := self._result(each))), key=likeliest_first)
        optimizers = dict.fromkeys(each.setting.optimizer for each in planned) if len(results) == len(planned) else ()
        return [
            one.setting
            for optimizer in optimizers
            for one in [result for result in results if result.optimizer == optimizer][:number]
        ]

    def _widened(self, subject: Subject, settings: Sequence[Setting], final: bool = False) -> list[Planned]:
        """Trials or finals with these settings, and with rates beyond while the likeliest is at an end of them."""
        planned = {setting: self._trial(subject, setting, final) for setting in settings}
        for _ in range(self.options.widen if len(self.options.rates) > 1 else 0):
            results = [result for each in planned.values() if (result := self._result(each))]
            if len(results) < len(planned):
                break
            likeliest = best(results)
            rates = sorted(one.rate for one in results if one.optimizer == likeliest.optimizer)
            if likeliest.rate not in (rates[0], rates[-1]):
                break
            factor = 0.5 if likeliest.rate == rates[0] else 2.0
            beyond = Setting(likeliest.optimizer, likeliest.rate * factor)
            planned[beyond] = self._trial(subject, beyond, final)
        order = [None, *self.options.optimizers]
        return sorted(planned.values(), key=lambda one: (order.index(one.setting.optimizer), one.setting.rate))

    def _trial(self, subject: Subject, setting: Setting, final: bool) -> Planned:
        name = f"{'finals' if final else 'trials'}/{'-'.join([subject.name, *str(setting).split()])}"
        more = [*subject.overrides, *([] if final else self.options.trials)]
        seed = self.options.seeds[0] if final else 1
        return self._plan(subject.name, subject.model, name, seed, setting, more)

    def runs(self, settings: dict[str, Setting], cost: dict[str, float] | None = None) -> list[Planned]:
        """A run of each model with each seed.

        Args:
            settings: the optimiser and rate of each model.
            cost: cost of a target token in each model, where runs are to have equal cost rather than equal tokens:
                the dearest model trains on ``trainer.max_tokens``, a cheaper one on more by the ratio of the costs.
        """
        return self._every_model(settings, cost)

    def _every_model(
        self, settings: dict[str, Setting], cost: dict[str, float] | None, suffix: str = "", more: Sequence[str] = ()
    ) -> list[Planned]:
        """A run of each model with each seed, in a folder of the model's name and ``suffix``."""
        planned = []
        for seed in self.options.seeds:
            for model in self.options.models:
                equal = [] if cost is None else [self._equal_cost(model, cost)]
                name = f"{model}{suffix}/seed{seed}"
                planned.append(self._plan(model, model, name, seed, settings[model], [*equal, *more]))
        return planned

    def sized(self, settings: dict[str, Setting], cost: dict[str, float] | None = None) -> list[tuple[int, Planned]]:
        """A run of each model with each seed on each number of training pairs but the largest, which ``runs`` have.

        All have the optimiser and the rate that the trials on the most pairs chose, and the subwords of the first of
        ``runs``: so models are as large at each size, and likelihoods are of the same tokens. A run on fewer pairs
        sees them more often, for as many target tokens, and the best of its validations is tested.
        """
        options = self.options
        first = Path(options.outputs) / options.folder / options.models[0] / f"seed{options.seeds[0]}"
        return [
            (size, planned)
            for size in options.sizes[:-1]
            for planned in self._every_model(
                settings, cost, f"-{size}", [f"data.take={size}", f"data.subwords.from_run={first}"]
            )
        ]

    def language_model(self, settings: dict[str, Setting]) -> Planned | None:
        """The run of the language model, with the study's first seed; None where the study has none."""
        model, seed = self.options.language_model, self.options.seeds[0]
        return self._plan(model, model, f"{model}/seed{seed}", seed, settings[model], []) if model else None

    def variants(
        self, settings: dict[str, Setting], cost: dict[str, float] | None = None
    ) -> list[tuple[VariantConfig, Planned]]:
        """Each variant with its run, which has the study's first seed and its model's tokens, see ``runs``.

        A variant that asks for an optimiser is left out where its model has that one anyway, or nothing is tried.
        """
        seed = self.options.seeds[0]
        found = []
        for variant in self.options.variants:
            own, setting = settings[variant.of], settings.get(variant.name, settings[variant.of])
            if variant.optimizer is None or (self.options.rates and setting != own):
                name = f"{variant.name}/seed{seed}"
                more = [*([] if cost is None else [self._equal_cost(variant.of, cost)]), *variant.overrides]
                run = self._plan(variant.name, variant.of, name, seed, setting, more)
                found.append((variant, run))
        return found

    def _plan(self, subject: str, model: str, name: str, seed: int, setting: Setting, more: Sequence[str]) -> Planned:
        options = self.options
        arguments = [f"experiment={options.experiment}", *options.overrides]
        arguments += [f"data.take={options.sizes[-1]}"] if options.sizes else []
        filled = [long_form(argument.replace("{model}", model)) for argument in [*arguments, *self.arguments, *more]]
        # Only the last argument for each key: Hydra refuses a group that is chosen twice.
        last = {argument.partition("=")[0]: argument for argument in filled}
        where = f"{options.folder}/{name}"
        own = [f"seed={seed}", f"name={where}", f"outputs={options.outputs}", f"trainer.threads={options.threads}"]
        set_here = {argument.partition("=")[0] for argument in own}
        shared = tuple(argument for key, argument in last.items() if key not in set_here)
        if shared not in self._composed:  # a third of a second of Hydra, once for all seeds, names and settings
            self._composed[shared] = compose(shared)
        config = self._composed[shared]
        optimizer = config.trainer.optimizer
        if setting.optimizer is not None and "trainer.optimizer.name" not in last:
            optimizer = replace(optimizer, name=setting.optimizer)
            own.append(f"trainer.optimizer.name={setting.optimizer}")
        if setting.rate is not None and "trainer.optimizer.lr" not in last:
            optimizer = replace(optimizer, lr=setting.rate)
            own.append(f"trainer.optimizer.lr={setting.rate!r}")
        trainer = replace(config.trainer, threads=options.threads, optimizer=optimizer)
        config = replace(config, seed=seed, name=where, outputs=options.outputs, trainer=trainer)
        return Planned(subject, model, seed, setting, (*shared, *own), validate(config))

    def _equal_cost(self, model: str, cost: dict[str, float]) -> str:
        first = self._plan(model, model, model, 1, OWN, []).config.trainer.max_tokens
        if first is None:
            raise UserError(f"match={self.options.match} shares out target tokens: set trainer.max_tokens")
        dearest = max(cost[name] for name in self.options.models)
        return f"trainer.max_tokens={round(first * dearest / cost[model])}"

    @property
    def draft(self) -> dict[str, Setting]:
        """Settings as ``settings`` gives them, but before any trial, as if the first of all were chosen."""
        rate = self.options.rates[0] if self.options.rates else None
        optimizer = self.options.optimizers[0] if self.options.optimizers and self.options.rates else None
        asking = [variant for variant in self.options.variants if variant.optimizer]
        return {
            **{subject.name: Setting(optimizer, rate) for subject in self.subjects},
            **{variant.name: Setting(variant.optimizer, rate) for variant in asking},
        }

    def settings(self) -> dict[str, Setting]:
        """The optimiser and rate of the final with the lowest validation NLL, which is the one rule for all.

        By the names of subjects, and of variants that ask for one optimiser. Of equal ones it takes the smaller rate.
        Where there are no finals the trials decide, and without trials it is the experiment's own.

        Raises:
            UserError: a trial or a final is not finished; the comparison would favour the models that had more.
        """
        if not self.options.rates:
            return {subject.name: OWN for subject in self.subjects}
        for planned in [*self.trials, *self.finals]:
            if not planned.finished:
                raise UserError(
                    f"{planned.label} did not come to an end (see {self.logs}), and each model is owed the same "
                    "trials: start the same command again, or leave the rate out of rates, or say widen=0"
                )
        tried = self.tried()
        chosen = {subject.name: best(deciding(tried, subject.name)).setting for subject in self.subjects}
        for variant in self.options.variants:
            if variant.optimizer:
                of_model = deciding(tried, variant.of)
                own = [trial for trial in of_model if trial.optimizer == variant.optimizer]
                chosen[variant.name] = best(own).setting
        return chosen

    def _result(self, planned: Planned) -> Trial | None:
        """The result of a trial or a final, which is read once; None if it is not finished."""
        name, setting = planned.label, planned.setting
        if name not in self._results and planned.finished and setting.rate is not None:
            validations = planned.run.points("valid/bleu")
            nlls = [float(point["valid/nll"]) for point in validations]
            nll, bleu = min(
                (nll if math.isfinite(nll) else math.inf, point["valid/bleu"])
                for nll, point in zip(nlls, validations, strict=True)
            )
            tokens, final = int(validations[-1]["train/tokens"]), name.startswith("finals/")
            self._results[name] = Trial(planned.subject, setting.optimizer, setting.rate, tokens, bleu, nll, final)
        return self._results.get(name)

    def tried(self) -> list[Trial]:
        """The results of the finished trials, then of the finished finals."""
        return [result for planned in [*self.trials, *self.finals] if (result := self._result(planned))]


def deciding(tried: Sequence[Trial], subject: str) -> list[Trial]:
    """Those from which a subject's setting is chosen: its finals, or its trials where it has none."""
    own = [trial for trial in tried if trial.subject == subject]
    return [trial for trial in own if trial.final] or own


def likeliest_first(trial: Trial) -> tuple[float, float]:
    """The key that sorts trials: by likelihood, of equals the smaller rate first."""
    return trial.nll, trial.rate


def best(trials: Sequence[Trial]) -> Trial:
    """The likeliest, and of equals the one with the smaller rate."""
    return min(trials, key=likeliest_first)
