"""How far a preparation has come: a journal beside files that only grow, by which another process goes on.

A line of the journal gives the sizes of the files after a part of the corpus, a hash of what the part has added, and
the counts so far. Knows sizes and hashes; nothing of what the files hold. Only one process may write.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypedDict

NAME = "parts.jsonl"


class Part(TypedDict):
    """A line of the journal."""

    chunks: int  # from the beginning, as are the sizes and the counts
    sizes: list[list[int]]  # bytes of the files of each writer
    counts: dict[str, Any]
    digest: str  # of the bytes of this part alone


class Journal:
    """The parts that are in the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.files: Sequence[Sequence[Path]] = ()
        self.last = Part(chunks=0, sizes=[], counts={}, digest="")

    def open(self, files: Sequence[Sequence[Path]]) -> list[list[int]]:
        """Check what is in the ``files`` of each writer; returns the bytes of them that are good."""
        self.files = files
        self.last["sizes"] = [[0] * len(paths) for paths in files]
        known, text = self._read(), []
        for line, part in known:
            if self._digest(part["sizes"]) != part["digest"]:
                break
            text.append(line)
            self.last = part
        self.path.write_bytes(b"".join(text))
        return self.last["sizes"]

    def add(self, chunks: int, sizes: list[list[int]], counts: dict[str, Any]) -> None:
        """Note that all chunks up to ``chunks`` are in the files, which have these sizes."""
        self.last = Part(chunks=chunks, sizes=sizes, counts=counts, digest=self._digest(sizes))
        with self.path.open("ab") as file:
            file.write(json.dumps(self.last).encode() + b"\n")

    def _read(self) -> list[tuple[bytes, Part]]:
        """The lines up to the first that is not whole."""
        found: list[tuple[bytes, Part]] = []
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        for line in lines:
            try:
                part: Part = json.loads(line)
                sizes = [len(each) for each in part["sizes"]]
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n") or sizes != [len(paths) for paths in self.files]:
                break
            found.append((line, part))
        return found

    def _digest(self, sizes: Sequence[Sequence[int]]) -> str:
        """A hash of what the files hold between the sizes of the last part and these."""
        digest = blake2b(digest_size=16)
        for paths, starts, ends in zip(self.files, self.last["sizes"], sizes, strict=True):
            for path, start, end in zip(paths, starts, ends, strict=True):
                if path.exists():
                    with path.open("rb") as file:
                        file.seek(start)
                        digest.update(file.read(max(end - start, 0)))
                digest.update(f" {end}".encode())
        return digest.hexdigest()
