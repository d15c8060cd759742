"""What the processes that prepare a corpus do with a chunk of its text: count words, or encode pairs.

``python -m seq2seq.data.jobs`` is a worker (see ``workers``). Requests and answers are byte strings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from seq2seq.config.schema import FilterConfig
from seq2seq.data.encoding import ChunkEncoder, Encoded
from seq2seq.data.subwords import learnable
from seq2seq.data.words import count_words
from seq2seq.data.workers import Frame, Job, serve

Counted = list[tuple[Counter[str], Counter[str]]]
COUNTS: Frame = []  # the request that asks for all that has been counted


def text_of(lines: Sequence[str]) -> bytes:
    """Lines as one byte string."""
    return "\n".join(lines).encode()


def _lines_of(text: bytes) -> list[str]:
    return text.decode().split("\n")


def job_of(setup: Frame) -> Job:
    """The job that ``counting`` or ``encoding`` describes."""
    return _Counting() if setup[0] == b"count" else _Encoding(setup)


def counting() -> Frame:
    """Count the words of lines that SentencePiece learns from; a request is a list of texts, each counted apart."""
    return [b"count"]


class _Counting:
    def __init__(self) -> None:
        self.counted: Counted = [(Counter(), Counter()), (Counter(), Counter())]

    def __call__(self, frame: Frame) -> Frame:
        for text, (words, left_out) in zip(frame, self.counted, strict=False):
            count_words(learnable(_lines_of(text), left_out), words)
        if frame == COUNTS:
            return [json.dumps(part, ensure_ascii=False).encode() for side in self.counted for part in side]
        return []


def counted_by(answers: Sequence[Frame], joint: bool) -> Counted:
    """The words of each side with the lines that were left out, summed over the workers; of both together if joint."""
    total: Counted = [(Counter(), Counter()) for _ in range(1 if joint else 2)]
    for answer in answers:
        for place, part in enumerate(answer):
            total[0 if joint else place // 2][place % 2].update(json.loads(part))
    return total


def encoding(models: Sequence[bytes], dtype: str, limits: FilterConfig | None) -> Frame:
    """Encode pairs, as ``ChunkEncoder``; a request is the text of the source and of the target."""
    return [b"encode", json.dumps({"dtype": dtype, "limits": limits and asdict(limits)}).encode(), *models]


class _Encoding:
    def __init__(self, setup: Frame) -> None:
        options = json.loads(setup[1])
        limits = options["limits"] and FilterConfig(**options["limits"])
        self.encoder = ChunkEncoder(setup[2:], options["dtype"], limits)

    def __call__(self, frame: Frame) -> Frame:
        found = self.encoder.encode([_lines_of(text) for text in frame])
        lengths = [side.tobytes() for side in found.lengths]
        return [found.kept.tobytes(), *lengths, *found.ids, json.dumps(found.dropped).encode()]


def encoded_by(answer: Frame) -> Encoded:
    """What an encoding worker has answered."""
    kept, *lengths = (
        np.frombuffer(part, kind) for part, kind in zip(answer, (bool, np.uint32, np.uint32), strict=False)
    )
    return Encoded(kept, lengths, answer[3:5], Counter(json.loads(answer[5])))


if __name__ == "__main__":
    serve(job_of)
