"""What makes the difference: attention replaced at test time, and where in a sentence a model forgets.

Knows the interface of models, and texts; no architecture. Shapes as in ``models/interface``.
"""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seq2seq.analysis.subject import Subject
from seq2seq.config.schema import DecodeConfig
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Links, splitter, words_of_pieces
from seq2seq.evaluation.evaluate import token_log_probs
from seq2seq.models.interface import AttentionOverride, Seq2Seq

INTERVENED = 200  # sentences that are translated under each intervention


def evenly(lines: Sequence[str], count: int) -> list[int]:
    """The numbers of at most ``count`` lines, evenly over the lines sorted by words; it depends on the text alone."""
    order = sorted(range(len(lines)), key=lambda n: len(lines[n].split()))
    count = min(count, len(lines))
    return sorted(order[(2 * k + 1) * len(order) // (2 * count)] for k in range(count))


def searching(options: DecodeConfig, **changes: Any) -> DecodeConfig:
    """A search that is to be compared: one answer and no chance, whatever else the run was told."""
    return replace(options, **{"nbest": 1, "sample": False, **changes})


# ------------------------------------------------------------------------------------------------- interventions


def uniform(weights: Tensor, mask: Tensor) -> Tensor:
    """The same weight at every real position."""
    return (mask / mask.sum(-1, keepdim=True)).expand_as(weights)


def last(weights: Tensor, mask: Tensor) -> Tensor:
    """All weight on the last real position, which is the end mark's."""
    positions = torch.arange(mask.shape[-1], device=mask.device)
    return (positions == mask.sum(-1, keepdim=True) - 1).to(weights.dtype).expand_as(weights)


def shuffled(weights: Tensor, mask: Tensor) -> Tensor:
    """Each weight at another real position: one permutation a sentence, the same at every step and in every map."""
    length = mask.shape[-1]
    index = torch.tensor([[*cycle(n), *range(n, length)] for n in mask.sum(-1).flatten().tolist()])
    return weights.gather(-1, index.view(mask.shape).to(weights.device).expand_as(weights))


@functools.cache
def cycle(length: int) -> tuple[int, ...]:
    """A permutation that leaves nothing in its place (Sattolo's), drawn once for each length."""
    rng, order = random.Random(f"shuffled/{length}"), list(range(length))
    for end in range(length - 1, 0, -1):
        other = int(rng.random() * end)
        order[end], order[other] = order[other], order[end]
    return tuple(order)


INTERVENTIONS: dict[str, AttentionOverride | None] = {
    "trained": None,
    "uniform": uniform,
    "last": last,
    "shuffled": shuffled,
}


@contextmanager
def reweighed(model: Seq2Seq, reweigh: AttentionOverride | None) -> Iterator[None]:
    """Inside, ``reweigh`` stands in for the attention that the model has learned."""
    model.attention_override = reweigh
    try:
        yield
    finally:
        model.attention_override = None


def interventions(subject: Subject) -> dict[str, Any]:
    """Greedy translations with the trained attention and with each replacement; without attention, only the first."""
    chosen = evenly(subject.src, INTERVENED)
    options = searching(subject.config.decode, beam=1)
    rows = []
    for name, reweigh in INTERVENTIONS.items():
        if reweigh is None or subject.config.model.decoder.attention_maps:
            with reweighed(subject.model, reweigh):
                found = subject.translator.translate([subject.src[n] for n in chosen], options)
            rows.append({"attention": name, "hypotheses": [best[0].text for best in found]})
    return {"search": "greedy", "sentences": chosen, "rows": rows}


# ---------------------------------------------------------------------------------------------------- forgetting


def forgetting(subject: Subject, links: Sequence[Links] | None = None) -> dict[str, Any]:
    """How well each target piece of the references is predicted, by where in the source its counterpart stands.

    ``links``: a word alignment of the test pairs, its words as ``splitter`` cuts them (default: the gold alignment;
    without either there are no rows). ``rows``: [words of the source, place of the counterpart among them, target
    pieces, sum of their negative log-probabilities, right predictions]; places are counted from 0, the mean of several;
    None: pieces without a counterpart, the end mark among them.
    """
    links = subject.gold if links is None else links
    if links is None:
        return {"rows": []}
    if len(links) != len(subject.src):
        raise UserError(f"{len(links):,} alignments but {len(subject.src):,} test sentences: give one for each")
    split = splitter(subject.config)
    rows: dict[tuple[int, int | None], list[float]] = defaultdict(lambda: [0, 0.0, 0])
    for n, (log_probs, is_argmax) in enumerate(token_log_probs(subject.translator, subject.src, subject.references)):
        spaced = subject.src[n].split()
        place_of = [place for place, word in enumerate(spaced) for _ in split(word)]  # punctuation goes with its word
        ids = subject.translator.subwords.encode_tgt([subject.references[n]])[0]
        pieces = subject.translator.subwords.tgt_tokens(ids)
        owners = words_of_pieces(pieces, subject.references[n], split(subject.references[n])).of_piece
        for owner, log_prob, right in zip(owners, log_probs, is_argmax, strict=True):
            places = [place_of[i] for i, j in links[n] if j == owner]
            row = rows[len(spaced), int(sum(places) / len(places) + 0.5) if places else None]
            row[:] = [total + more for total, more in zip(row, (1, -log_prob, right), strict=True)]
    ordered = sorted(rows.items(), key=lambda item: (item[0][0], -1 if item[0][1] is None else item[0][1]))
    return {"rows": [[*key, *row] for key, row in ordered]}
