"""Sentences on which an exported model and ours are compared. Knows run folders; no format of an export."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seq2seq.data.blank import is_blank
from seq2seq.data.subwords import Subwords
from seq2seq.runs.loading import saved_split
from seq2seq.runs.run import Run

SENTENCES = 200
LONGEST = 1_024  # source tokens, EOS included: CTranslate2's default ``max_input_length``


@dataclass(frozen=True)
class Sample:
    """Sentences to compare on."""

    what: str
    src: list[str]
    references: list[str] | None


def sample_of(run: Run, subwords: Subwords, split: str = "test", sentences: int = SENTENCES) -> Sample:
    """Sentences of all lengths from a split that the run has saved, or of random tokens where it has none.

    Sentences of more than ``LONGEST`` tokens are left out.
    """
    saved = saved_split(run, split)
    if saved:
        lengths = [len(ids) for ids in subwords.encode_src(saved[0])]
        pairs = [pair for pair, n in zip(zip(*saved, strict=True), lengths, strict=True) if 1 < n <= LONGEST]
        pairs = [pair for pair in pairs if not is_blank(pair[0])]
        count = min(sentences, len(pairs))
        chosen = [pairs[n * len(pairs) // count] for n in range(count)]
        if chosen:
            return Sample(f"of the run's {split}", [src for src, _ in chosen], [ref for _, ref in chosen])
    draw = random.Random(1)
    size = subwords.sizes[0]
    tokens = (subwords.src_tokens([draw.randrange(4, size) for _ in range(draw.randint(1, 30))]) for _ in range(500))
    texts = ("".join(token for token in each if not token.startswith("<0x")) for each in tokens)
    lines = [" ".join(text.replace("▁", " ").split()) for text in texts]
    return Sample("of random tokens", [line for line in lines if line][:sentences], None)
