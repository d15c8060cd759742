"""Which runs a study is made of, and whether they may be compared. Knows configs and run folders; no torch.

Trials choose each model's learning rate; then every model is trained with every seed; then come the variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, differences, run_of
from seq2seq.study.options import StudyConfig, VariantConfig
from seq2seq.system.files import read_json

COMPARED = ("data", "subwords", "references", "code", "versions")
"""What of a fingerprint must be the same in runs that stand beside each other."""
MAY_DIFFER = ("model.", "seed", "trainer.optimizer.lr")
"""Keys of the config in which the runs of a study differ by design."""


@dataclass(frozen=True)
class Planned:
    """A run that a study needs: the arguments of ``seq2seq train`` that make it, and where it will be."""

    model: str  # of a variant, the model that it varies
    seed: int
    rate: float | None
    arguments: tuple[str, ...]
    config: Config

    @property
    def run(self) -> Run:
        """Its folder."""
        return run_of(self.config)

    @property
    def finished(self) -> bool:
        """Whether it is there, trained and tested.

        Raises:
            UserError: what is there was trained with another config.
        """
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
        """For people: what of all runs it is."""
        name = self.config.name or ""
        return name.split("/", 2)[-1]


@dataclass(frozen=True)
class Trial:
    """What came of one learning rate."""

    model: str
    rate: float
    tokens: int
    bleu: float
    nll: float


class Study:
    """A study's options, and the arguments that the user gave for all of its runs."""

    def __init__(self, options: StudyConfig, arguments: Sequence[str] = (), given: Sequence[str] = ()) -> None:
        """``given``: the whole command as the user typed it, for the page."""
        self.options, self.arguments, self.given = options, tuple(arguments), tuple(given)

    @property
    def report(self) -> Path:
        """Folder of the page."""
        return Path(self.options.outputs) / "studies" / self.options.name / "report"

    @property
    def logs(self) -> Path:
        """Folder of what the runs print."""
        return Path(self.options.outputs) / self.options.folder / "logs"

    # ---------------------------------------------------------------------------------------------------- plans

    @cached_property
    def trials(self) -> list[Planned]:
        """One short run for each model and learning rate: the same number for all."""
        return [
            self._plan(model, f"trials/{model}-{rate:g}", 1, rate, self.options.trials)
            for model in self.options.models
            for rate in self.options.rates
        ]

    def runs(self, rates: dict[str, float | None], seconds: dict[str, float] | None = None) -> list[Planned]:
        """Every model with every seed, at the rates that the trials chose.

        ``seconds``: what a target token costs each model in training time or operations, where not the tokens but
        these are to be equal; the cheapest model sees the tokens that the options say times the ratio of costs.
        """
        planned = []
        for seed in self.options.seeds:
            for model in self.options.models:
                more = [] if seconds is None else [self._equal_cost(model, seconds)]
                planned.append(self._plan(model, f"{model}/seed{seed}", seed, rates[model], more))
        return planned

    def variants(self, rates: dict[str, float | None]) -> list[tuple[VariantConfig, Planned]]:
        """The runs in which something is changed, with the first seed."""
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
        filled = _last_wins([argument.replace("{model}", model) for argument in arguments])
        return Planned(model, seed, rate, tuple(filled), compose(filled))

    def _equal_cost(self, model: str, cost: dict[str, float]) -> str:
        first = self._plan(model, model, 1, None, []).config.trainer.max_tokens
        if first is None:
            raise UserError(f"match={self.options.match} shares out target tokens: set trainer.max_tokens")
        dearest = max(cost[name] for name in self.options.models)
        return f"trainer.max_tokens={round(first * dearest / cost[model])}"

    # --------------------------------------------------------------------------------------------------- rates

    def rates(self) -> dict[str, float | None]:
        """Each model's learning rate: the smallest that comes within ``margin`` of its best trial's BLEU.

        The smallest, because a short trial favours high rates, which a longer training then pays for.

        Raises:
            UserError: a trial is missing, so that the models would not have had the same number.
        """
        chosen: dict[str, float | None] = dict.fromkeys(self.options.models)
        if not self.options.rates:
            return chosen
        results = self.tried()
        for planned in self.trials:
            if not planned.finished:
                raise UserError(
                    f"{planned.label} did not come to an end (see {self.logs}), and each model is owed the same number "
                    "of trials: start the same command again, or leave the rate out of rates"
                )
        for model in chosen:
            own = [trial for trial in results if trial.model == model]
            best = max(trial.bleu for trial in own)
            chosen[model] = min(trial.rate for trial in own if trial.bleu >= best * (1 - self.options.margin))
        return chosen

    def tried(self) -> list[Trial]:
        """What the finished trials came to, on the validation split."""
        results = []
        for planned in self.trials:
            if planned.finished and planned.rate is not None:
                last = planned.run.points("valid/bleu")[-1]
                tokens = planned.run.load_summary()["tokens"]
                results.append(Trial(planned.model, planned.rate, tokens, last["valid/bleu"], last["valid/nll"]))
        return results


