"""How a run behaves: on sentences longer than it was trained on, under other searches, at what cost, word by word.

Knows translators and texts; what is made of the figures is said elsewhere. Every run is given the same sentences.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from seq2seq import grammar
from seq2seq.analysis.interventions import evenly, searching
from seq2seq.analysis.subject import Subject
from seq2seq.config.schema import BOS, EOS, DecodeConfig
from seq2seq.data.files import lines
from seq2seq.decoding import search as decoding
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.evaluation.alignment import splitter, word_attention, words_of_pieces
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.evaluation.metrics import CHRF
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import prepacked_weights

LONG = 60  # sentences of each set beyond the trained lengths
BEYOND = 20  # words that a set of the grammar's spans
PARTS = (2, 3, 4)  # sentences joined to one
SEARCHED = 150  # sentences of the validation split that are searched in several ways
BEAMS, USUAL_BEAM = (1, 2, 5, 10), 5  # with the average as length penalty
PENALTIES = ("none", "gnmt")  # with the usual beam
OUTCOMES = ("higher", "lower", "same")
COST_WORDS = (10, 20, 40, 80)  # source words, in pieces of as many words of the test
REPEATS = 3
SHOWN = 80  # sentences of the explorer

# ------------------------------------------------------------------------------------------------- extrapolation


def extrapolation(subject: Subject) -> dict[str, Any]:
    """Translations, by the run's own search, of sentences beyond the trained lengths and of joined test sentences."""
    sets = generated(subject) + joined(subject.src, subject.references)
    options = searching(subject.config.decode)
    for each in sets:
        found = subject.translator.translate(each["src"], options)
        each["hypotheses"] = [best[0].text for best in found]
    return {"beam": options.beam, "sets": sets}


def generated(subject: Subject) -> list[dict[str, Any]]:
    """Sentences of the grammar beyond its longest; of another corpus, none."""
    data = subject.config.data
    if data.source != "grammar":
        return []
    sets = []
    for first in range(data.grammar.max_words + 1, data.grammar.max_words + 3 * BEYOND, BEYOND):
        rng = random.Random(f"extrapolation/{first}")
        pairs = [grammar.sentence(rng, first + n % BEYOND) for n in range(LONG)]
        sides = [[pair.src for pair in pairs], [pair.tgt for pair in pairs]]
        src, references = sides if data.src == "en" else reversed(sides)
        name = f"{first}–{first + BEYOND - 1} words"
        sets.append({"name": name, "kind": "grammar", "parts": 1, "src": src, "references": references})
    return sets


