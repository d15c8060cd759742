"""BLEU, chrF and TER of detokenised text against the untouched reference, with their signatures (sacreBLEU)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seq2seq.errors import UserError


def bleu_tokenizer(language: str) -> str:
    """sacreBLEU's tokeniser for a target language; ja and ko fall back to characters without their extra."""
    language = language.split("-")[0].split("_")[0]
    if language == "zh":
        return "zh"
    if language in ("ja", "ko"):
        extra = {"ja": "MeCab", "ko": "mecab_ko"}[language]
        return f"{language}-mecab" if find_spec(extra) else "char"
    return "13a"


def score(
    hypotheses: Sequence[str], references: Sequence[str], language: str, names: Sequence[str] = ("bleu", "chrf")
) -> dict[str, float | str]:
    """Corpus scores, 0 to 100, each with its signature beside it.

    Raises:
        UserError: numbers of lines that differ, or no line: sacreBLEU would cut or crash.
    """
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} hypotheses but {len(references)} references: give one for each")
    if not references:
        raise UserError("nothing to score: the references are empty")
    metrics: dict[str, Callable[[], BLEU | CHRF | TER]] = {
        "bleu": lambda: BLEU(tokenize=bleu_tokenizer(language)),
        "chrf": CHRF,
        "ter": TER,
    }
    scores: dict[str, float | str] = {}
    for name in names:
        metric = metrics[name]()
        scores[name] = float(metric.corpus_score(list(hypotheses), [list(references)]).score)
        scores[f"{name}_signature"] = str(metric.get_signature())
    return scores
