"""``data.filters.drop``: a file of the pairs that training leaves out, by their number in each source.

It is a text file that can be edited: a line ``= HASH SIZE NAME`` for each source of the training split, and below it
the number of each pair, from 1, a tab, and the reason. Knows parts and numbers; decides nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seq2seq.data import files
from seq2seq.data.files import Part
from seq2seq.errors import UserError
from seq2seq.system.files import write_atomically

HEAD = "# Pairs that data.filters.drop=THIS_FILE leaves out of training: number and reason. Delete the lines to keep."
LONGEST_NUMBER = 15  # digits


def hash_of(part: Part) -> str:
    """A short hash of a part's text."""
    return hashlib.sha256(part.identity.encode()).hexdigest()[:16]


def write_drop(path: Path, parts: Iterable[Part], reasons: Sequence[Mapping[int, str]]) -> None:
    """Write the file: for each part, the reason by the number of the pair. It replaces one that nobody has edited."""
    text = []
    for part, found in zip(parts, reasons, strict=True):
        text.append(f"= {hash_of(part)} {part.size} {part.where}\n")
        text += [f"{number}\t{found[number]}\n" for number in sorted(found)]
    write_atomically(path, _headed("".join(text)), follow=True)


def _headed(text: str) -> str:
    """The lists below the line that explains them and holds their hash, so that an edited file is known as one."""
    return f"{HEAD} [{hashlib.sha256(text.encode()).hexdigest()[:16]}]\n{text}"


def read_drop(path: str) -> list[tuple[str, set[int]]]:
    """Hash of a part and its numbers, in the order of the file.

    Raises:
        UserError: the file cannot be read, or is none that ``write_drop`` has written.
    """
    found: list[tuple[str, set[int]]] = []
    numbers: set[int] | None = None
    size = 0
    for line_number, line in enumerate(files.lines(path), start=1):
        first, _, rest = line.partition(" " if line.startswith("=") else "\t")
        if not line.strip() or line.startswith("#"):
            continue
        if first == "=" and len(told := rest.split(" ", 2)) == 3 and _number(told[1]):
            numbers, size = set(), int(told[1])
            found.append((told[0], numbers))
        elif numbers is not None and _number(first) and 1 <= int(first) <= size:
            numbers.add(int(first))
        else:
            raise UserError(
                f"{path}:{line_number}: no number of a pair: seq2seq doctor … --drop FILE writes such a file"
            )
    return found


def check_drop_place(path: Path) -> None:
    """Raise ``UserError`` where ``write_drop`` would replace what it has not written or what was edited since."""
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        known = bool(read_drop(str(path)))
    except UserError:
        known = False
    if not known:
        raise UserError(f"{path} is there, and is no list of pairs to leave out: name another file")
    text = path.read_bytes().decode(errors="replace")
    if text != _headed(text.partition("\n")[2]):
        raise UserError(f"{path} has been edited since it was written: name another file, or remove it")


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER


def dropped(parts: Sequence[Part], path: str | None) -> list[frozenset[int]]:
    """The numbers, from 1, of the pairs of each part of the training split that the file at ``path`` names.

    Raises:
        UserError: the file cannot be read, or was made for another text than that of these parts.
    """
    if path is None or not parts:
        return [frozenset() for _ in parts]
    named = read_drop(path)
    left, found = list(named), []
    for part in parts:  # a file may be listed twice, and then has two lists of numbers
        own = next((each for each in left if each[0] == hash_of(part)), None)
        if own is not None:
            left.remove(own)
        found.append(frozenset() if own is None else frozenset(own[1]))
    if left or not named:
        raise UserError(
            f"data.filters.drop={path} was made for another training text: make it anew with seq2seq doctor … --drop"
        )
    return found
