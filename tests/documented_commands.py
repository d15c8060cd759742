"""The commands of the ``sh`` blocks of README.md and docs/, read as a shell would, without running one.

A block is run by ``test_commands.py``, on small models, unless a comment in front of it says why not::

    <!-- not run: trains for hours -->
    <!-- not run (make tensorboard): serves until it is stopped -->

The second form speaks of the commands that begin so, the first of the whole block.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"((?:^<!--(?:(?!-->).)*-->\n)*)^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- not run(?: \((?P<which>[^)]+)\))?: (?P<why>.+?) -->", re.DOTALL)
EXAMPLES = {"RUN": "bahdanau", "RUN2": "lstm", "RUN3": "transformer", "FOLDER": "bahdanau"}
"""Runs that stand for the names in capitals by which pages call any run."""
WORDS = {"MODEL": "lstm", "NAME": "mine", "OWNER": "mine", "PATH": "somewhere"}
WRAPPERS = {"do", "time", "eval", "then", "else"}
"""Words of the shell that a command may follow."""


class Command(NamedTuple):
    """A simple command: its words, what it reads from a pipe or a file, and why it is not run (None: it is)."""

    words: tuple[str, ...]
    stdin: str | None
    why_not: str | None

    @property
    def text(self) -> str:
        """The command as one would type it."""
        return shlex.join(self.words)


class Block(NamedTuple):
    """A block of a page."""

    page: str
    number: int
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks() -> Iterator[Block]:
    """All ``sh`` blocks of all pages."""
    for page in PAGES:
        for number, (marks, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1):
            yield Block(page.relative_to(ROOT).as_posix(), number, tuple(commands_of(text, marks)))


def commands_of(text: str, marks: str = "") -> Iterator[Command]:
    """The simple commands of a block, names in capitals and variables replaced by examples."""
    reasons = [(found["which"], found["why"]) for found in MARK.finditer(marks)]
    variables: dict[str, str] = {}
    before = ""
    for separator, line in simple_commands(without_documents(text)):
        line = resolved(line, variables)
        words = tuple(shlex.split(line, comments=True))
        while words and (words[0] in WRAPPERS or is_assignment(words[0])):
            if is_assignment(words[0]):
                name, _, value = words[0].partition("=")
                variables[name] = value
            words = words[1:]
        if words[:1] == ("for",):
            variables[words[1]] = words[3]
        if not words or words[0] in ("for", "done", "fi"):
            continue
        words, stdin = without_redirections(words)
        piped = before if separator == "|" else ""
        why = next((why for which, why in reasons if not which or line.strip().startswith(resolved(which, {}))), None)
        yield Command(words, piped or stdin, why)
        before = " ".join(words[1:]) if words[0] == "echo" else ""


def is_assignment(word: str) -> bool:
    """Whether a word in front of a command sets a variable."""
    return re.match(r"[A-Za-z_]\w*=", word) is not None


def without_documents(text: str) -> str:
    """Drop here-documents."""
    return re.sub(r"<<'?(\w+)'?\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)


def simple_commands(text: str) -> Iterator[tuple[str, str]]:
    """Each simple command with the sign in front of it: a line end, ``;``, ``&&`` or ``|``; ``$(…)`` on its own."""
    text = text.replace("\\\n", " ")
    separator, start, quote, n, depth = "\n", 0, "", 0, 0
    while n < len(text):
        sign = text[n]
        if sign == "#" and not quote and (n == 0 or text[n - 1].isspace()):
            n = text.find("\n", n)
            n = len(text) if n < 0 else n
            continue
        if sign == "\\" and quote != "'":
            n += 2
            continue
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign in "\n;|&" and not depth:
            yield separator, text[start:n]
            separator, start = sign, n + 1
        n += 1
    yield separator, text[start:]


def resolved(line: str, variables: dict[str, str]) -> str:
    """Put examples for names in capitals, variables and ``…``; write out braces; unwrap ``$(…)``."""
    line = re.sub(r'^\s*eval "\$\((.*)\)"', r"\1", line)
    for name, value in variables.items():
        line = re.sub(rf"\$({name}\b|{{{name}}})", value, line)
    for name, run in EXAMPLES.items():
        line = re.sub(rf"(?<![\w.$-]){name}(?![\w=-])", f"outputs/embedded/{run}/seed1", line)
    for name, word in WORDS.items():
        line = re.sub(rf"(?<![\w$-]){name}(?![\w=])", word, line)
    line = re.sub(r"\$\([^)]*\)", "X", line)
    line = re.sub(r",?…(?=\w)[^…=\n]*…", "", line)
    line = re.sub(r"(?<=\s)…(?=[\s\"]|$)", "", line)
    return re.sub(r"(\S*)\{((?:[\w.]+,)+[\w.]+)\}(\S*)", written_out, line)


def written_out(braces: re.Match[str]) -> str:
    """``a/{b,c}/d`` as ``a/b/d a/c/d``."""
    return " ".join(f"{braces[1]}{part}{braces[3]}" for part in braces[2].split(","))


def without_redirections(words: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The words without ``< file`` and ``> file``, and the file that is read."""
    kept, stdin, n = list[str](), None, 0
    while n < len(words):
        if words[n] in ("<", ">"):
            stdin = words[n + 1] if words[n] == "<" else stdin
            n += 2
            continue
        kept.append(words[n])
        n += 1
    return tuple(kept), stdin
