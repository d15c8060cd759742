"""The measurement "explorer": translations of a few test sentences, word by word, with their attention.

Knows translators and texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.analysis.sampling import evenly
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.alignment import word_attention
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.evaluation.metrics import CHRF
from seq2seq.evaluation.words import splitter, words_of_tokens

SENTENCES = 80


class Sentence(TypedDict):
    """One test sentence and its translation."""

    index: int
    src: list[str]  # words
    reference: str
    words: list[str]  # of the translation
    nll: float  # of the reference, nats a token
    chrf: float  # of the translation
    attention: list[list[list[float]]]  # for each map, target words by source words; no map without attention


class Explorer(TypedDict):
    """Sentences, and the names of the attention maps."""

    sentences: list[Sentence]
    maps: list[str]


def measure(run: LoadedRun) -> Explorer:
    """Translate test sentences of all lengths by the run's own search."""
    chosen = evenly(run.src, SENTENCES)
    src, references = ([side[n] for n in chosen] for side in (run.src, run.references))
    split = splitter(run.config)
    found = run.translator.translate(src, run.search_options(), attention=True)
    _, log_probability = reference_likelihood(run.translator, src, references, lambda count: None)
    sizes = map(len, run.translator.subwords.encode_tgt(references))
    sentences: list[Sentence] = []
    for n, (best,), total, size in zip(chosen, found, log_probability, sizes, strict=True):
        text, reference = run.src[n], run.references[n]
        words = [split(text), split(best.text)]
        sentences.append(
            {
                "index": n,
                "src": words[0],
                "reference": reference,
                "words": words[1],
                "nll": -total / size,
                "chrf": CHRF.corpus_score([best.text], [reference], run.config.data.tgt),
                "attention": rounded_attention(best, text, *words),
            }
        )
    return {"sentences": sentences, "maps": names_of(run.config.model.decoder.attention_maps)}


def rounded_attention(best: Translation, text: str, src: Sequence[str], tgt: Sequence[str]) -> list[list[list[float]]]:
    """For each map, target words by source words, the weights that predicted each word; empty without attention."""
    if best.attention is None:
        return []
    sides = words_of_tokens(best.tgt_tokens, best.text, tgt), words_of_tokens(best.src_tokens, text, src)
    weights = word_attention(best.attention.transpose(0, 1), *sides).double()
    rounded: list[list[list[float]]] = ((weights * 1000).round() / 1000).tolist()
    return [[[value or 0 for value in row] for row in matrix] for matrix in rounded]  # three of four: "0.0" is long


def names_of(maps: Sequence[tuple[int, int]]) -> list[str]:
    """Names of attention maps on the page, given the layer and head of each."""
    if len(maps) == 1:
        return ["attention"]
    return [f"layer {layer}, head {head}" for layer, head in maps]
