"""The measurement "attention": does it align words, how sharp is it, what does it cover, and does it matter?

Knows a finished run's model and texts; everything under teacher forcing. Which sentences, positions and words are
looked at depends on the texts and on the constants below alone, so that all models of a study are asked the same.
Shapes as in ``alignment``: M maps, I target and J source words.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.analysis.subject import Subject
from seq2seq.config.schema import PAD, UNK
from seq2seq.data.batches import batched, collate
from seq2seq.data.sources import open_source
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.alignment import (
    Gold,
    Links,
    Looked,
    Words,
    agreements,
    is_punctuation,
    look,
    map_names,
    most_attended,
    parse_links,
    splitter,
    word_attention,
    word_maps,
    words_of_pieces,
)
from seq2seq.evaluation.evaluate import evaluating

SEED = 20
SENTENCES = 1_000  # looked at
VALID_SENTENCES = 300  # by which the best map is chosen
POSITIONS = 500  # at which words are masked
COVERED = 0.5  # of the attention that a source word would get if each got the same


def measure(subject: Subject) -> dict[str, Any]:
    """All figures of one run; a model without attention has only what masking the gold-aligned word does.

    ``alignment``: AER, precision, recall of every map (``_words``: without target punctuation), before and after the
    step; ``chosen``: those of the map that is best on the validation split; ``maps``: entropy and coverage;
    ``masking``: changes of the log-probability (nats) of the reference's piece, and how often the prediction changes.
    """
    maps = subject.config.model.decoder.attention_maps
    numbers = sample(subject.src, subject.references, SENTENCES)
    src, references = ([side[n] for n in numbers] for side in (subject.src, subject.references))
    links = None if subject.gold is None else [subject.gold[n] for n in numbers]
    texts = _texts(subject, src, references)
    positions = draw_positions(texts)
    found: dict[str, Any] = {"attention": bool(maps), "sentences": len(numbers)}
    attended: dict[Position, int] | None = None
    if maps:
        names, sharpness, attended = map_names(maps), Sharpness(), {}
        choices: dict[int, Tensor] = {}
        for pair in look(subject.translator, src, references, splitter(subject.config)):
            weights = word_maps(pair.attention, pair.tgt, pair.src)
            choices[pair.number] = most_attended(weights)
            sharpness.add(weights[0])
            attended |= _attended(pair, [p for p in positions if p.sentence == pair.number])
        found["maps"] = [{**name, **figures} for name, figures in zip(names, sharpness.figures(), strict=True)]
        if links is not None:
            tgt = [text.tgt.words for text in texts]
            gold = [Gold(pair, pair) for pair in links]
            found["alignment"] = agreements([choices[n] for n in range(len(src))], tgt, gold, names)
            found["chosen"] = _chosen(subject, names, found["alignment"])
    found["masking"] = masking(subject.translator, texts, positions, attended, links)
    return found


def sample(src: Sequence[str], references: Sequence[str], most: int) -> list[int]:
    """The numbers of at most so many pairs with text on both sides, drawn by the seed, in order."""
    full = [n for n, pair in enumerate(zip(src, references, strict=True)) if all(side.strip() for side in pair)]
    return sorted(random.Random(SEED).sample(full, min(most, len(full))))


class Text(NamedTuple):
    """A pair as ids and as words."""

    src_ids: list[int]
    tgt_ids: list[int]
    src: Words
    tgt: Words


def _texts(subject: Subject, src: Sequence[str], references: Sequence[str]) -> list[Text]:
    subwords, split = subject.translator.subwords, splitter(subject.config)
    ids = zip(subwords.encode_src(src), subwords.encode_tgt(references), strict=True)
    return [
        Text(
            src_ids,
            tgt_ids,
            words_of_pieces(subwords.src_tokens(src_ids), line, split(line)),
            words_of_pieces(subwords.tgt_tokens(tgt_ids), reference, split(reference)),
        )
        for (src_ids, tgt_ids), line, reference in zip(ids, src, references, strict=True)
    ]


def _chosen(subject: Subject, names: list[dict[str, Any]], test: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The test figures of the map and state with the least AER on the validation split: no choice by the test."""
    file = open_source(subject.config.data).alignment_file("valid")
    if file is None:
        return None
    numbers = sample(*subject.valid, VALID_SENTENCES)
    src, references = ([side[n] for n in numbers] for side in subject.valid)
    lines = file.read_text("utf-8").splitlines()
    gold = [Gold(links, links) for links in (parse_links(lines[n]) for n in numbers)]
    pairs = sorted(look(subject.translator, src, references, splitter(subject.config)), key=lambda pair: pair.number)
    choices = [most_attended(word_maps(pair.attention, pair.tgt, pair.src)) for pair in pairs]
    valid = agreements(choices, [pair.tgt.words for pair in pairs], gold, names)
    best = min(range(len(valid)), key=lambda n: valid[n]["aer_words"])
    return {**test[best], "valid_sentences": len(numbers), "valid_aer_words": valid[best]["aer_words"]}


