"""The options of a study, composed from ``configs/study`` and the command line. Loads no torch.

An argument that is no option of the study is one of all its runs: ``compare study=smoke trainer.max_tokens=50000``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from seq2seq.config.option import option, several
from seq2seq.config.schema import OPTIMIZERS
from seq2seq.data.lengths import CHARACTERS, EDGES
from seq2seq.errors import UserError

SET_BY_THE_STUDY = {
    "model": ": it takes each of models in turn",
    "seed": ": it takes each of seeds in turn",
    "trainer.optimizer.lr": ": it takes what the trials choose; rates=[…] says which are tried, one is possible",
    "trainer.optimizer.name": ": the trials choose; optimizers=[…] says which are tried, one is possible",
    "trainer.threads": ": give threads=N",
    "overwrite": ": delete the folder of what is to be trained anew",
}
"""Keys of a run that its study decides, each with a hint what to do instead."""

OF_ITS_PLACE = ("seed", "name", "outputs", "trainer.threads", "overwrite")
"""Those of them, and its folder, that no list of ``key=value`` may set either, since the study sets them last."""

OF_ITS_TRIALS = ("trainer.optimizer.lr", "trainer.optimizer.name")
"""Those that trials choose, so that ``overrides`` would train all of them alike."""

OF_ITS_MODELS = ("model", "experiment")
"""Those that say what a model is, so that one value for all would train one model under several names."""

BUCKETS = f"{','.join(map(str, EDGES))} words, or {','.join(map(str, CHARACTERS.edges(None)))} characters"
"""Default upper ends of the buckets of source length, as the help tells them."""


QUESTIONS = ("undertraining", "slots", "width", "optimizer", "cause")
"""What a variant can ask."""


@dataclass
class VariantConfig:
    """A training run of one model with something changed, to find causes of a difference between models."""

    name: str = option("???", "name of the run's folder and in the page, e.g. lstm-reversed")
    of: str = option("lstm", "the model it varies; it trains with that model's optimiser and learning rate")
    overrides: list[str] = several([], "what differs, as key=value")
    question: str = option("cause", "which part of the page shows it", choices=QUESTIONS)
    tuned: bool = option(
        False, "choose its own optimiser and rate: by finals that begin where its model's are best, or else by trials"
    )
    optimizer: Optional[str] = option(
        None, "train with this one of optimizers, at its best rate in the model's trials", choices=OPTIMIZERS
    )


@dataclass
class StudyConfig:
    """Which runs are compared, and how."""

    name: str = option("???", "name of the study: its report goes to outputs/studies/<name>")
    runs: Optional[str] = option(
        None, "folder below outputs/studies of its runs, which studies may share (default: name)"
    )
    models: list[str] = several(["lstm", "bahdanau", "transformer"], "what is compared; the first is the baseline")
    experiment: str = option("{model}", "the experiment that each model is; {model} stands for its name")
    seeds: list[int] = several([1, 2, 3], "seeds of each model")
    sizes: list[int] = several(
        [],
        "numbers of training pairs, the first so many: the study has the most, further runs of each model the rest",
    )
    beside: list[str] = several([], "further studies, whose figures by length the page shows beside its own")
    overrides: list[str] = several([], "key=value for every run; {model} stands for the model's name")
    optimizers: list[str] = several(
        [], "optimisers that each model is tried with (none: the experiment's own)", choices=OPTIMIZERS
    )
    rates: list[float] = several(
        [], "learning rates that each model is tried with (none: the experiment's own); the best validation NLL wins"
    )
    widen: int = option(
        3, "how many further rates, by factors of two, are tried while the best one lies at an end of rates", low=0
    )
    trials: list[str] = several([], "key=value for only the trials")
    finals: int = option(
        0, "how many of each optimiser's best trials are trained as long as a run, to choose from (0: of the trials)",
        low=0,
    )  # fmt: skip
    language_model: Optional[str] = option(
        None, "an experiment without a source, which says what the others take from theirs; trained with one seed"
    )
    match: str = option(
        "parameters",
        "what is equal beside the data: parameters (and tokens), seconds of training, or floating-point operations",
        choices=("parameters", "seconds", "flops"),
    )
    tolerance: float = option(0.02, "how far the largest model's parameters may exceed the smallest's", low=0)
    buckets: list[int] = several([], f"source lengths up to which buckets go (default {BUCKETS})")
    variants: list[VariantConfig] = field(default_factory=list)
    gold: Optional[str] = option(None, "Pharaoh file with the alignment of the test pairs (the grammar brings its own)")
    anyway: bool = option(False, "put runs beside each other that are not alike, and mark them")
    workers: Optional[int] = option(
        None, "runs at a time, each with `threads` (default: one for each core, or one GPU)", low=1
    )
    threads: int = option(1, "CPU threads of a run", low=1)
    pace: dict[str, float] = several({}, "seconds a million target tokens take on a slow core, for the first estimate")
    outputs: str = option("outputs", "folder of all runs")

    @property
    def folder(self) -> str:
        """Folder of the runs, relative to ``outputs``."""
        return f"studies/{self.runs or self.name}"


OTHER_FOLDERS = ("trials", "finals", "logs", "report")
"""Folders of a study beside those of its models and variants."""

STUDY_KEYS = ("study", *(f.name for f in dataclasses.fields(StudyConfig)))
"""Keys that are options of the study rather than of its runs."""


def study_of(arguments: Sequence[str]) -> tuple[StudyConfig, list[str]]:
    """Split ``key=value`` arguments into the study's options and the arguments of its runs.

    Raises:
        UserError: an unknown key (the message has the nearest known one) or a value out of range.
    """
    from hydra import compose
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    from seq2seq.config.compose import check_choice, hydra_explained, long_form
    from seq2seq.config.validation import canonical, known_keys
    from seq2seq.config.verbatim import GROUPS, for_hydra, parse, text_fields, text_options
    from seq2seq.errors import nearest

    own, runs, experiment = list[str](), list[str](), ""
    known = [*STUDY_KEYS, *known_keys(), *GROUPS]
    lists = {"models", "overrides", "trials"}  # in Hydra's grammar: their elements may hold lists
    text = dict(text_options()) | {key: kind for key, kind in text_fields(StudyConfig()).items() if key not in lists}
    text |= {"study": "str"}
    for argument in map(long_form, arguments):
        if "=" not in argument:
            raise UserError(f"{argument!r} is not understood: give key=value, e.g. seeds=[1,2] or study=smoke")
        key = argument.partition("=")[0]
        if canonical(key) not in known or key in SET_BY_THE_STUDY:
            hint = SET_BY_THE_STUDY.get(key) or nearest(key, known)
            raise UserError(f"{key} is no option of a study{hint}")
        parsed = parse(argument, text)
        if key == "experiment":  # also a group of configs, of which Hydra would take a file here
            experiment = str(parsed.value())
            if "{model}" not in experiment:
                raise UserError(f"{argument}: a study takes each of models in turn: give {{model}} for it")
            continue
        if key == "study":
            check_choice("study", str(parsed.value()))
        if key in STUDY_KEYS:
            own.append(for_hydra(argument, text))
        else:
            runs.append(argument)
    ConfigStore.instance().store(name="_study", node=StudyConfig)
    with hydra_explained():
        study: Any = OmegaConf.to_object(compose("compare", own))
    study.experiment = experiment or study.experiment
    taken = [argument for argument in [*study.overrides, *runs] if argument.partition("=")[0] == "data.take"]
    if study.sizes and taken:
        raise UserError(f"{taken[-1]}: sizes={study.sizes} says how many training pairs there are: leave one out")
    tried = [argument for argument in arguments if argument.partition("=")[0] == "optimizers"]
    if study.optimizers and tried and not study.rates:
        raise UserError(f"{tried[-1]}: trials choose the optimiser, each at every rate: give rates=[…] as well")
    return check(study), runs


def bucket_edges(text: str) -> list[int]:
    """Parse ``10,20,30``: upper ends of the buckets of source length. Raises ``UserError``."""
    parts = text.split(",")
    edges = [int(part) for part in parts if part.strip().isdecimal() and len(part) < 10]
    if len(edges) < len(parts) or edges != sorted(set(edges)) or edges[0] < 1:
        raise UserError(f"--buckets {text}: give growing numbers, e.g. 10,20,30,40")
    return edges


def is_folder_name(name: str) -> bool:
    """Whether ``name`` is that of one folder, not a path."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\0"}


