"""``key=value`` arguments that change the saved config of a run. Knows configs; no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.config.validation import check_decode, from_plain, known_keys, to_plain, within_limits
from seq2seq.errors import UserError, nearest

CHANGEABLE = ("decode.", "data.split", "data.cache", "data.test.", "data.valid.", "device", "trainer.precision", "seed")


def first_line(error: Exception) -> str:
    """The message of an error of Hydra or YAML, in one line."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if lines[0].endswith(":"):  # Hydra's first line is the place, the next the reason
        key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
        return f"{lines[0]} {key and f'{key}: '}{lines[1]}"
    return lines[0]


def parse(argument: str) -> Override:
    """Parse ``key=value`` in Hydra's grammar. Raises ``UserError`` if it cannot be parsed."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException as error:
        raise UserError(f"{argument!r} is not understood: {first_line(error)}") from error


def override(config: Config, arguments: Sequence[str]) -> Config:
    """Change the options of a trained run that may still change: the search, the split, the device.

    The device is "auto" again unless it is given, since a run may be used on another machine than it was trained on.

    Raises:
        UserError: an unknown key, a wrong value, or a key that only means something before training.
    """
    plain = to_plain(config)
    plain["device"] = "auto"
    if plain["trainer"]["precision"] == "fp16":  # needs a GPU
        plain["trainer"]["precision"] = "auto"
    for argument in arguments:
        parsed = parse(argument)
        key = parsed.get_key_element()
        known = [name for name in known_keys() if name.startswith(CHANGEABLE)]
        if not key.startswith(CHANGEABLE):
            raise UserError(f"{key} cannot be changed on a trained run{nearest(key, known)}")
        if key not in known:
            raise UserError(f"unknown key {key}{nearest(key, known)}")
        node = plain
        *path, last = key.split(".")
        for name in path:
            node = node[name]
        node[last] = parsed.value()
    decode = plain["decode"]
    sampled, decode["sample"] = decode["sample"], False
    nbest, decode["nbest"] = decode["nbest"], 1
    changed = from_plain(plain, "options")
    changed.decode = dataclasses.replace(changed.decode, sample=sampled, nbest=nbest)
    check_decode(changed.decode)
    return changed


def change_decode(decode: DecodeConfig, changes: Mapping[str, Any]) -> DecodeConfig:
    """Change options of the search. Raises ``UserError`` for unknown options and impossible values."""
    fields = {field.name: field for field in dataclasses.fields(DecodeConfig)}
    for name, value in changes.items():
        if name not in fields:
            raise UserError(f"unknown option of the search {name}{nearest(name, list(fields))}")
        kind = type(fields[name].default)
        if not isinstance(value, (kind, int) if kind is float else kind) or (kind is not bool and value is True):
            raise UserError(f"decode.{name}={value!r} is not possible: give a value of type {kind.__name__}")
        within_limits(f"decode.{name}", value, fields[name].metadata)
    changed = dataclasses.replace(decode, **changes)
    check_decode(changed)
    return changed
