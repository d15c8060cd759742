"""Values of ``key=value`` arguments that are text: a path, a name, a list of them. Hydra's grammar does not see them.

In Hydra's grammar ``1e5`` is a number, ``true`` a truth value, and commas, quotes, brackets, ``=`` and ``#`` are signs
of its own. A value of an option that holds text is quoted here before Hydra reads it, so that it is taken as it stands.
Three forms keep a meaning: ``null`` for an option that may be empty, ``[a,b]`` for one that may be a list, and a value
that is wholly in quotes, which loses them. ``${…}`` is still an interpolation. Knows fields and text; composes nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from seq2seq.config.schema import Config
from seq2seq.config.validation import canonical, sections
from seq2seq.errors import UserError

GROUPS = ("data", "model", "trainer", "decode", "experiment")
MAY_BE_NULL, MAY_BE_LIST = ("Optional[str]", "Any"), ("Any", "list[str]")  # types of fields that hold text
ONE_RUN = "several values of an option are a sweep, a training of each: seq2seq train -m …"
IN_QUOTES = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
ELEMENT = re.compile(rf"\s*({IN_QUOTES}|[^,]*?)\s*(?:,|$)", re.DOTALL)


@cache
def text_options() -> Mapping[str, str]:
    """The type of each option of a run that holds text, by key; config groups are among them."""
    return dict.fromkeys(GROUPS, "Optional[str]") | text_fields(Config())


def text_fields(node: Any) -> dict[str, str]:
    """The type of each field below ``node`` that holds text, by key."""
    kinds = {"str", *MAY_BE_NULL, *MAY_BE_LIST}
    return {key: str(f.type) for key, f, _ in sections(node) if f.type in kinds}


def parse(argument: str, options: Mapping[str, str] | None = None) -> Override:
    """Parse ``key=value``. Raises ``UserError`` if it cannot be parsed; it shows what is to be quoted.

    Args:
        options: the keys whose values are text, with their types (default: those of a run).
    """
    try:
        return OverridesParser.create().parse_override(for_hydra(argument, options))
    except (HydraException, ValueError) as error:  # ValueError: a number of thousands of digits
        key, _, value = argument.partition("=")
        quoted = f"{key}={_in_quotes(value)}"
        quoted = shlex.quote(quoted) if re.search(r'["$`\\!]', quoted) else f'"{quoted}"'
        hint = f": if its value is text, quote it: {quoted}" if len(value) < 80 else ""
        if value.endswith(","):
            hint = f": no space stands behind a comma: {key}=1,2"
        raise UserError(f"{argument[:80]!r} is not understood: {first_line(error)}{hint}") from error


def parse_one(argument: str) -> Override:
    """Parse ``key=value``. Raises ``UserError`` as ``parse`` does, and for several values, as in ``seed=1,2``."""
    override = parse(argument)
    if override.is_sweep_override():
        raise UserError(f"{argument[:80]}: {ONE_RUN}")
    return override


def for_hydra(argument: str, options: Mapping[str, str] | None = None) -> str:
    """The argument with its value in quotes, if its key is one of ``options``; otherwise as it is."""
    key, equals, value = argument.partition("=")
    kind = (text_options() if options is None else options).get(canonical(key.lstrip("+")))
    if not equals or kind is None or (kind in MAY_BE_NULL and value == "null"):
        return argument
    if kind in MAY_BE_LIST and value.startswith("[") and value.endswith("]"):
        return f"{key}=[{','.join(map(_in_quotes, _elements(value[1:-1])))}]"
    return f"{key}={_in_quotes(without_quotes(value))}"


def without_quotes(value: str) -> str:
    """The text of a value that is wholly in quotes; any other value as it is."""
    if not re.fullmatch(IN_QUOTES, value, re.DOTALL):
        return value
    return str(OverridesParser.create().parse_override(f"key={value}").value())


def _elements(text: str) -> Iterator[str]:
    """The elements of a list, separated by commas."""
    place = 0
    while place < len(text):
        found = ELEMENT.match(text, place)
        assert found is not None  # it matches any text up to a comma
        yield without_quotes(found[1])
        place = found.end()


def _in_quotes(text: str) -> str:
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def first_line(error: Exception) -> str:
    """The message of an error of Hydra or YAML, in one line, without the list of all signs of Hydra's grammar."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if lines[0].endswith(":"):  # Hydra's first line is the place, the next the reason
        key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
        return f"{lines[0]} {key and f'{key}: '}{lines[1]}"
    return lines[0].partition(" expecting {")[0]


def check_scalars(node: Any, plain: Any, where: str, prefix: str = "") -> None:
    """Raise ``UserError`` for text in a YAML file that YAML reads as a number or a truth value of another spelling.

    Args:
        node: the YAML nodes, which hold the spelling.
        plain: what has been read from them.
    """
    pairs: Sequence[tuple[Any, Any]] = node.value if node is not None else []  # an empty file has no node
    for key, value in pairs:
        dotted = f"{prefix}{key.value}"
        read = plain.get(key.value) if isinstance(plain, dict) else None
        if isinstance(read, dict):
            check_scalars(value, read, where, f"{dotted}.")
        elif canonical(dotted) in text_options():
            scalars = zip(value.value, read, strict=True) if isinstance(read, list) else [(value, read)]
            for scalar, each in scalars:
                if isinstance(each, (bool, int, float)) and str(each) != scalar.value:
                    raise UserError(
                        f'{where}: {dotted}: {scalar.value} is read as {each}: quote it: {dotted}: "{scalar.value}"'
                    )
