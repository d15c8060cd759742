"""``key=value`` arguments that change the saved config of a run. Knows configs; no torch."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.config.schema import EVALUATION, Config, DataConfig
from seq2seq.config.validation import canonical, from_plain, known_keys, to_plain
from seq2seq.config.verbatim import parse
from seq2seq.errors import UserError, nearest

OF_DRAWING = ("decode.temperature", "decode.top_k", "decode.top_p")
"""Options that a search does not read."""


def override(
    config: Config, arguments: Sequence[str], corpus: bool = False, sections: Sequence[str] = EVALUATION
) -> Config:
    """Change the options of a trained run that may still change: the search, the split, the device.

    The device is "auto" and the threads are torch's choice again unless they are given, since a run may be used on
    another machine than it was trained on.
    It may also be a stranger's, so the files and the cache that it names are forgotten, unless ``corpus`` is true.
    ``sections``: those of the options that mean something to who asks.

    Raises:
        UserError: an unknown key, a wrong value, or a key that only means something before training.
    """
    plain = to_plain(config)
    plain["device"] = "auto"
    plain["trainer"]["threads"] = None
    if plain["trainer"]["precision"] == "fp16":  # needs a GPU
        plain["trainer"]["precision"] = "auto"
    if not corpus:
        plain["data"]["cache"] = DataConfig().cache
        plain["data"]["filters"]["drop"] = None
        for split in (*(plain["data"][name] for name in ("train", "valid", "test")), *plain["data"]["tests"].values()):
            split |= dict.fromkeys(("src", "tgt", "file"))
    keys = []
    for argument in arguments:
        parsed = parse(argument)
        keys.append(key := parsed.get_key_element())
        known = [name for name in known_keys() if is_in(name, sections)]
        if not is_in(key, EVALUATION):
            raise UserError(f"{key} cannot be changed on a trained run{nearest(key, known)}")
        if not is_in(key, sections):
            raise UserError(f"{key} changes no translation{nearest(key, known)}")
        if canonical(key) not in known:
            raise UserError(f"unknown key {key}{nearest(key, known)}")
        if parsed.is_sweep_override():
            raise UserError(f"{argument[:80]}: one value at a time: give each its own command")
        if key == "data.tgt" and config.data.source not in ("grammar", "text", "tsv"):
            plain["data"]["tgt_column"] = config.data.tgt_column or config.data.codes[1]  # the columns stay
        node = plain
        *path, last = key.split(".")
        for name in path:
            node = node.setdefault(name, {})  # a test set may be new
        node[last] = parsed.value()
    changed = from_plain(plain, "options", trained=True)
    if not changed.decode.sample and (drawing := [key for key in keys if key in OF_DRAWING]):
        raise UserError(f"{drawing[0]} changes drawn translations alone: add decode.sample=true, or leave it out")
    return changed


def is_in(key: str, sections: Sequence[str]) -> bool:
    """Whether ``key`` is one of the sections, or in one."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)