# -------------------------------------------------------------------------------------------- entropy, coverage


class Sharpness:
    """Sums over pairs, for each of M maps: how sharply target words look, and what share of it source words get."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.totals: dict[str, Tensor] = {}

    def add(self, weights: Tensor) -> None:
        """One pair's attention (M, I, J)."""
        weights = weights[:, weights[0].sum(-1) > 0].double()  # words that have pieces of their own
        _, targets, sources = weights.shape
        if not targets:
            return
        within = weights.sum(-1)  # (M, I)
        entropy = torch.special.entr(weights / within.clamp(min=1e-12)[..., None]).sum(-1)
        received = weights.sum(1) * sources / targets  # (M, J), 1 if each gets the same
        self._count(targets, entropy=entropy.sum(1), outside=(1 - within).sum(1))
        if sources > 1:
            self._count(targets, entropy_share=entropy.sum(1) / math.log(sources))
        self._count(sources, coverage=(received >= COVERED).double().sum(1))
        self._count(1, spread=received.std(1, correction=0))

    def _count(self, number: int, **sums: Tensor) -> None:
        for name, value in sums.items():
            self.totals[name] = self.totals.get(name, torch.zeros_like(value)) + value
            self.sums[name] += number

    def figures(self) -> list[dict[str, float]]:
        """For each map: ``entropy`` of a target word's attention among the source words (nats), ``entropy_share`` of
        the most it could be, ``outside``: attention that no word gets (the end mark); ``coverage``: share of source
        words that get at least half of an even share; ``spread``: standard deviation of what they get, 1 being even.
        """
        means = {name: (total / self.sums[name]).tolist() for name, total in self.totals.items()}
        return [dict(zip(means, values, strict=True)) for values in zip(*means.values(), strict=True)]


# ------------------------------------------------------------------------------------------------------ masking


class Position(NamedTuple):
    """A piece of a reference: the number of its pair, and its own."""

    sentence: int
    piece: int


def draw_positions(texts: Sequence[Text]) -> list[Position]:
    """Pieces of real words, in pairs whose source has two real words at least, drawn by the seed."""
    pool = [
        Position(n, piece)
        for n, text in enumerate(texts)
        if len(_real(text.src)) > 1
        for piece, word in enumerate(text.tgt.of_piece)
        if word is not None and not is_punctuation(text.tgt.words[word])
    ]
    return sorted(random.Random(SEED).sample(pool, min(POSITIONS, len(pool))))


def _real(side: Words) -> list[int]:
    """Words that have pieces of their own and are no punctuation."""
    return [n for n in sorted({n for n in side.of_piece if n is not None}) if not is_punctuation(side.words[n])]


def _attended(pair: Looked, positions: Sequence[Position]) -> dict[Position, int]:
    """The source word that is looked at most when a piece is predicted, by the mean of the maps."""
    rows = Words([""] * len(pair.tgt.of_piece), list(range(len(pair.tgt.of_piece))))  # each piece a word
    looked_at = most_attended(word_attention(pair.attention.mean(0), rows, pair.src)).tolist()
    return {position: looked_at[position.piece] for position in positions if looked_at[position.piece] >= 0}


