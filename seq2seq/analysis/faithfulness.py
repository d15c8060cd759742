"""Faithfulness of attention: does hiding the source word that is attended most change the prediction?

A masked word's tokens become unknown (UNK), so that the encoder does not read it either. Value zeroing (Mohebbi et al.
2023) hides it from the decoder's attention alone: the vectors that attention sums are zero at its tokens, and weights
and the rest of the sentence stay. Either effect is compared with that of hiding another word. Knows texts as token ids
and words, and teacher forcing.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.analysis.loaded_run import SEED
from seq2seq.config.schema import PAD, UNK
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.alignment import Links, most_attended, word_attention
from seq2seq.evaluation.words import Pair, Words, is_punctuation
from seq2seq.models.interface import AttentionOverride
from seq2seq.runs.records import Effect, Masked

POSITIONS = 500  # target tokens at which source words are masked


class Position(NamedTuple):
    """A token of a reference: the index of its pair, and its own."""

    sentence: int
    token: int


def draw_positions(pairs: Sequence[Pair]) -> list[Position]:
    """Tokens of words that are not punctuation, from sources of two such words at least, drawn from a fixed seed."""
    pool = [
        Position(n, token)
        for n, pair in enumerate(pairs)
        if len(_real(pair.src)) > 1
        for token, word in enumerate(pair.tgt.of_token)
        if word is not None and not is_punctuation(pair.tgt.words[word])
    ]
    return sorted(random.Random(SEED).sample(pool, min(POSITIONS, len(pool))))


def _real(side: Words) -> list[int]:
    """Indices of words that have tokens of their own and are not punctuation."""
    return [n for n in sorted({n for n in side.of_token if n is not None}) if not is_punctuation(side.words[n])]


def attended_words(pair: Pair, attention: Tensor, positions: Sequence[Position]) -> dict[Position, int]:
    """The source word attended most when each token is predicted, by the mean of the maps (H, T, S)."""
    tokens = Words([""] * len(pair.tgt_ids), list(range(len(pair.tgt_ids))))  # each token counts as a word
    choice = most_attended(word_attention(attention.mean(0), tokens, pair.src)).tolist()
    return {position: choice[position.token] for position in positions if choice[position.token] >= 0}


def aligned(pairs: Sequence[Pair], positions: Sequence[Position], links: Sequence[Links]) -> dict[Position, int]:
    """The source word that the gold links to each token's word, where it is the only one and has tokens."""
    words = {}
    for position in positions:
        pair = pairs[position.sentence]
        linked = [i for i, j in links[position.sentence] if j == pair.tgt.of_token[position.token]]
        if len(linked) == 1 and linked[0] in _real(pair.src):
            words[position] = linked[0]
    return words


def control(side: Words, word: int, position: Position) -> int:
    """Another word that is not punctuation, with about as many tokens, drawn from a seed of the position's own."""
    sizes = Counter(side.of_token)
    others = [other for other in _real(side) if other != word]
    random.Random(f"{SEED} {position.sentence} {position.token}").shuffle(others)
    return min(others, key=lambda other: abs(sizes[other] - sizes[word]))


def compare(translator: Translator, pairs: Sequence[Pair], words: dict[Position, int], zeroing: bool = False) -> Masked:
    """Effects of hiding the given word of each position, and of hiding its control.

    Args:
        zeroing: hide by value zeroing, in a model whose decoder attends to every position; else by masking.
    """
    if not words:
        return {"positions": 0}
    hidden = list[list[bool]]()
    for position, word in words.items():
        src = pairs[position.sentence].src
        for hide in (-1, word, control(src, word, position)):  # -1 hides nothing
            hidden.append([of == hide for of in src.of_token])
    sources = [pairs[p.sentence].src_ids for p in words for _ in range(3)]
    targets = [pairs[p.sentence].tgt_ids[: p.token + 1] for p in words for _ in range(3)]
    if zeroing:
        log_probs, argmaxes = predict(translator, sources, targets, hidden)
    else:
        masked = [
            [UNK if gone else token for token, gone in zip(ids, tokens, strict=True)]
            for ids, tokens in zip(sources, hidden, strict=True)
        ]
        log_probs, argmaxes = predict(translator, masked, targets)
    changes, effects = list[list[float]](), list[Effect]()
    for arm in (1, 2):
        changes.append([new - old for new, old in zip(log_probs[arm::3], log_probs[::3], strict=True)])
        other = [new != old for new, old in zip(argmaxes[arm::3], argmaxes[::3], strict=True)]
        effects.append({**_mean(changes[-1]), "prediction_changes": statistics.fmean(other)})
    difference = _mean([one - other for one, other in zip(*changes, strict=True)])
    found: Masked = {"positions": len(words), "log_probability": statistics.fmean(log_probs[::3])}
    return {**found, "word": effects[0], "random": effects[1], "difference": difference}


def _mean(values: Sequence[float]) -> Effect:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"change": statistics.fmean(values), "standard_error": error}


def without_values(zeroed: Sequence[Sequence[bool]], src: Tensor) -> AttentionOverride:
    """Weights of 0 at some tokens of each of ``src`` (B, S), the others as they were: as if their values were zero."""
    keep = torch.ones(src.shape)
    for row, tokens in zip(keep, zeroed, strict=True):
        row[: len(tokens)] = 1 - torch.tensor(tokens, dtype=row.dtype)
    keep = keep.to(src.device)
    return lambda weights, mask: weights * keep.view(mask.shape).to(weights.dtype)


def predict(
    translator: Translator,
    sources: Sequence[list[int]],
    targets: Sequence[list[int]],
    zeroed: Sequence[Sequence[bool]] | None = None,
) -> tuple[list[float], list[int]]:
    """For the last token of each target: its log-probability after the tokens before it, and the argmax there.

    Args:
        zeroed: for each source, the tokens whose values are zero in every attention of the decoder.
    """
    [model] = translator.models
    log_probs, argmaxes = [0.0] * len(sources), [0] * len(sources)
    for rows, batch in translator.teacher_forcing_batches(sources, targets):
        last = (batch.tgt_out != PAD).sum(1, keepdim=True) - 1
        override = None if zeroed is None else without_values([zeroed[n] for n in rows], batch.src)
        with torch.inference_mode(), translator.autocast(), model.overridden_attention(override):
            hidden = model(batch.src, batch.tgt_in).hidden
            hidden = hidden.gather(1, last[..., None].expand(-1, -1, hidden.shape[2])).squeeze(1)
            predicted = model.logits(hidden).float().log_softmax(-1)
        picked = predicted.gather(1, batch.tgt_out.gather(1, last)).squeeze(1)
        for n, log_prob, best in zip(rows, picked.tolist(), predicted.argmax(-1).tolist(), strict=True):
            log_probs[n], argmaxes[n] = log_prob, best
    return log_probs, argmaxes
