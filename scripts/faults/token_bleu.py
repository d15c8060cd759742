"""Fault 4: BLEU of tokens in place of detokenised text.

A tutorial scores what its own tokeniser made: lower-cased words with the punctuation split off, or subwords, of the
translation and of the *reference* as well. The figure changes with the tokeniser and with the vocabulary, so it
compares with nobody's (Post 2018, A Call for Clarity in Reporting BLEU Scores).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sacrebleu.metrics.bleu import BLEU as SacreBLEUBLEU

from seq2seq.data.subwords import Subwords
from seq2seq.evaluation.metrics import SacreBLEUMetric, SufficientStatistics, bleu

Tokens = Callable[[Sequence[str]], list[str]]
"""Lines of text to lines of tokens with a space between any two."""

ON_TOKENS = SacreBLEUMetric(
    "token_bleu", "BLEU of tokens", bleu, width=10, build=lambda _: SacreBLEUBLEU(tokenize="none", force=True)
)


def words(lines: Sequence[str]) -> list[str]:
    """Lower-cased words and punctuation marks."""
    return [" ".join(re.findall(r"\w+|[^\w\s]", line.lower())) for line in lines]


def pieces(subwords: Subwords) -> Tokens:
    """The tokens of a vocabulary."""
    return lambda lines: [" ".join(subwords.tgt_tokens(ids[:-1])) for ids in subwords.encode_tgt(lines)]


def statistics(tokens: Tokens, hypotheses: Sequence[str], references: Sequence[str]) -> SufficientStatistics:
    """Sufficient statistics of BLEU on tokens; their sums are scored as those of detokenised text are."""
    return ON_TOKENS.statistics(tokens(hypotheses), tokens(references), "de")
