"""The plan of a study: its trials, training runs and variants as configs. Knows run folders; starts nothing, no torch.

Trials choose each model's learning rate; then every model is trained with every seed; then come the variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.config.sweep import Launcher
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
class Planned:
    """A run of a study, finished or not: the arguments of ``seq2seq train`` and the config that they give."""

    model: str  # for a variant, the model that it varies
    seed: int
    rate: float | None
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
    """Result of a short training at one learning rate, on the validation split."""

    model: str
    rate: float
    tokens: int  # target tokens trained on
    bleu: float
    nll: float  # nats a token


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

    @property
    def report(self) -> Path:
        """Folder of the page."""
        return Path(self.options.outputs) / "studies" / self.options.name / "report"

    @property
    def logs(self) -> Path:
        """Folder of the output of all processes, one file each."""
        return Path(self.options.outputs) / self.options.folder / "logs"

    @cached_property
    def trials(self) -> list[Planned]:
        """One short run for each model and learning rate, so the same number for every model."""
        return [
            self._plan(model, f"trials/{model}-{rate:g}", 1, rate, self.options.trials)
            for model in self.options.models
            for rate in self.options.rates
        ]

    def runs(self, rates: dict[str, float | None], cost: dict[str, float] | None = None) -> list[Planned]:
        """A run of each model with each seed.

        Args:
            rates: the learning rate of each model.
            cost: cost of a target token in each model, where runs are to have equal cost rather than equal tokens:
                the dearest model trains on ``trainer.max_tokens``, a cheaper one on more by the ratio of the costs.
        """
        planned = []
        for seed in self.options.seeds:
            for model in self.options.models:
                more = [] if cost is None else [self._equal_cost(model, cost)]
                planned.append(self._plan(model, f"{model}/seed{seed}", seed, rates[model], more))
        return planned

    def variants(self, rates: dict[str, float | None]) -> list[tuple[VariantConfig, Planned]]:
        """Each variant with its run, which has the study's first seed."""
        seed = self.options.seeds[0]
        found = []
        for variant in self.options.variants:
            if variant.of not in self.options.models:
                raise UserError(f"variants: {variant.name} is of {variant.of}, which is none of models")
            name = f"{variant.name}/seed{seed}"
            found.append((variant, self._plan(variant.of, name, seed, rates[variant.of], variant.overrides)))
        return found

    def _plan(self, model: str, name: str, seed: int, rate: float | None, more: Sequence[str]) -> Planned:
        options = self.options
        arguments = [f"experiment={options.experiment}", *options.overrides]
        arguments += [] if rate is None else [f"trainer.optimizer.lr={rate:g}"]
        arguments += [*self.arguments, *more]
        arguments += [f"seed={seed}", f"name={options.folder}/{name}", f"outputs={options.outputs}"]
        arguments += [f"trainer.threads={options.threads}"]
        filled = [argument.replace("{model}", model) for argument in arguments]
        # Only the last argument for each key: Hydra refuses a group that is chosen twice.
        filled = list({argument.partition("=")[0]: argument for argument in filled}.values())
        return Planned(model, seed, rate, tuple(filled), compose(filled))

    def _equal_cost(self, model: str, cost: dict[str, float]) -> str:
        first = self._plan(model, model, 1, None, []).config.trainer.max_tokens
        if first is None:
            raise UserError(f"match={self.options.match} shares out target tokens: set trainer.max_tokens")
        dearest = max(cost[name] for name in self.options.models)
        return f"trainer.max_tokens={round(first * dearest / cost[model])}"

    def rates(self) -> dict[str, float | None]:
        """Each model's learning rate: the smallest whose trial reaches the model's best BLEU less the share ``margin``.

        The smallest one because a short training favours higher rates than a long one. None without trials.

        Raises:
            UserError: a trial is not finished; the comparison would favour the models that had more trials.
        """
        chosen: dict[str, float | None] = dict.fromkeys(self.options.models)
        if not self.options.rates:
            return chosen
        for planned in self.trials:
            if not planned.finished:
                raise UserError(
                    f"{planned.label} did not come to an end (see {self.logs}), and each model is owed the same number "
                    "of trials: start the same command again, or leave the rate out of rates"
                )
        results = self.tried()
        for model in chosen:
            own = [trial for trial in results if trial.model == model]
            enough = max(trial.bleu for trial in own) * (1 - self.options.margin)
            chosen[model] = min(trial.rate for trial in own if trial.bleu >= enough)
        return chosen

    def tried(self) -> list[Trial]:
        """The results of the finished trials."""
        results = []
        for planned in self.trials:
            if planned.finished and planned.rate is not None:
                last = planned.run.points("valid/bleu")[-1]
                tokens = planned.run.load_summary()["tokens"]
                results.append(Trial(planned.model, planned.rate, tokens, last["valid/bleu"], last["valid/nll"]))
        return results
