"""Lines of standard input or of a pipe, in batches that end where no more are waiting. Knows descriptors and lines."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from seq2seq.data.files import LONGEST_LINE, lines_of

CHUNK = 1 << 16  # bytes; a pipe of Linux holds so many
PATIENCE = 0.02  # seconds in which a program that writes without a pause goes on


def batches_of_lines(descriptor: int, where: str, most: int) -> Iterator[list[str]]:
    """Lists of 1 to ``most`` lines, in order. A list ends as soon as the next line would have to be waited for.

    Of a regular file, all lists but the last have ``most`` lines. Lines of more than ``files.LONGEST_LINE`` bytes are
    cut. Raises ``UserError`` as ``files.lines`` does.
    """
    stream = Arriving(descriptor)
    lines = lines_of(stream, where, cut=True)
    for first in lines:
        batch = [first]
        while len(batch) < most and stream.has_line():
            line = next(lines, None)
            if line is None:
                break
            batch.append(line)
        yield batch


class Arriving:
    """What arrives in a file descriptor, a line at a time. Nobody else may read from the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.buffer, self.ended = descriptor, bytearray(), False

    def readline(self, limit: int) -> bytes:
        """A line with its end, of at most ``limit`` bytes; waits for it. Empty at the end of the input."""
        begun = 0
        while (place := self.buffer.find(b"\n", begun)) < 0 and len(self.buffer) < limit and not self.ended:
            begun = len(self.buffer)
            self._read()
        end = min(len(self.buffer) if place < 0 else place + 1, limit)
        line = bytes(self.buffer[:end])
        del self.buffer[:end]
        return line

    def has_line(self) -> bool:
        """Whether a line, or the end of the input, is there; waits for ``PATIENCE`` after each part of a line."""
        while b"\n" not in self.buffer and not self.ended and len(self.buffer) <= LONGEST_LINE:
            if not _is_readable(self.descriptor):
                return False
            self._read()
        return True

    def _read(self) -> None:
        part = os.read(self.descriptor, CHUNK)
        self.buffer += part
        self.ended = not part


def _is_readable(descriptor: int) -> bool:
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    except (OSError, ValueError):  # Windows can wait only for sockets; a descriptor above 1,023
        return True
