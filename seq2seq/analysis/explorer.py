"""The measurement "explorer": translations of a few test sentences, word by word, with their attention.

Knows translators and texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.analysis.loaded_run import LoadedRun, Record, evenly
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.alignment import word_attention
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.evaluation.metrics import CHRF
from seq2seq.evaluation.words import splitter, words_of_tokens

SENTENCES = 80


def measure(run: LoadedRun) -> Record:
    """Translate test sentences of all lengths by the run's own search.

    Each of the ``sentences`` has its ``index`` in the test, the words of the source (``src``) and of the translation
    (``words``), the reference and its ``nll`` (nats a token), the translation's chrF, and for each attention map, which
    ``maps`` names, the weights of target words by source words.
    """
    chosen = evenly(run.src, SENTENCES)
    src, references = ([side[n] for n in chosen] for side in (run.src, run.references))
    split = splitter(run.config)
    found = run.translator.translate(src, run.search_options(), attention=True)
    _, log_probability = reference_likelihood(run.translator, src, references)
    sizes = map(len, run.translator.subwords.encode_tgt(references))
    sentences = []
    for n, (best,), total, size in zip(chosen, found, log_probability, sizes, strict=True):
        text, reference = run.src[n], run.references[n]
        words = [split(text), split(best.text)]
        sentence: Record = {
            "index": n,
            "src": words[0],
            "reference": reference,
            "words": words[1],
            "nll": -total / size,
        }
        sentence["chrf"] = CHRF.corpus_score([best.text], [reference], run.config.data.tgt)
        sentence["attention"] = rounded_attention(best, text, *words)
        sentences.append(sentence)
    maps = run.config.model.decoder.attention_maps
    names = ["attention"] if len(maps) == 1 else [f"layer {layer}, head {head}" for layer, head in maps]
    return {"sentences": sentences, "maps": names}


def rounded_attention(best: Translation, text: str, src: Sequence[str], tgt: Sequence[str]) -> list[list[list[float]]]:
    """For each map, target words by source words, the weights that predicted each word; empty without attention."""
    if best.attention is None:
        return []
    sides = words_of_tokens(best.tgt_tokens, best.text, tgt), words_of_tokens(best.src_tokens, text, src)
    weights = word_attention(best.attention.transpose(0, 1), *sides).double()
    rounded: list[list[list[float]]] = ((weights * 1000).round() / 1000).tolist()
    return [[[value or 0 for value in row] for row in matrix] for matrix in rounded]  # three of four: "0.0" is long
