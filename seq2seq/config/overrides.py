"""``key=value`` arguments that change the saved config of a run. Knows configs; no torch."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from seq2seq.config.schema import Config, DataConfig
from seq2seq.config.validation import from_plain, known_keys, to_plain
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
    except (HydraException, ValueError) as error:  # ValueError: a number of thousands of digits
        raise UserError(f"{argument[:80]!r} is not understood: {first_line(error)}") from error


def override(config: Config, arguments: Sequence[str], corpus: bool = False) -> Config:
    """Change the options of a trained run that may still change: the search, the split, the device.

    The device is "auto" again unless it is given, since a run may be used on another machine than it was trained on.
    It may also be a stranger's, so the files and the cache that it names are forgotten, unless ``corpus`` is true.

    Raises:
        UserError: an unknown key, a wrong value, or a key that only means something before training.
    """
    plain = to_plain(config)
    plain["device"] = "auto"
    if plain["trainer"]["precision"] == "fp16":  # needs a GPU
        plain["trainer"]["precision"] = "auto"
    if not corpus:
        plain["data"]["cache"] = DataConfig().cache
        for split in ("train", "valid", "test"):
            plain["data"][split] |= dict.fromkeys(("src", "tgt", "file"))
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
    return from_plain(plain, "options", trained=True)
