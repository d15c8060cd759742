"""The reference of options in ``--help``, made from the dataclasses of the config. Knows the schema; no verb."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from seq2seq.config.validation import every_option, sections


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
    """The options whose key is ``prefix`` or in the section ``prefix`` (see ``every_option``)."""
    if not prefix:
        return [option for option in every_option() if "." not in option[0]]
    return [option for option in every_option() if f"{option[0]}.".startswith(f"{prefix}.")]


def _option(key: str, metadata: Any, default: Any, kind: str) -> str:
    plain = default is None or isinstance(default, bool)  # by type: 1 == True
    shown = "required" if default == "???" else str(default).lower() if plain else default
    choices = f" [{', '.join(metadata['choices'])}]" if metadata["choices"] else ""
    text = textwrap.fill(f"{metadata['help']}{choices}", 78, initial_indent="      ", subsequent_indent="      ")
    return f"  {key}={shown}{kind and f'   (type={kind})'}\n{text}"
