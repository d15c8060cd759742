"""From the command line to a typed config, through Hydra. Knows the YAML files; no torch and no datasets.

Hydra's compose API is used instead of its decorator, which would set up logging, change the folder and put a time
stamp into the run's name. ``validation`` checks the composed config.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seq2seq.config.direction import directed
from seq2seq.config.schema import DECODERS, ENCODERS, Config, ModelConfig
from seq2seq.config.validation import canonical, explain, from_plain, known_keys, reworded
from seq2seq.config.verbatim import GROUPS as GROUPS
from seq2seq.config.verbatim import check_scalars, first_line, for_hydra, parse, parse_one, without_quotes
from seq2seq.errors import UserError, nearest
from seq2seq.system.yaml_text import check_plain, read_yaml_text

OWN = "_own"
IN_A_FILE = re.compile(r"In '(.*)': \w+ raised while composing config:\s*(.*?)\s*full_key: (\S+)", re.DOTALL)
"""Hydra's words for a value that does not fit: the file, what OmegaConf says, and the key."""
HYDRA = ("hydra/", "hydra.")  # begin the keys of Hydra's own options
TOO_LATE = "a launcher chosen in an experiment comes too late, the runs are launched before it is read: give it on the"
TOO_LATE += " command line, hydra/launcher=NAME"


@cache
def register_configs() -> None:
    """Tell Hydra the dataclasses, under names that completion hides (``_name``), and the experiments CORPUS/MODEL."""
    store = ConfigStore.instance()
    store.store(name="_schema", node=Config)
    for group, kinds in (("model/encoder", ENCODERS), ("model/decoder", DECODERS)):
        for name, node in kinds.items():
            store.store(group=group, name=f"_{name}", node=node)
    for name, experiment in _corpus_experiments().items():
        corpus, model = name.split("/")
        store.store(group=f"experiment/{corpus}", name=model, package="_global_", node=experiment)


@cache
def _corpus_experiments() -> dict[str, dict[str, Any]]:
    """The experiments CORPUS/MODEL of ``experiments.yaml``, each as a file in ``experiment/`` would state it."""
    sizes: Any = OmegaConf.create((files("seq2seq.configs") / "experiments.yaml").read_text(encoding="utf-8"))
    experiments = {}
    for size, row in sizes.items():
        models = row.get("model", size)
        for corpus, (model, optimizer) in itertools.product(row.corpora, sizes[models].optimizer.items()):
            choices = {"data": corpus, "model": f"{model}-{models}", "trainer": size}
            experiments[f"{corpus}/{model}"] = {
                "defaults": [{f"override /{group}": choice} for group, choice in choices.items()],
                "trainer": {"optimizer": dict(optimizer)},
            }
    return experiments


def options_of(group: str) -> list[str]:
    """The choices that a config group offers, e.g. ``multi30k/lstm`` of ``experiment``."""
    entries = [entry.name for entry in (files("seq2seq.configs") / group).iterdir()]
    choices = [name.removesuffix(".yaml") for name in entries if name.endswith(".yaml")]
    return sorted([*choices, *(_corpus_experiments() if group == "experiment" else [])])


def names_model(arguments: Sequence[str]) -> bool:
    """Whether the arguments choose an experiment or a model."""
    return any(argument.partition("=")[0] in ("experiment", "model") for argument in arguments)


def compose(arguments: Sequence[str], model: ModelConfig | None = None) -> Config:
    """The config of ``key=value`` arguments; ``experiment=path/to/mine.yaml`` names a user's own file.

    Args:
        model: a trained run's, in place of the default, which ``model.KEY=value`` then changes.

    Raises:
        UserError: a mistyped key, group or value, in one line with the nearest known name.
    """
    register_configs()
    with tempfile.TemporaryDirectory() as folder:
        own = next((a.partition("=")[2] for a in arguments if a.startswith("experiment=")), "")
        arguments = [_own_experiment(long_form(argument), Path(folder)) for argument in arguments]
        check_arguments(arguments, Path(folder))
        arguments = [argument for argument in arguments if argument != "experiment=null"]  # Hydra has no choice null
        # The schema has no key for a test set that is yet to be named, and knows the options of one kind of model.
        set_later = ("data.tests.", "model.") if model else ("data.tests.",)
        later = [argument for argument in arguments if argument.lstrip("+").startswith(set_later)]
        rest = [for_hydra(argument) for argument in arguments if argument not in later]
        with hydra_explained(own):
            composed = hydra_compose("train", [*rest, f"hydra.searchpath=[file://{folder}]"])
            plain: Any = OmegaConf.to_container(composed, resolve=True)
    if model:
        plain["model"] = asdict(model)
    for override in map(parse, later):
        node, (*path, key) = plain, override.get_key_element().lstrip("+").split(".")
        for name in path:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise UserError(f"{override.get_key_element()}: {name} is set to {node}, which has no options")
        node[key] = override.value()
    return directed(from_plain(plain, "config"))


def long_form(argument: str) -> str:
    """The argument, with the key whose usual name is a word of Python's own."""
    key, equals, value = argument.partition("=")
    return f"{key}_run{equals}{value}" if key.lstrip("+") == "data.subwords.from" else argument


