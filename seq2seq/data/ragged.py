"""Sequences of different lengths end to end in one file: written piece by piece, read through memory maps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 22  # values that are checked at once


class RaggedArray:
    """Sequences of different lengths, stored end to end in one memory-mapped file: row n is an array of its own."""

    def __init__(self, folder: Path, name: str, dtype: str) -> None:
        """Open and check the files. Raises ``ValueError``, ``OSError``."""
        self.offsets: NDArray[np.int64] = np.load(folder / f"{name}.offsets.npy", mmap_mode="r")
        if self.offsets.dtype != np.int64 or self.offsets.ndim != 1 or not len(self.offsets) or self.offsets[0] != 0:
            raise ValueError(f"{name}.offsets.npy holds no offsets")
        for start in range(0, len(self), BLOCK):
            if (np.diff(self.offsets[start : start + BLOCK + 1]) < 0).any():
                raise ValueError(f"{name}.offsets.npy holds offsets that fall")
        path = folder / f"{name}.{dtype}"
        empty = self.offsets[-1] == 0
        self.values: NDArray[Any] = np.zeros(0, dtype) if empty else np.memmap(path, dtype, mode="r")
        if len(self.values) != self.offsets[-1]:
            raise ValueError(f"{path.name} holds {len(self.values):,} values, not {self.offsets[-1]:,}")

    @classmethod
    def of(cls, lengths: NDArray[np.uint32], values: NDArray[Any]) -> RaggedArray:
        """Sequences in memory, of these lengths."""
        found = cls.__new__(cls)
        found.offsets, found.values = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), values
        return found

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The lengths of the given rows, (N,), read from the offsets alone."""
        return self.offsets[rows + 1] - self.offsets[rows]


def all_below(path: Path, dtype: str, size: int) -> bool:
    """Whether every value is at least 0 and below ``size``; read, not mapped, so that the pages are nobody's memory."""
    with path.open("rb") as file:
        while len(block := np.fromfile(file, dtype, BLOCK)):
            if not 0 <= block.min() <= block.max() < size:
                return False
    return True


def paths_of(folder: Path, name: str, dtype: str) -> tuple[Path, Path]:
    """The files that grow while sequences are written: of the values, and of the lengths."""
    return folder / f"{name}.{dtype}", folder / f"{name}.lengths"


class RaggedWriter:
    """Writes the files of a ``RaggedArray``."""

    def __init__(self, folder: Path, name: str, dtype: str, sizes: Sequence[int] = (0, 0)) -> None:
        """Begin, or go on behind the first so many bytes of the files, which ``paths_of`` tells."""
        self.dtype, self.offsets_path = dtype, folder / f"{name}.offsets.npy"
        self.paths = paths_of(folder, name, dtype)
        self.values, self.lengths = (_open_at(path, size) for path, size in zip(self.paths, sizes, strict=True))

    def extend(self, sequences: Sequence[Sequence[int]] | Sequence[bytes]) -> None:
        """Append sequences."""
        if self.dtype == "uint8":
            values = b"".join(map(bytes, sequences))
        else:
            values = np.fromiter(itertools.chain.from_iterable(sequences), self.dtype).tobytes()
        self.append(np.fromiter(map(len, sequences), np.uint32, len(sequences)), values)

    def append(self, lengths: NDArray[np.uint32], values: bytes) -> None:
        """Append sequences of these lengths, whose values stand end to end."""
        self.values.write(values)
        self.lengths.write(lengths.astype(np.uint32).tobytes())

    def sizes(self) -> list[int]:
        """The bytes of the two files so far, which are there when this returns."""
        self.values.flush()
        self.lengths.flush()
        return [self.values.tell(), self.lengths.tell()]

    def close(self) -> None:
        """Finish the file and write the offsets."""
        self.values.close()
        self.lengths.close()
        _write_offsets(self.offsets_path, self.paths[1])
        self.paths[1].unlink()


def _write_offsets(path: Path, lengths: Path) -> None:
    """Write, piece by piece, what ``np.save`` would of the sums of all lengths."""
    shape, last = (lengths.stat().st_size // 4 + 1,), np.zeros(1, np.int64)
    with path.open("wb") as file, lengths.open("rb") as read:
        header = {"descr": np.lib.format.dtype_to_descr(last.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(last.tobytes())
        while len(block := np.fromfile(read, np.uint32, BLOCK)):
            sums = last + np.cumsum(block, dtype=np.int64)
            file.write(sums.tobytes())
            last = sums[-1:]


def _open_at(path: Path, size: int) -> BinaryIO:
    file = path.open("r+b" if size else "wb")
    file.truncate(size)
    file.seek(size)
    return file