def masking(
    translator: Translator,
    texts: Sequence[Text],
    positions: Sequence[Position],
    attended: dict[Position, int] | None,
    links: Sequence[Links] | None,
) -> dict[str, Any]:
    """What it does to predict a piece without a source word (its pieces become unknown), or without a random other.

    ``attended``: without the word that this model looks at most; ``gold``: without the one that the gold links to the
    piece's word, where it is exactly one: this asks every model for the same words.
    """
    found: dict[str, Any] = {"drawn": len(positions)}
    if attended is not None:
        found["attended"] = compare(translator, texts, attended)
    if links is not None:
        found["gold"] = compare(translator, texts, aligned(texts, positions, links))
    return found


def aligned(texts: Sequence[Text], positions: Sequence[Position], links: Sequence[Links]) -> dict[Position, int]:
    """The one source word that the gold links to a piece's word, where it has pieces and there is no other."""
    words = {}
    for position in positions:
        text = texts[position.sentence]
        linked = [i for i, j in links[position.sentence] if j == text.tgt.of_piece[position.piece]]
        if len(linked) == 1 and linked[0] in _real(text.src):
            words[position] = linked[0]
    return words


def control(side: Words, masked: int, position: Position) -> int:
    """Another real word, drawn by the position; of as many pieces as the one masked, or as near to it as there is."""
    pieces = Counter(side.of_piece)
    others = [word for word in _real(side) if word != masked]
    random.Random(f"{SEED} {position.sentence} {position.piece}").shuffle(others)
    return min(others, key=lambda word: abs(pieces[word] - pieces[masked]))


def compare(translator: Translator, texts: Sequence[Text], words: dict[Position, int]) -> dict[str, Any]:
    """Effects of masking the given word of each position, and of masking its control."""
    if not words:
        return {"positions": 0}
    sources: list[list[int]] = []
    for position, word in words.items():
        text = texts[position.sentence]
        masks = (None, word, control(text.src, word, position))
        sources += [masked(text, mask) for mask in masks]
    targets = [texts[p.sentence].tgt_ids[: p.piece + 1] for p in words for _ in range(3)]
    logs, likeliest = predict(translator, sources, targets)
    base, changes, changed = logs[::3], [], []
    for arm in (1, 2):
        changes.append([log - before for log, before in zip(logs[arm::3], base, strict=True)])
        pairs = zip(likeliest[arm::3], likeliest[::3], strict=True)
        changed.append(statistics.fmean(new != old for new, old in pairs))
    return {
        "positions": len(words),
        "log_probability": statistics.fmean(base),
        "word": {**_mean(changes[0]), "prediction_changes": changed[0]},
        "random": {**_mean(changes[1]), "prediction_changes": changed[1]},
        "difference": _mean([one - other for one, other in zip(*changes, strict=True)]),
    }


def _mean(values: Sequence[float]) -> dict[str, float | None]:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"change": statistics.fmean(values), "standard_error": error}


def masked(text: Text, word: int | None) -> list[int]:
    """The source ids with a word's pieces unknown."""
    if word is None:
        return text.src_ids
    return [UNK if of == word else piece for piece, of in zip(text.src_ids, text.src.of_piece, strict=True)]


def predict(
    translator: Translator, sources: Sequence[list[int]], targets: Sequence[list[int]]
) -> tuple[list[float], list[int]]:
    """The log-probability of each target's last piece after those before it, and the likeliest piece in its place."""
    [model] = translator.models
    logs, likeliest = [0.0] * len(sources), [0] * len(sources)
    for rows in batched([max(len(src), len(tgt)) for src, tgt in zip(sources, targets, strict=True)]):
        batch = collate([sources[n] for n in rows], [targets[n] for n in rows]).to(translator.device)
        last = (batch.tgt_out != PAD).sum(1, keepdim=True) - 1
        with evaluating([model]), torch.inference_mode(), translator.autocast():
            hidden = model(batch.src, batch.tgt_in).hidden
            hidden = hidden.gather(1, last[..., None].expand(-1, -1, hidden.shape[2])).squeeze(1)
            predicted = model.logits(hidden).float().log_softmax(-1)
        picked = predicted.gather(1, batch.tgt_out.gather(1, last)).squeeze(1)
        for n, log, best in zip(rows, picked.tolist(), predicted.argmax(-1).tolist(), strict=True):
            logs[n], likeliest[n] = log, best
    return logs, likeliest
