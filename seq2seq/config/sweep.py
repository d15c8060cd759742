"""A sweep, as in ``seed=1,2,3``: its combinations, and the launcher that runs them. Knows arguments; starts nothing.

Several values of an option are written in Hydra's grammar, parsed by Hydra's parser and multiplied out by its basic
sweeper: ``a,b``, ``choice(a,b)``, ``range(1,4)``, ``glob(*)`` of a config group, lists as in ``[1,3],[3,1]``.
An argument with one value means what it means without ``-m`` (see ``verbatim``).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from seq2seq.config.compose import HYDRA, hydra_explained, no_option, register_configs
from seq2seq.config.validation import canonical
from seq2seq.config.verbatim import GROUPS, first_line, parse, text_options
from seq2seq.errors import UserError, nearest

MOST = 1_000  # combinations; more are a slip of the keyboard
IN_TURN = "basic"  # the name of Hydra's launcher that runs one after the other
PLUGINS = ("joblib", "submitit_local", "submitit_slurm")
"""Launchers of the extra ``sweep``."""
CHOICE = "hydra/launcher"
PLACED = "submitit_folder"  # an option that is no user's, nor is one that begins with _


@dataclass(frozen=True)
class Combination:
    """One run of a sweep: its arguments, and those of them that the sweep varies."""

    arguments: tuple[str, ...]
    varied: tuple[str, ...]  # each as key=value, in the order in which they were given


@dataclass(frozen=True)
class Launcher:
    """A launcher of Hydra's, with its options."""

    name: str
    arguments: tuple[str, ...]  # as they were typed
    options: dict[str, Any]  # of the plugin


def combinations(arguments: Sequence[str]) -> list[Combination]:
    """Every combination of the values in ``arguments``, the last option varying fastest.

    Raises:
        UserError: an argument that Hydra's grammar does not know, or more than ``MOST`` combinations.
    """
    register_configs()
    with hydra_explained():
        overrides = {each.get_key_element(): each for each in map(_parse, arguments)}
        varied = [key for key, each in overrides.items() if each.is_sweep_override()]
        count = math.prod(_count(overrides[key]) for key in varied)
        if count > MOST:
            raise UserError(f"a sweep of more than {MOST:,} runs: give fewer values")
        (batch,) = BasicSweeper.split_arguments(list(overrides.values()), None)
    places = [place for place, key in enumerate(overrides) if key in varied]
    batch = [[_as_typed_alone(each) if n in places else each for n, each in enumerate(one)] for one in batch]
    found = [Combination(tuple(one), tuple(one[place] for place in places)) for one in batch]
    if not found:
        raise UserError(f"{', '.join(varied)}: no value among those that were given")
    return found


def _parse(argument: str) -> Override:
    """The argument as Hydra reads it, where it has several values; otherwise as a single training reads it."""
    key, equals, value = argument.partition("=")
    if not equals:
        raise no_option(argument, "seed=1,2")
    try:
        loader = GlobalHydra.instance().config_loader()
        (override,) = OverridesParser.create(config_loader=loader).parse_overrides([argument])
    except (HydraException, ValueError) as error:
        if key in text_options() and "," in value:  # several, some of which would have to be quoted
            cause = error.__cause__ if isinstance(error.__cause__, HydraException) else error
            hint = f"quote each value that holds signs of Hydra's grammar: {key}='…','…'"
            raise UserError(f"{argument[:80]!r} is not understood: {first_line(cause)}: {hint}") from error
        return parse(argument)
    return override if override.is_sweep_override() else parse(argument)


def _as_typed_alone(argument: str) -> str:
    """One of several values, as Hydra wrote it out, in the form that a single training takes."""
    key = argument.partition("=")[0]
    if canonical(key.lstrip("+")) not in text_options():
        return argument
    value = OverridesParser.create().parse_override(argument).value()
    if isinstance(value, list):
        return f"{key}=[{','.join(map(_quoted, map(str, value)))}]"
    return argument if value is None else f"{key}={_quoted(str(value))}"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./*-]+", text) else QuotedString(text, Quote.single).with_quotes()


def _count(override: Override) -> int:
    """The number of values, as far as ``MOST`` + 1. Raises ``UserError`` for values that are not what was typed."""
    key, _, typed = (override.input_line or "").partition("=")
    if not override.is_discrete_sweep():
        raise UserError(f"{key}={typed[:80]}: an interval has no values to go through: give range(…) or a,b")
    values = list(itertools.islice(override.sweep_string_iterator(), MOST + 1))
    plain = str.maketrans("", "", " \\")
    changed = [value for value in values if value.translate(plain) not in typed.translate(plain)]
    if canonical(key.lstrip("+")) in text_options() and key not in GROUPS and changed:
        raise UserError(f"{key}={typed[:80]}: text would be read as {changed[0]}: quote it: {key}='…','…'")
    return len(values)


def take_launcher(arguments: Sequence[str]) -> tuple[Launcher, list[str]]:
    """The launcher that is chosen among ``arguments``, else ``IN_TURN``; and the other arguments.

    Raises:
        UserError: an unknown launcher or option of it, one that is not installed, or another option of Hydra's own.
    """
    own = [argument for argument in arguments if is_hydras(argument)]
    for argument in own:
        key = argument.partition("=")[0].lstrip("+")
        if key != CHOICE and not key.startswith("hydra.launcher."):
            known = f"{CHOICE}=NAME and hydra.launcher.OPTION=VALUE"
            raise UserError(f"{key} is no option of this program: of Hydra's own it takes {known}")
        if parse(argument).is_sweep_override():
            raise UserError(f"{argument[:80]}: a sweep has one launcher: give one value")
    chosen = [str(parse(argument).value()) for argument in own if argument.startswith(f"{CHOICE}=")]
    return _launcher(chosen[-1] if chosen else IN_TURN, own), [each for each in arguments if each not in own]


def is_hydras(argument: str) -> bool:
    """Whether an argument is an option of Hydra's own."""
    return argument.lstrip("+~").startswith((*HYDRA, "hydra="))


def _launcher(name: str, arguments: Sequence[str]) -> Launcher:
    """The launcher with its options. Raises ``UserError`` as ``take_launcher`` does."""
    with hydra_explained():
        there = GlobalHydra.instance().config_loader().get_group_options("hydra/launcher")
        if name not in there:
            if name in PLUGINS:
                raise UserError(f"{CHOICE}={name} is not installed: pip install 'seq2seq-trainer[sweep]'")
            known = sorted({*there, *PLUGINS})
            raise UserError(f"unknown {CHOICE} {name}{nearest(name, known)} (there are: {', '.join(known)})")
        options = hydra_compose(None, [f"{CHOICE}={name}"], True).hydra.launcher
        known = [f"hydra.launcher.{key}" for key in map(str, options) if key != PLACED and not key.startswith("_")]
        for argument in arguments:
            key = argument.partition("=")[0].lstrip("+")
            if key != CHOICE and ".".join(key.split(".")[:3]) not in known:
                raise UserError(f"{key} is no option of {CHOICE}={name}{nearest(key, known)}")
        options = hydra_compose(None, list(arguments), True).hydra.launcher
        return Launcher(name, tuple(arguments), {key: options[key] for key in map(str, options) if key != PLACED})