def check(study: StudyConfig) -> StudyConfig:
    """Check ranges and combinations of options; return ``study``. Raises ``UserError``."""
    from seq2seq.config.validation import within_limits

    within_limits(study)
    for variant in study.variants:
        within_limits(variant, "variants.")
    lists: dict[str, Sequence[object]]
    lists = {"models": study.models, "seeds": study.seeds, "buckets": study.buckets, "rates": study.rates}
    lists |= {"optimizers": study.optimizers, "sizes": study.sizes, "beside": study.beside}
    for key, values in lists.items():
        if len(set(values)) < len(values):
            raise UserError(f"{key}={values}: the same twice: leave one out")
    if len({f"{rate:g}" for rate in study.rates}) < len(study.rates):
        raise UserError(f"rates={study.rates}: two are the same to six digits, which name their trials: leave one out")
    if not study.models or not study.seeds:
        raise UserError("models and seeds must not be empty: a study needs at least one run")
    if study.buckets != sorted(study.buckets) or any(edge < 1 for edge in study.buckets):
        raise UserError(f"buckets={study.buckets}: give growing numbers, e.g. [10,20,30,40]")
    if study.sizes != sorted(study.sizes) or len(study.sizes) == 1 or any(size < 1 for size in study.sizes):
        raise UserError(f"sizes={study.sizes}: give growing numbers, at least two, e.g. [1000,3000,10000]")
    if study.name in study.beside:
        raise UserError(f"beside={study.beside}: {study.name} is the study itself: leave it out")
    for key, name in (("name", study.name), ("runs", study.runs)):
        if name is not None and not is_folder_name(name):
            raise UserError(f"{key}={name!r}: a study is one folder below {study.outputs}/studies: give a plain name")
    for model in study.models:
        if not is_folder_name(model):
            corpus, _, name = model.rpartition("/")
            advice = f"give {name}, and experiment={corpus}/{{model}}" if corpus and name else "give a plain name"
            raise UserError(f"models: {model!r} is no folder's name: {advice}")
    if study.language_model in study.models:
        told = "is one of models, which the others are not measured against: leave it out of one of the two"
        raise UserError(f"language_model={study.language_model} {told}")
    taken = {*study.models, study.language_model, *OTHER_FOLDERS}
    taken |= {f"{model}-{size}" for model in study.models for size in study.sizes}
    for variant in study.variants:
        if variant.of not in study.models:
            raise UserError(f"variants: {variant.name} is of {variant.of}, which is none of models")
        if variant.name in taken or not is_folder_name(variant.name):
            raise UserError(f"variants: {variant.name!r} is taken, or no folder's name: give each a name of its own")
        taken.add(variant.name)
        if variant.optimizer and (variant.tuned or variant.optimizer not in study.optimizers):
            told = "takes its optimizer from the model's trials: name it in optimizers, and leave tuned out"
            raise UserError(f"variants: {variant.name} {told}")
    _check_overrides(study)
    if study.match == "seconds" and not study.rates:
        raise UserError("match=seconds needs trials to measure the speed in: set rates, e.g. rates=[0.004]")
    return study


def _check_overrides(study: StudyConfig) -> None:
    """Refuse ``key=value`` that the study would set otherwise, or that would make all its trials one. ``UserError``."""
    chosen = OF_ITS_TRIALS if study.rates else ()
    lists = [("overrides", study.overrides, chosen), ("trials", study.trials, chosen)]
    for variant in study.variants:
        own = chosen if variant.tuned or variant.optimizer else ()
        lists.append((f"variants: {variant.name}", variant.overrides, own))
    for where, arguments, more in lists:
        for argument in arguments:
            key = argument.partition("=")[0].lstrip("+")
            if key in (*OF_ITS_PLACE, *more):
                hint = SET_BY_THE_STUDY.get(key, ": the study gives each run its own folder")
                raise UserError(f"{where}: {argument} is not for the runs of a study{hint}")
    of_all = [] if any("{model}" in argument for argument in study.overrides) else study.overrides
    for where, arguments in (("overrides", of_all), ("trials", study.trials)):
        for argument in arguments:
            if argument.partition("=")[0].lstrip("+") in OF_ITS_MODELS and "{model}" not in argument:
                told = "would make all models one: leave it out, or give {model} in it"
                raise UserError(f"{where}: {argument} {told}")
