"""How long the sources are that a run was trained on, as it saw them: filtered, and joined where it joins them.

Knows texts and where a run keeps what was measured; no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from seq2seq.analysis.training_text import TrainingText, filtered, kept
from seq2seq.config.schema import Config
from seq2seq.data.batches import BLOCK_SIZE
from seq2seq.data.joining import Join, join_of, joined_text
from seq2seq.data.lengths import Unit
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.runs.loading import saved_split
from seq2seq.runs.records import TrainedLengths
from seq2seq.runs.run import Run

VERSION = 2  # to be raised whenever the measurement changes, so that older records are made anew
MOST = 100_000  # training pairs that are read: each takes some fifty microseconds


def trained_lengths(run: Run, config: Config, unit: Unit) -> TrainedLengths:
    """How many training sources have each length, of the first ``MOST`` training pairs, each counted once.

    Joined pairs are those of the run's first epoch, in a corpus of one file. The record is kept in the run's
    ``measurements/lengths.json``, where the folder can be written, and made anew for other text or options.

    Args:
        config: the run's, with the places where its training text may be read.
        unit: in which lengths are counted.

    Raises:
        UserError: the training text is not there, or may not be read.
    """
    prints = run.load_fingerprint()
    deciding = [VERSION, MOST, prints["subwords"], asdict(config.data.filters), config.seed, unit.name]
    return kept(run, "lengths", TrainedLengths, deciding, lambda origin: _measured(run, config, unit, origin))


def _measured(run: Run, config: Config, unit: Unit, origin: str) -> TrainedLengths:
    text, src, tokens = TrainingText(config, 0, MOST), list[str](), [np.zeros((0, 2), np.int64)]
    for pairs, lengths in filtered(text.pairs(), config.data, Subwords.load(run.subwords)):
        src += (pair[0] for pair in pairs)
        tokens.append(lengths)
    joins = config.data.joins_training
    joined = _joined(src, np.concatenate(tokens), config, saved_split(run, "valid")) if joins else src
    counts = [[length, count] for length, count in sorted(Counter(unit.counts(joined)).items())]
    return TrainedLengths(origin=origin, counts=counts, read=text.read, cut=text.cut)


def _joined(
    src: Sequence[str], tokens: NDArray[np.int64], config: Config, valid: tuple[list[str], list[str]] | None
) -> list[str]:
    """The sources joined as the run's first epoch has them."""
    if valid is None:
        raise UserError("the run has lost its validation text, which tells how training pairs are joined")
    return list(_texts(src, tokens, join_of(config.data, valid), config.seed))


def _texts(src: Sequence[str], tokens: NDArray[np.int64], join: Join, seed: int) -> Iterator[str]:
    for block, start in enumerate(range(0, len(src), BLOCK_SIZE)):
        rows = np.arange(start, min(start + BLOCK_SIZE, len(src)))
        lines = src[start : start + BLOCK_SIZE]
        for parts in join.rows(rows, lines, tokens[rows], [seed, 0, block]):
            yield joined_text([src[row] for row in parts], join.units[0])
