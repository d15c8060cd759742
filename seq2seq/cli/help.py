"""The reference of options in ``--help``, made from the dataclasses of the config. Knows the schema; no verb."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from seq2seq.config.schema import DECODERS, ENCODERS, Config
from seq2seq.config.validation import sections


def reference(prefixes: Sequence[str]) -> str:
    """Key, default, choices and explanation of each option of some sections (``""``: the keys without a section)."""
    lines = ["options, as key=value:"]
    for prefix in prefixes:
        lines += [""] + [_option(*option) for option in options_below(prefix)]
    return "\n".join(lines)


def reference_of(node: Any) -> str:
    """The reference of a dataclass that is no part of ``Config``."""
    lines = [_option(key, f.metadata, value, "") for key, f, value in sections(node) if f.metadata]
    return "\n".join(["options, as key=value:", "", *lines])


def options_below(prefix: str) -> list[tuple[str, Any, Any, str]]:
    """(key, metadata, default, type of the encoder or decoder that has the option) of each option below ``prefix``."""
    found = [(key, f.metadata, value, "") for key, f, value in sections(Config()) if f.metadata]
    for part, kinds in (("encoder", ENCODERS), ("decoder", DECODERS)):
        for name, kind in kinds.items():
            found += [(key, f.metadata, value, name) for key, f, value in sections(kind(), f"model.{part}.")]
    if not prefix:
        return [option for option in found if "." not in option[0]]
    return [option for option in found if option[0] == prefix or option[0].startswith(f"{prefix}.")]


def _option(key: str, metadata: Any, default: Any, kind: str) -> str:
    plain = default is None or isinstance(default, bool)  # by type: 1 == True
    shown = "required" if default == "???" else str(default).lower() if plain else default
    choices = f" [{', '.join(metadata['choices'])}]" if metadata["choices"] else ""
    text = textwrap.fill(f"{metadata['help']}{choices}", 78, initial_indent="      ", subsequent_indent="      ")
    return f"  {key}={shown}{kind and f'   (type={kind})'}\n{text}"
