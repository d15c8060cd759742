"""YAML from somebody else, in bounded time and memory. Knows text and plain data; nothing of configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from seq2seq.errors import UserError

LARGEST_FILE = 1_000_000  # bytes, read in some seconds; a whole config has about 4,000, and more with many files
LONGEST_VALUE = 10_000  # characters
DEEPEST = 20  # levels; a config has four
MOST_INTERPOLATIONS = 16  # in a file: a few that name each other stand for thousands of values


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file, after a look at its structure alone: nothing is built from it yet.

    Raises:
        UserError: not a regular file, not UTF-8, not YAML, too large or too deep, or it has aliases or many
            interpolations, which can stand for far more than the file's own size.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: not a regular file: give the path of a YAML file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UserError(f"{path}: larger than {LARGEST_FILE:,} bytes: this is no config")
        text = content.decode()
        _check_structure(text, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): give the path of a YAML file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(f"{path}: not YAML, not a readable config ({first})") from error
    return text


def _check_structure(text: str, path: Path) -> None:
    depth = interpolations = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{path}, line {event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"{where}: an alias (*{event.anchor}) is not allowed: write its value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise UserError(f"{where}: nested more than {DEEPEST} levels deep: this is no config")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_VALUE:
            raise UserError(f"{where}: a value of more than {LONGEST_VALUE:,} characters: this is no config")
        interpolations += event.value.count("${") if isinstance(event, yaml.ScalarEvent) else 0
        if interpolations > MOST_INTERPOLATIONS:
            raise UserError(f"{where}: more than {MOST_INTERPOLATIONS} interpolations (${{…}}): write values out")


def check_plain(value: Any, where: str, key: str = "") -> None:
    """Raise ``UserError`` unless ``value`` is text, numbers of at most 64 bits, truth values, null, lists and sections.

    ``where`` is the file that it comes from; ``key`` the dotted key of ``value`` in it.
    """
    if isinstance(value, dict):
        for name, child in value.items():
            if not isinstance(name, str):
                raise UserError(f"{where}: {key or 'the top'} has a key that is no text: put it between quotes")
            check_plain(child, where, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for child in value:
            check_plain(child, where, key)
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise UserError(f"{where}: {key} is a number of more than 64 bits: give a smaller one")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise UserError(f"{where}: {key} is a {type(value).__name__}: put it between quotes if it is text")
