"""Every metric as one object: its names, its direction, its sufficient statistics, and the score of their sums.

BLEU, chrF, TER and every mean are functions of sums over sentences. So a sentence is reduced to k sufficient
statistics, a corpus is a matrix (N, k), and any selection of sentences is scored by summing its rows, which makes
resampling cheap. Scores are sacreBLEU's, of detokenised text against references of which only the Unicode form is
changed: translations are NFC, so both sides are scored in it. Knows texts and numbers;
knows no model and no resampling.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric as SacreBLEU
from sacrebleu.metrics.bleu import BLEU as SacreBLEUBLEU
from sacrebleu.metrics.chrf import CHRF as SacreBLEUCHRF
from sacrebleu.metrics.ter import TER as SacreBLEUTER

from seq2seq.data.subwords import normalise
from seq2seq.errors import UserError
from seq2seq.evaluation.languages import tokenizer_of
from seq2seq.runs.records import MetricScores

EXTRAS = ("ja", "ko")  # of this package, each with a tokeniser
INSTALL = "pip install 'seq2seq-trainer[{}]'"
SufficientStatistics = NDArray[np.float64]
"""(N, k): k statistics of each of N sentences; or sums of such rows (…, k)."""


@dataclass(frozen=True)
class Metric:
    """A corpus score that is a function of summed sufficient statistics."""

    key: str  # name in JSON files, options and TensorBoard tags
    label: str  # name in tables and figures
    score: Callable[[SufficientStatistics], NDArray[np.float64]]  # sums (…, k) to scores (…)
    low: float = 0.0  # the least and the greatest possible score
    high: float = 100.0
    higher_is_better: bool = True
    needs_source: bool = False
    decimals: int = 2  # in tables

    def better(self, score: float, other: float) -> bool:
        """Whether a score is better than another."""
        return score > other if self.higher_is_better else score < other

    def of(self, scores: Mapping[str, Any]) -> float:
        """This metric's score in a record of several (``scores.json``)."""
        return float(scores[self.key])

    def signature_of(self, scores: Mapping[str, Any]) -> str:
        """This metric's signature in a record of several."""
        return str(scores[f"{self.key}_signature"])


@dataclass(frozen=True, kw_only=True)
class TextMetric(Metric, ABC):
    """A metric that needs only the texts."""

    width: int = 2  # k

    @abstractmethod
    def rows(
        self, hypotheses: Sequence[str], references: Sequence[str], language: str, src: Sequence[str] | None
    ) -> Sequence[Sequence[float]]:
        """The ``width`` statistics of each hypothesis. Arguments as in ``statistics``."""

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[str], language: str, src: Sequence[str] | None = None
    ) -> SufficientStatistics:
        """Sufficient statistics (N, k) of each hypothesis.

        Args:
            language: of the references; it decides BLEU's tokeniser.
            src: the source sentences; a metric that ``needs_source`` cannot do without.

        Raises:
            UserError: not one hypothesis for each reference.
        """
        check_pairing(hypotheses, references)
        rows = self.rows(hypotheses, references, language, src)
        return np.array(rows, dtype=np.float64).reshape(-1, self.width)


