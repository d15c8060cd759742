"""Corpus figures as functions of summed counts: what resampling needs. Knows sentences and counts; knows no chance.

BLEU, chrF and every mean are functions of sums over sentences. So a sentence is kept as its k counts, a corpus is a
matrix (N, k), and any choice of sentences is scored by summing rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU as SacreBLEU
from sacrebleu.metrics.chrf import CHRF as SacreCHRF

from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import bleu_tokenizer

Counts = NDArray[np.float64]
"""(N, k): k counts of each of N sentences; or sums of such rows."""


@dataclass(frozen=True)
class Metric:
    """A corpus figure: ``score`` takes sums of counts (..., k) to figures (...), which lie in ``low`` to ``high``."""

    name: str
    score: Callable[[Counts], Counts]
    low: float
    high: float


@dataclass(frozen=True)
class TextMetric(Metric):
    """A metric whose ``counts`` come from hypotheses, references and the target language."""

    counts: Callable[[Sequence[str], Sequence[str], str], Counts]


def _rows(metric: SacreBLEU | SacreCHRF, width: int, hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} hypotheses but {len(references)} references: give one for each")
    rows = metric._extract_corpus_statistics(list(hypotheses), [list(references)])
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str], language: str) -> Counts:
    """(N, 10), in sacreBLEU's order: words, words of the reference, matches of orders 1 to 4, n-grams of orders 1 to 4.

    Raises:
        UserError: not one hypothesis for each reference.
    """
    return _rows(SacreBLEU(tokenize=bleu_tokenizer(language)), 10, hypotheses, references)


def chrf_counts(hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
    """(N, 18), in sacreBLEU's order: character n-grams, those of the reference and matches, for orders 1 to 6.

    Raises:
        UserError: not one hypothesis for each reference.
    """
    return _rows(SacreCHRF(), 18, hypotheses, references)


def bleu(sums: Counts) -> Counts:
    """sacreBLEU's corpus BLEU, with its exponential smoothing, of sums (..., 10)."""
    words, reference_words, matches, ngrams = sums[..., 0], sums[..., 1], sums[..., 2:6], sums[..., 6:10]
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
        precision = np.exp(np.log(smoothed / ngrams).mean(-1))
        brevity = np.where(words < reference_words, np.exp(1 - reference_words / words), 1.0)
        defined = (matches > 0).any(-1) & (ngrams > 0).all(-1)
        return np.where(defined, 100 * brevity * precision, 0.0)


def chrf(sums: Counts) -> Counts:
    """sacreBLEU's corpus chrF2 of sums (..., 18)."""
    ngrams, reference_ngrams, matches = np.moveaxis(sums.reshape(*sums.shape[:-1], 6, 3), -1, 0)
    counted = (ngrams > 0) & (reference_ngrams > 0)
    orders = np.maximum(counted.sum(-1), 1)
    precision = _share(np.where(counted, matches, 0), ngrams).sum(-1) / orders
    recall = _share(np.where(counted, matches, 0), reference_ngrams).sum(-1) / orders
    return 100 * _share(5 * precision * recall, 4 * precision + recall)


def ratio(sums: Counts) -> Counts:
    """The first of two sums (..., 2) over the second; 0 where the second is 0."""
    return _share(sums[..., 0], sums[..., 1])


def _share(part: Counts, whole: Counts) -> Counts:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole != 0)


BLEU = TextMetric("BLEU", bleu, 0.0, 100.0, bleu_counts)
CHRF = TextMetric(
    "chrF", chrf, 0.0, 100.0, lambda hypotheses, references, language: chrf_counts(hypotheses, references)
)
MEAN = Metric("mean", ratio, 0.0, math.inf)  # NLL a token, words a word of the reference
RATE = Metric("rate", ratio, 0.0, 1.0)  # how many of how many