def joined(src: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
    """Test sentences two, three and four at a time: neighbours in an order that is shuffled once."""
    rng = random.Random("joined")
    keys = [rng.random() for _ in src]
    order = sorted(range(len(src)), key=keys.__getitem__)
    sets = []
    for parts in PARTS:
        groups = [order[n * parts : (n + 1) * parts] for n in range(min(LONG, len(src) // parts))]
        sides = [[" ".join(side[n] for n in group) for group in groups] for side in (src, references)]
        name = f"{parts} joined"
        sets.append({"name": name, "kind": "joined", "parts": parts, "src": sides[0], "references": sides[1]})
    return sets


# -------------------------------------------------------------------------------------------------------- search


def search(subject: Subject) -> dict[str, Any]:
    """Translations of validation sentences by beam and length penalty; and whether the model prefers its own output."""
    chosen = evenly(subject.valid[0], SEARCHED)
    src, references = ([side[n] for n in chosen] for side in subject.valid)
    searches = [(beam, "average") for beam in BEAMS] + [(USUAL_BEAM, penalty) for penalty in PENALTIES]
    rows = []
    for beam, penalty in searches:
        options = searching(subject.config.decode, beam=beam, length_penalty=penalty)
        started = time.perf_counter()
        found = subject.translator.translate(src, options)
        seconds = time.perf_counter() - started
        hypotheses = [best[0].text for best in found]
        rows.append({"beam": beam, "length_penalty": penalty, "seconds": seconds, "hypotheses": hypotheses})
    return {
        "split": "valid",
        "sentences": chosen,
        "src": src,
        "references": references,
        "rows": rows,
        "preference": preference(subject),
    }


def preference(subject: Subject) -> dict[str, dict[str, float]]:
    """Whether the model gives its own translation of a test sentence a higher log-probability than the reference.

    Where it is ``higher``, no better search would have found the reference (model error); where it is ``lower``, the
    search has missed what the model knew to be better (search error). The shares of both, and of translations that are
    the ``same`` as the reference: by the whole log-probability, and by its mean over the pieces.
    """
    folder = subject.run.evaluation("test")
    own, scored = (list(lines(str(folder / name))) for name in ("hypotheses.txt", "log_probability.txt"))
    _, found = reference_likelihood(subject.translator, subject.src, own, lambda count: None)
    pieces = [map(len, subject.translator.subwords.encode_tgt(side)) for side in (own, subject.references)]
    counts: dict[str, Counter[str]] = {"total": Counter(), "average": Counter()}
    for text, wanted, ours, theirs, *sizes in zip(
        own, subject.references, found, map(float, scored), *pieces, strict=True
    ):
        for name, (a, b) in (("total", (1, 1)), ("average", sizes)):
            counts[name]["same" if text == wanted else "higher" if ours / a > theirs / b else "lower"] += 1
    return {name: {kind: count[kind] / len(own) for kind in OUTCOMES} for name, count in counts.items()}


# ---------------------------------------------------------------------------------------------------------- cost


def cost(subject: Subject) -> dict[str, Any]:
    """Seconds to translate one sentence, and bytes that decoding it holds, by the length of the source.

    The output is made as long as the source, in pieces, so that no model gains by stopping early. ``memory``: bytes by
    part of what depends on the source alone; ``state``: of one hypothesis at the end of the output.
    """
    model, translator = subject.model, subject.translator
    stream = [piece for ids in translator.subwords.encode_src(subject.src) for piece in ids[:-1]]
    per_word = len(stream) / sum(len(line.split()) for line in subject.src)
    rows = []
    for words in COST_WORDS:
        length = max(round(words * per_word), 2)
        src = torch.tensor([[*islice(cycle(stream), length - 1), EOS]], device=translator.device)
        row: dict[str, Any] = {"words": words, "pieces": length}
        for name, beam in (("greedy_seconds", 1), ("beam_seconds", subject.config.decode.beam)):
            even = {"min_length": length, "max_ratio": 1.0, "max_extra": 0, "no_repeat_ngram": 0}
            row[name] = seconds_of(translator, src, searching(subject.config.decode, beam=beam, **even))
        with translator.autocast():
            row["memory"], row["state"] = held(model, src, length)
        rows.append(row)
    device, threads = str(translator.device), torch.get_num_threads()
    return {"beam": subject.config.decode.beam, "device": device, "threads": threads, "rows": rows}


def seconds_of(translator: Translator, src: Tensor, options: DecodeConfig) -> float:
    """The median time of a search, after one that does not count."""
    times = []
    with prepacked_weights():  # as a translator has it for a whole file
        for _ in range(1 + REPEATS):
            started = time.perf_counter()
            with translator.autocast():
                decoding.search(translator.models, src, options)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


@torch.inference_mode()
def held(model: Seq2Seq, src: Tensor, length: int) -> tuple[dict[str, int], int]:
    """Bytes of the memory by part, and of the state after ``length`` pieces; which pieces does not matter."""
    memory = model.encode(src)
    parts = {"states": [memory.states], "mask": [memory.mask], "summary": [memory.sentence_vector]}
    parts["keys"] = [key for key in memory.precomputed if key is not memory.states]
    state, token = model.decoder.init_state(memory), src.new_full((1, 1), BOS)
    for _ in range(length):
        state = model.decoder.step(token, state, memory).state
    return {name: bytes_of(tensors) for name, tensors in parts.items()}, bytes_of(state.values())


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """What tensors hold."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


# ------------------------------------------------------------------------------------------------------ explorer


def explorer(subject: Subject) -> dict[str, Any]:
    """What the run made of a few test sentences, and where it looked: its maps, target words by source words."""
    chosen = evenly(subject.src, SHOWN)
    src, references = ([side[n] for n in chosen] for side in (subject.src, subject.references))
    split, subwords = splitter(subject.config), subject.translator.subwords
    found = subject.translator.translate(src, searching(subject.config.decode), attention=True)
    _, log_probability = reference_likelihood(subject.translator, src, references, lambda count: None)
    pieces = map(len, subwords.encode_tgt(references))
    sentences = []
    for n, (best,), total, size in zip(chosen, found, log_probability, pieces, strict=True):
        text, reference = subject.src[n], subject.references[n]
        words = [split(text), split(best.text)]
        sentence = {"index": n, "src": words[0], "reference": reference, "words": words[1], "nll": -total / size}
        sentence["chrf"] = CHRF.corpus_score([best.text], [reference], subject.config.data.tgt)
        sentence["attention"] = looked(best, text, *words)
        sentences.append(sentence)
    return {"sentences": sentences, "maps": names_of(subject.config.model.decoder.attention_maps)}


def looked(best: Translation, text: str, src: Sequence[str], tgt: Sequence[str]) -> list[list[list[float]]]:
    """For each map, the attention (target words by source words) that predicted each word; nothing where none was."""
    if best.attention is None:
        return []
    sides = words_of_pieces(best.tgt_tokens, best.text, tgt), words_of_pieces(best.src_tokens, text, src)
    weights = word_attention(best.attention.transpose(0, 1), *sides).double()
    rounded: list[list[list[float]]] = ((weights * 1000).round() / 1000).tolist()
    return [[[value or 0 for value in row] for row in matrix] for matrix in rounded]  # three of four: "0.0" is long


def names_of(maps: Sequence[tuple[int, int]]) -> list[str]:
    """The names under which the page shows attention maps, given the layer and head of each."""
    if len(maps) == 1:
        return ["attention"]
    return [f"layer {layer}, head {head}" for layer, head in maps]
