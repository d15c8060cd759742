"""How often training has seen each word of the test references, and how many of them a translation has.

Words are those of the text's unit, without the punctuation around them, as they are written. Knows texts and where a
run keeps what was measured; no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from seq2seq.analysis.training_text import MOST, TrainingText, filtered, kept
from seq2seq.config.schema import Config
from seq2seq.data.lengths import Unit, unit_of
from seq2seq.data.subwords import Subwords
from seq2seq.evaluation.words import bare_words
from seq2seq.runs.records import Frequencies
from seq2seq.runs.run import Run

VERSION = 3  # to be raised whenever the measurement changes, so that older records are made anew
EDGES = (0, 10, 100, 1_000, 10_000)
"""Upper ends of the buckets of frequency; one more holds what is above."""
BUCKETS = ("0", "1–10", "11–100", "101–1,000", "1,001–10,000", "more")
"""Their names."""


def frequencies(run: Run, config: Config, references: Sequence[str]) -> Frequencies:
    """Times that each word of the test ``references`` occurs in the targets of the first ``MOST`` training pairs.

    Pairs that a filter drops are not counted. The record is kept in the run's ``measurements/frequencies.json``, where
    the folder can be written, and made anew for other text or filters.

    Args:
        config: the run's, with the places where its training text may be read.

    Raises:
        UserError: the training text is not there, or may not be read.
    """

    def measure(origin: str) -> Frequencies:
        text, unit = TrainingText(config, 1, MOST), unit_of(references)
        counts = dict.fromkeys((word for line in references for word in bare_words(unit.split(line))), 0)
        for pairs, _ in filtered(text.pairs(), config.data, Subwords.load(run.subwords)):
            for word in (word for _, target in pairs for word in bare_words(unit.split(target))):
                if word in counts:
                    counts[word] += 1
        return Frequencies(origin=origin, counts=counts, read=text.read, cut=text.cut)

    prints = run.load_fingerprint()
    deciding = [VERSION, MOST, prints["subwords"], asdict(config.data.filters), list(references)]
    return kept(run, "frequencies", Frequencies, deciding, measure)


def found_words(
    hypotheses: Sequence[str], references: Sequence[str], counts: Mapping[str, int], unit: Unit
) -> NDArray[np.float64]:
    """For each sentence and bucket, the reference's words that the translation has, and all of them: (N, buckets, 2).

    A word that the reference has several times is found at most as often as the translation has it.
    """
    found = np.zeros((len(references), len(BUCKETS), 2))
    for row, hypothesis, reference in zip(found, hypotheses, references, strict=True):
        had = Counter(bare_words(unit.split(hypothesis)))
        for word, times in Counter(bare_words(unit.split(reference))).items():
            row[np.searchsorted(EDGES, counts[word])] += min(times, had[word]), times
    return found
