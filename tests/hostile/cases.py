"""A case of hostile input: what is done to the small world of ``conftest``, the door it comes in by, the answer.

Everything here is harmless: it is wrong, cut short or meaningless, and never larger than our own bounds.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Harm = Callable[[Path], object]
"""Damage to the working directory, a copy of the world."""


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        name: of the case, unique in the table.
        door: a command line without ``seq2seq``, or a function of the library that the command calls.
        harm: what is done before.
        says: the parts that the one line on stderr must have.
        code: the exit code, 2 or, where the input is legal, 0.
        stdin: bytes on standard input.
        parts: what of the world is there, beside the corpus.
        slow: whether the case runs in the slow suite alone, because others like it are quicker.
    """

    name: str
    door: str | Callable[[], object]
    harm: Harm = lambda folder: None
    says: tuple[str, ...] = ()
    code: int = 2
    stdin: bytes = b""
    parts: tuple[str, ...] = ("cache", "runs")
    slow: bool = False


# ----------------------------------------------------------------------------------------------------- kinds of harm


def put(path: str, content: bytes | str) -> Harm:
    """Replace a file."""
    data = content.encode() if isinstance(content, str) else content

    def harm(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    return harm


def gone(path: str) -> Harm:
    """Remove a file or a folder."""

    def harm(folder: Path) -> None:
        place = folder / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    return harm


def cut(path: str, share: float = 0.5) -> Harm:
    """Keep the first ``share`` of a file's bytes."""

    def harm(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[: int(len(data) * share)])

    return harm


def garbage(path: str, seed: int = 0) -> Harm:
    """Random bytes in place of a file's own, as many as before."""

    def harm(folder: Path) -> None:
        size = len((folder / path).read_bytes())
        (folder / path).write_bytes(random.Random(seed).randbytes(size))

    return harm


def instead(path: str) -> Harm:
    """A folder in place of a file."""

    def harm(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).mkdir()

    return harm


def flipped(path: str, share: float) -> Harm:
    """All bits of one byte turned."""

    def harm(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[int(len(data) * share)] ^= 0xFF
        (folder / path).write_bytes(bytes(data))

    return harm


def replaced(path: str, old: str, new: str) -> Harm:
    """Another text in place of the first ``old``, which must be there."""

    def harm(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        (folder / path).write_text(text.replace(old, new, 1))

    return harm


def altered(path: str, change: Callable[[Any], Any]) -> Harm:
    """A JSON file changed; ``change`` may return another value or change the given one."""

    def harm(folder: Path) -> None:
        value = json.loads((folder / path).read_text())
        other = change(value)
        (folder / path).write_text(json.dumps(value if other is None else other))

    return harm


def without(key: str) -> Callable[[dict[str, Any]], None]:
    """Remove a key."""
    return lambda value: value.pop(key)


def with_(key: str, other: Any) -> Callable[[dict[str, Any]], None]:
    """Set a key."""
    return lambda value: value.update({key: other})


def found(pattern: str, harm: Callable[..., Harm], *more: Any) -> Harm:
    """A harm to the one file that the pattern finds in the world."""

    def harm_found(folder: Path) -> None:
        [path] = folder.glob(pattern)
        harm(str(path.relative_to(folder)), *more)(folder)

    return harm_found


DAMAGES: dict[str, tuple[Callable[..., Harm], tuple[Any, ...]]] = {
    "missing": (gone, ()),
    "empty": (cut, (0.0,)),
    "cut": (cut, (0.6,)),
    "garbage": (garbage, ()),
    "a folder": (instead, ()),
}
"""What can happen to any file."""


def by(harm: Callable[..., Harm], path: str, more: tuple[Any, ...]) -> Harm:
    """A damage of the table above, to a file that is there once the world has been made."""
    return lambda folder: harm(path, *more)(folder)
