"""Checks plain data that is read against the record that it should be. Knows types and JSON; no particular record."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from seq2seq.errors import UserError
from seq2seq.system.files import read_json

Record = TypeVar("Record", bound=Mapping[str, Any])
PLAIN: dict[Any, set[type]] = {float: {int, float}, **{kind: {kind} for kind in (int, str, bool, types.NoneType)}}
"""The types of plain data that stand for a number, a text, a truth value or null: a truth value is no number."""


def read_record(path: Path, kind: type[Record], what: str, advice: str) -> Record:
    """Read a JSON file that holds a record of ``kind``; keys that the record does not have are left in.

    Raises:
        UserError: no file, no whole JSON, or an entry that is missing or of another type; it names file and entry.
    """
    record: Record = read_json(path, what)
    wrong = mismatch(record, kind)
    if wrong:
        raise UserError(f"{path}: not a {what}: {wrong}: {advice}")
    return record


def mismatch(value: Any, kind: Any, where: str = "") -> str | None:
    """The first entry of plain data that is not of the type ``kind``, in words; None if all are."""
    if is_typeddict(kind):
        return _mismatch_of_record(value, kind.__required_keys__, get_type_hints(kind), where)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        unknown = sorted(value.keys() - hints.keys()) if isinstance(value, dict) else []
        return f"{unknown[0]} is unknown" if unknown else _mismatch_of_record(value, (), hints, where)
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return None
    if origin in (Union, types.UnionType):
        return None if any(mismatch(value, each) is None for each in inner) else _wrong(value, kind, where)
    if origin is Literal:
        return None if value in inner else _wrong(value, kind, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            return _wrong(value, kind, where)
        if origin is list and set(map(type, value)) <= PLAIN.get(inner[0], set()):
            return None  # attention maps hold some hundred thousand numbers
        kinds = inner if origin is tuple and inner[-1] is not ... else inner[:1] * len(value)
        if len(kinds) != len(value):
            return _wrong(value, kind, where)
        found = (mismatch(each, of, f"{where}[{n}]") for n, (each, of) in enumerate(zip(value, kinds, strict=True)))
        return next(filter(None, found), None)
    if origin is dict:
        if not isinstance(value, dict):
            return _wrong(value, kind, where)
        return next(filter(None, (mismatch(each, inner[1], f"{where}.{key}") for key, each in value.items())), None)
    return None if type(value) in PLAIN[kind] else _wrong(value, kind, where)


def _mismatch_of_record(value: Any, required: Iterable[str], hints: Mapping[str, Any], where: str) -> str | None:
    if not isinstance(value, dict):
        return _wrong(value, dict, where)
    prefix = f"{where}." if where else ""
    for key in sorted(required):
        if key not in value:
            return f"{prefix}{key} is missing"
    present = ((key, hint) for key, hint in hints.items() if key in value)
    return next(filter(None, (mismatch(value[key], hint, f"{prefix}{key}") for key, hint in present)), None)


def _wrong(value: Any, kind: Any, where: str) -> str:
    text = repr(value)
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return f"{where or 'it'} is {text[:40]}{'…' * (len(text) > 40)}, not {name}"