@contextmanager
def hydra_explained(own: str = "") -> Iterator[None]:
    """Initialise Hydra on ``configs/``; raise its errors as ``UserError`` that call the user's experiment ``own``."""
    try:
        with initialize_config_module("seq2seq.configs", version_base="1.3"):
            yield
    except (OmegaConfBaseException, HydraException) as error:
        cause = error.__cause__ if isinstance(error, HydraException) else error
        line = explain(cause) if isinstance(cause, OmegaConfBaseException) else first_line(error)
        if found := IN_A_FILE.match(str(error)):
            file, message, key = found.groups()
            line = f"{file}: {reworded(key, message)}"
        raise UserError(line.replace(f"experiment/{OWN}", own)) from error


def _own_experiment(argument: str, folder: Path) -> str:
    """Copy a user's own YAML file into ``folder``, as an experiment that Hydra finds there."""
    key, _, value = argument.partition("=")
    value = without_quotes(value)
    if key != "experiment" or not value.endswith((".yaml", ".yml")):
        return argument
    text = read_yaml_text(Path(value))
    try:
        content = OmegaConf.create(text)
    except Exception as error:  # the YAML libraries raise errors without a common base
        raise UserError(f"{value}: not YAML ({first_line(error)})") from error
    if not isinstance(content, DictConfig):
        raise UserError(f"{value}: not a config: it should hold keys such as `data:` and `trainer:`")
    plain: Any = OmegaConf.to_container(content)
    check_plain(plain, value)
    _check_defaults(plain.get("defaults", []), value)
    _check_own_keys(plain, value)
    check_scalars(yaml.compose(text, Loader=yaml.SafeLoader), plain, value)
    # The file's own name may be that of a shipped experiment, or one that Hydra cannot parse.
    header = "" if "@package" in text else "# @package _global_\n"
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / f"{OWN}.yaml").write_text(header + text, encoding="utf-8")
    return f"experiment={OWN}"


def _check_defaults(defaults: Any, where: str) -> None:
    """Raise ``UserError`` unless ``defaults`` is a list of choices, none of them this file itself."""
    form = "write a list of choices, as in - override /model: lstm"
    if not isinstance(defaults, list):
        raise UserError(f"{where}: defaults is no list: {form}")
    for entry in defaults:
        if not isinstance(entry, str) and not (
            isinstance(entry, dict) and len(entry) == 1 and all(isinstance(choice, str) for choice in entry.values())
        ):
            raise UserError(f"{where}: defaults holds {str(entry)[:60]}: {form}")
        if "hydra/" in str(entry):
            raise UserError(f"{where}: defaults holds {str(entry)[:60]}: {TOO_LATE}")
        if OWN in str(entry):
            raise UserError(f"{where}: defaults names this file itself: {form}")


def _check_own_keys(node: Any, where: str, prefix: str = "") -> None:
    known = known_keys()
    for key, child in node.items():
        dotted = f"{prefix}{key}"
        if dotted == "defaults":
            continue
        if key == "hydra" and not prefix:
            raise UserError(f"{where}: hydra: {TOO_LATE}")
        if dotted == "data.tests" and isinstance(child, dict):
            for name, test in child.items():
                if isinstance(test, dict):
                    _check_own_keys(test, where, f"data.tests.{name}.")
            continue
        if canonical(dotted) not in known:
            raise UserError(f"{where}: unknown key {dotted}{nearest(dotted, known)}")
        if dotted in GROUPS and not isinstance(child, dict):
            raise UserError(f"{where}: to choose a {dotted}, write under `defaults:` - override /{dotted}: {child}")
        if isinstance(child, dict):
            _check_own_keys(child, where, f"{dotted}.")


def no_option(argument: str, example: str) -> UserError:
    """The error for an argument of a training that is not ``key=value``: it names the experiments that may be meant.

    They are one, or several as a sweep takes them, or a file.
    """
    known = options_of("experiment")
    is_named = all(name in known or name.endswith((".yaml", ".yml")) for name in argument.split(","))
    if not is_named and Path(argument).is_file():
        return UserError(f"{argument!r} is not understood: a text is given by data.train.src=… data.train.tgt=…")
    if near := nearest(argument, [argument] if is_named else known, "experiment="):
        return UserError(f"{argument!r} is not understood{near}")
    return UserError(f"{argument!r} is not understood: give key=value, e.g. {example}")


def check_arguments(arguments: Sequence[str], own: Path) -> None:
    """Raise ``UserError``, with the nearest known name, for an unknown key or an unknown choice of a group."""
    known = known_keys()
    for argument in arguments:
        if "=" not in argument or argument.startswith("~"):
            raise no_option(argument, "trainer.max_steps=500")
        key = argument.partition("=")[0].lstrip("+")
        if key.startswith(HYDRA):
            raise UserError(f"{key} is for several trainings: seq2seq train -m …, or seq2seq compare")
        if key not in GROUPS and canonical(key) not in known:
            raise UserError(f"unknown key {key}{nearest(key, [*known, *GROUPS])}")
        override = parse_one(argument)
        if key in GROUPS:
            choice = str(override.value())
            if not (key == "experiment" and choice == "None") and not (own / key / f"{choice}.yaml").exists():
                check_choice(key, choice)


def check_choice(group: str, choice: str) -> None:
    """Raise ``UserError``, with the choices there are, if a config group does not offer ``choice``."""
    choices = options_of(group)
    if choice not in choices:
        hint = "; for several, train -m" if "," in choice else nearest(choice, choices)
        raise UserError(f"unknown {group} {choice}{hint} (there are: {', '.join(choices)})")