def _last_wins(arguments: Sequence[str]) -> list[str]:
    """Hydra refuses a group that is chosen twice; for every key the last word counts."""
    return list({argument.partition("=")[0]: argument for argument in arguments}.values())


# ------------------------------------------------------------------------------------------------------ fairness


def unlike(runs: Sequence[Run], allowed: Sequence[str] = ()) -> list[str]:
    """Why some of these runs may not stand beside each other: what their fingerprints and configs differ in.

    Models, seeds and learning rates may differ, and the keys that are ``allowed``; nothing else may.
    """
    first, *others = runs
    config = first.load_config()
    reasons = []
    for other in others:
        keys = [d for d in differences(config, other.load_config()) if not d.startswith((*MAY_DIFFER, *allowed))]
        reasons += _reason(first, other, [*unlike_parts(first, other), *keys])
    return reasons


def unlike_parts(first: Run, other: Run) -> list[str]:
    """What of their fingerprints differs that must be the same."""
    one, two = (read_json(run.fingerprint_file, "fingerprint") for run in (first, other))
    return [part for part in COMPARED if one.get(part) != two.get(part)]


def _reason(first: Run, other: Run, what: list[str]) -> list[str]:
    return [f"{other.folder} is not like {first.folder}: {'; '.join(what[:4])}"] if what else []


def check_prints(runs: Sequence[Run], anyway: bool) -> list[str]:
    """As ``check_alike``, of the fingerprints alone: for runs whose configs differ by design (trials, variants)."""
    first, *others = runs
    return _refuse([line for run in others for line in _reason(first, run, unlike_parts(first, run))], anyway)


def _refuse(reasons: list[str], anyway: bool) -> list[str]:
    if reasons and not anyway:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise UserError(f"{reasons[0]}{more}: a comparison would mix them up; to show them marked, say anyway")
    return reasons


def check_alike(runs: Sequence[Run], anyway: bool, allowed: Sequence[str] = ()) -> list[str]:
    """The reasons of ``unlike``, to be shown with the results.

    Raises:
        UserError: there are some, and nobody said to go on ``anyway``; or they were tested on other sentences.
    """
    for run in runs[1:]:
        if "references" in unlike_parts(runs[0], run):
            raise UserError(
                f"{run.folder} was tested on other sentences than {runs[0].folder}: no comparison is possible"
            )
    return _refuse(unlike(runs, allowed), anyway)


def check_parameters(counts: dict[str, int], tolerance: float, anyway: bool) -> list[str]:
    """Whether the models have the same number of parameters, within ``tolerance`` of the smallest.

    Raises:
        UserError: they have not, and nobody said to go on ``anyway``.
    """
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] <= counts[least] * (1 + tolerance):
        return []
    excess = counts[most] / counts[least] - 1
    reason = f"{most} has {counts[most]:,} parameters, {excess:.1%} more than {least}'s {counts[least]:,}"
    if not anyway:
        raise UserError(f"{reason}, above the tolerance of {tolerance:.0%}: change a width, or say anyway")
    return [reason]