@dataclass(frozen=True, kw_only=True)
class SacreBLEUMetric(TextMetric):
    """A metric of sacreBLEU's; ``corpus_score`` is sacreBLEU's own to the last bit."""

    longest: int = 200_000  # characters of a line, which are scored within a few seconds
    build: Callable[[str], SacreBLEU]  # the target language to sacreBLEU's object

    def rows(
        self, hypotheses: Sequence[str], references: Sequence[str], language: str, src: Sequence[str] | None
    ) -> Sequence[Sequence[float]]:
        """Statistics in sacreBLEU's order."""
        metric = self.build(language)
        rows: list[list[float]] = metric._extract_corpus_statistics(_in_nfc(hypotheses), [_in_nfc(references)])
        return rows

    def corpus_score(self, hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
        """The score of all sentences together. Raises ``UserError`` as ``statistics`` does, and without a sentence."""
        check_pairing(hypotheses, references)
        if not references:
            raise UserError("nothing to score: the references are empty")
        return float(self.build(language).corpus_score(_in_nfc(hypotheses), [_in_nfc(references)]).score)

    def signature(self, language: str) -> str:
        """sacreBLEU's signature, which does not depend on the text but exists only after scoring."""
        metric = self.build(language)
        metric.corpus_score(["a"], [["a"]])
        return str(metric.get_signature())


def _in_nfc(lines: Sequence[str]) -> list[str]:
    return [normalise(line) for line in lines]


def check_pairing(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raises ``UserError`` unless there is one hypothesis for each reference: sacreBLEU would cut the longer side."""
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} hypotheses but {len(references)} references: give one for each")


def check_scored_lengths(lines: Sequence[str], where: str, metrics: Sequence[SacreBLEUMetric]) -> None:
    """Raises ``UserError`` for a line of the text ``where`` that one of the ``metrics`` would not score within seconds.

    The time grows with the length of a line, for TER with its square or more.
    """
    for metric, (number, line) in itertools.product(metrics, enumerate(lines, start=1)):
        if len(line) > metric.longest:
            raise UserError(
                f"{where}:{number}: {len(line):,} characters: {metric.label} takes at most {metric.longest:,} in a "
                "line: split it, or leave it out"
            )


def bleu(sums: SufficientStatistics) -> NDArray[np.float64]:
    """Corpus BLEU with sacreBLEU's exponential smoothing.

    ``sums`` (…, 10): words, words of the reference, matches of orders 1 to 4, n-grams of orders 1 to 4.
    """
    words, reference_words, matches, ngrams = sums[..., 0], sums[..., 1], sums[..., 2:6], sums[..., 6:10]
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
        precision = np.exp(np.log(smoothed / ngrams).mean(-1))
        brevity = np.where(words < reference_words, np.exp(1 - reference_words / words), 1.0)
        defined = (matches > 0).any(-1) & (ngrams > 0).all(-1)
        return np.where(defined, 100 * brevity * precision, 0.0)


def chrf(sums: SufficientStatistics) -> NDArray[np.float64]:
    """Corpus chrF2. ``sums`` (…, 18): character n-grams, those of the reference and matches, for orders 1 to 6."""
    ngrams, reference_ngrams, matches = np.moveaxis(sums.reshape(*sums.shape[:-1], 6, 3), -1, 0)
    counted = (ngrams > 0) & (reference_ngrams > 0)
    orders = np.maximum(counted.sum(-1), 1)
    precision = _share(np.where(counted, matches, 0), ngrams).sum(-1) / orders
    recall = _share(np.where(counted, matches, 0), reference_ngrams).sum(-1) / orders
    return 100 * _share(5 * precision * recall, 4 * precision + recall)


def ter(sums: SufficientStatistics) -> NDArray[np.float64]:
    """Edits a hundred words of the reference. ``sums`` (…, 2): edits, words; edits of no word count as a hundred."""
    edits, words = sums[..., 0], sums[..., 1]
    return 100 * np.where(words > 0, ratio(sums), edits > 0)


def ratio(sums: SufficientStatistics) -> NDArray[np.float64]:
    """The first of two sums (…, 2) divided by the second; 0 where the second is 0."""
    return _share(sums[..., 0], sums[..., 1])


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole != 0)


def bleu_tokenizer(language: str) -> str:
    """sacreBLEU's tokeniser for a target language; Japanese and Korean fall back to characters without their extra."""
    tokenizer = tokenizer_of(language)
    package = {"ja-mecab": "MeCab", "ko-mecab": "mecab_ko"}.get(tokenizer)
    return "char" if package and not find_spec(package) else tokenizer


def tokenizer_notices(language: str) -> list[str]:
    """Make BLEU's tokeniser, before anything else is done; a line where characters take its place.

    Raises:
        UserError: the tokeniser is installed in part.
    """
    _bleu_of(language)
    wanted = tokenizer_of(language)
    if bleu_tokenizer(language) in (wanted, "13a"):
        return []
    return [f"{wanted} is not installed, so BLEU is of characters (tokenize=char): {INSTALL.format(wanted[:2])}"]


def _bleu_of(language: str) -> SacreBLEU:
    tokenizer = bleu_tokenizer(language)
    try:
        return SacreBLEUBLEU(tokenize=tokenizer)
    except Exception as error:  # MeCab's own types differ between its versions
        extra = tokenizer[:2]
        if tokenizer_of(language) == tokenizer and extra in EXTRAS:
            lacks = f"BLEU's tokeniser {tokenizer} cannot be made, its package or its dictionary is not whole"
            raise UserError(f"{lacks}: {INSTALL.format(extra)}") from error
        raise


def _ter_of(language: str) -> SacreBLEU:
    """In Chinese and Japanese each character is a word, as Tercom's options for them say."""
    by_character = tokenizer_of(language) in ("zh", "ja-mecab")
    return SacreBLEUTER(normalized=by_character, asian_support=by_character)


BLEU = SacreBLEUMetric("bleu", "BLEU", bleu, width=10, build=_bleu_of)
CHRF = SacreBLEUMetric("chrf", "chrF", chrf, width=18, build=lambda _: SacreBLEUCHRF())
TER = SacreBLEUMetric("ter", "TER", ter, high=math.inf, higher_is_better=False, longest=10_000, build=_ter_of)
NLL = Metric("nll", "NLL a token", ratio, high=math.inf, higher_is_better=False)  # of sums of nats and of tokens
INFORMATION = Metric("information", "information", ratio, low=-math.inf, high=math.inf)  # nats from the source, tokens
MISSING = Metric("missing", "missing from 100 BLEU", lambda sums: 100 - bleu(sums))  # of BLEU's statistics
MEAN = Metric("mean", "mean", ratio, high=math.inf)
RATE = Metric("rate", "rate", ratio, high=1.0)  # how many of how many

USUAL: tuple[SacreBLEUMetric, ...] = (BLEU, CHRF)
"""Metrics of every evaluation; TER, which is slow, is computed only where it is asked for."""
METRICS: dict[str, Metric] = {metric.key: metric for metric in (BLEU, CHRF, TER, NLL)}
"""By key, as options name them."""


def score(
    hypotheses: Sequence[str], references: Sequence[str], language: str, metrics: Sequence[SacreBLEUMetric] = USUAL
) -> MetricScores:
    """Corpus scores by the metrics' keys, each with its signature. Raises ``UserError`` as ``corpus_score`` does."""
    scores: dict[str, float | str] = {}
    for metric in metrics:
        scores[metric.key] = metric.corpus_score(hypotheses, references, language)
        scores[f"{metric.key}_signature"] = metric.signature(language)
    return cast(MetricScores, scores)
