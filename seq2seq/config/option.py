"""What an option is: a field of a dataclass with its explanation and limits. Knows no section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Optional

Limit = Optional[float]


def option(
    default: Any, help: str, *, low: Limit = None, high: Limit = None, above: Limit = None, choices: Sequence[str] = ()
) -> Any:
    """A field with its explanation and limits: ``low <= value <= high``, ``value > above``, one of ``choices``."""
    metadata = {"help": help, "low": low, "high": high, "above": above, "choices": choices}
    return field(default=default, metadata=metadata)


def several(
    default: list[Any] | dict[str, Any],
    help: str,
    *,
    high: Limit = None,
    above: Limit = None,
    choices: Sequence[str] = (),
) -> Any:
    """``option`` for a list, whose elements have the limits, or for a dictionary."""
    metadata = option(None, help, high=high, above=above, choices=choices).metadata
    return field(default_factory=default.copy, metadata=metadata)
