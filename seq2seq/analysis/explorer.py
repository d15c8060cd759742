"""The measurement "explorer": translations of a few test sentences, word by word, with their attention.

Knows translators and texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.analysis.loaded_run import LoadedRun, evenly
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.alignment import word_attention
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.evaluation.metrics import CHRF
from seq2seq.evaluation.words import splitter, words_of_tokens
from seq2seq.runs.records import Explored, ExploredSentence

SENTENCES = 80


def measure(run: LoadedRun) -> Explored:
    """Translate test sentences of all lengths by the run's own search."""
    chosen = evenly(run.src, SENTENCES)
    src, references = ([side[n] for n in chosen] for side in (run.src, run.references))
    split, split_tgt = (splitter(run.config, side) for side in (run.src, run.references))
    found = run.translator.translate(src, run.search_options(), attention=True)
    _, log_probability = reference_likelihood(run.translator, src, references, longest=run.longest)
    sizes = map(len, run.translator.subwords.encode_tgt(references, run.longest))
    sentences = []
    for n, (best,), total, size in zip(chosen, found, log_probability, sizes, strict=True):
        text, reference = run.src[n], run.references[n]
        source, words = split(text), split_tgt(best.text)
        chrf = CHRF.corpus_score([best.text], [reference], run.config.data.language)
        maps = rounded_attention(best, text, source, words)
        sentence = ExploredSentence(
            index=n, src=source, reference=reference, words=words, nll=-total / size, chrf=chrf, attention=maps
        )
        sentences.append(sentence)
    return {"sentences": sentences, "maps": names_of_maps(run.config.model.attention_maps)}


def names_of_maps(maps: Sequence[tuple[int, int]]) -> list[str]:
    """What a page calls each of the maps, (layer, head); none for a model without attention."""
    return ["attention"] if len(maps) == 1 else [f"layer {layer}, head {head}" for layer, head in maps]


def rounded_attention(best: Translation, text: str, src: Sequence[str], tgt: Sequence[str]) -> list[list[list[float]]]:
    """For each map, target words by source words, the weights that predicted each word; empty without attention."""
    if best.attention is None:
        return []
    sides = words_of_tokens(best.tgt_tokens, best.text, tgt), words_of_tokens(best.src_tokens, text, src)
    weights = word_attention(best.attention.transpose(0, 1), *sides).double()
    rounded: list[list[list[float]]] = ((weights * 1000).round() / 1000).tolist()
    return [[[value or 0 for value in row] for row in matrix] for matrix in rounded]  # three of four: "0.0" is long
