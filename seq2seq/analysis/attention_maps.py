"""The measurement "attention": do attention maps align words, how sharp are they, how much of the source do they cover?

What happens when attended words are hidden is asked in ``faithfulness``; its figures stand in the same record.
Everything is under teacher forcing. Which sentences are looked at depends on the texts and on constants alone, so that
all models of a study are asked the same. Shapes as in ``evaluation/alignment``: M maps, I target and J source words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from seq2seq.analysis.faithfulness import Position, aligned, attended_words, compare, draw_positions
from seq2seq.analysis.loaded_run import LoadedRun, draw
from seq2seq.data import files
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.alignment import (
    STATES,
    Gold,
    agreements,
    map_names,
    most_attended,
    parse_links,
    word_maps,
)
from seq2seq.evaluation.words import Pair
from seq2seq.runs.loading import gold_file
from seq2seq.runs.records import Attention, AttentionMaps, ChosenMap, MapAgreement, MapName, MapSharpness, Masking

SENTENCES = 1_000  # of the test
VALID_SENTENCES = 300  # on which the best map is chosen
COVERED = 0.5  # a source word is covered that gets this share of the attention due to each word, or more
BOUNDS: tuple[MapName, ...] = (MapName(map="the best single links"), MapName(map="the diagonal"))
SharpnessKey = Literal["entropy", "entropy_share", "outside", "coverage", "spread"]


def measure(run: LoadedRun) -> Attention:
    """Measure the maps on the test, and the effects of hiding source words."""
    numbers = draw(run.src, run.references, SENTENCES)
    pairs = run.encode_pairs([run.src[n] for n in numbers], [run.references[n] for n in numbers])
    gold = None if run.gold is None else [run.gold[n] for n in numbers]
    positions = draw_positions(pairs)
    looks = bool(run.config.model.attention_maps)
    maps: AttentionMaps = {}
    attended: dict[Position, int] = {}
    masking: Masking = {"drawn": len(positions)}
    if looks:
        maps, attended = measure_maps(run, pairs, positions, gold)
        masking["attended"] = compare(run.translator, pairs, attended)
    if gold is not None:
        sure = [pair.sure for pair in gold]
        masking["gold"] = compare(run.translator, pairs, aligned(pairs, positions, sure))
    if run.config.model.sees == "positions":
        masking["zeroed"] = compare(run.translator, pairs, attended, zeroing=True)
    return {"attention": looks, "sentences": len(numbers), **maps, "masking": masking}


def measure_maps(
    run: LoadedRun, pairs: Sequence[Pair], positions: Sequence[Position], gold: Sequence[Gold] | None
) -> tuple[AttentionMaps, dict[Position, int]]:
    """Figures of every map, and the source word most attended at each position."""
    names, sharpness = map_names(run.config.model.attention_maps), Sharpness()
    attended: dict[Position, int] = {}
    choices: dict[int, Tensor] = {}
    for n, attention in forced_attention(run.translator, pairs):
        maps = word_maps(attention, pairs[n].tgt, pairs[n].src)
        choices[n] = most_attended(maps)
        sharpness.add(maps[0])
        attended |= attended_words(pairs[n], attention, [p for p in positions if p.sentence == n])
    found: AttentionMaps = {"maps": sharpness.figures(names)}
    if gold is not None:
        words = [pair.tgt.words for pair in pairs]
        found["alignment"] = agreements([choices[n] for n in range(len(pairs))], words, gold, names)
        found["chosen"] = choose_map(run, names, found["alignment"])
        found["bounds"] = bounds(gold, [pair.src.words for pair in pairs], words)
    return found, attended


def bounds(gold: Sequence[Gold], src: Sequence[list[str]], tgt: Sequence[list[str]]) -> list[MapAgreement]:
    """The agreement of two alignments without a model, which have one link a target word as an argmax has: ``BOUNDS``.

    The best has a sure link for each word that has any, else a possible one, so that no attention map can be better by
    its argmax.
    """
    choices = []
    for pair, sources, targets in zip(gold, map(len, src), map(len, tgt), strict=True):
        best = [_linked(pair, target) for target in range(targets)]
        diagonal = [int((target + 0.5) * sources / targets) for target in range(targets)]
        choices.append(torch.tensor([best, diagonal]).expand(len(STATES), -1, -1))
    rows = agreements(choices, tgt, gold, BOUNDS)
    return rows[:: len(STATES)]  # the same in each state


def _linked(gold: Gold, target: int) -> int:
    """The first source word that is surely linked to this target word, else possibly; 0 for a word without a link."""
    sure, possible = ([i for i, j in links if j == target] for links in gold)
    return min(sure or possible, default=0)


def choose_map(run: LoadedRun, names: Sequence[MapName], test: Sequence[MapAgreement]) -> ChosenMap | None:
    """The best map by the validation split; None if that has no gold alignment. The test has no say in the choice."""
    file = gold_file(run.config, "valid", run.valid)
    if file is None:
        return None
    numbers = draw(*run.valid, VALID_SENTENCES)
    pairs = run.encode_pairs(*([side[n] for n in numbers] for side in run.valid))
    lines = list(files.lines(str(file)))
    gold = [Gold(links, links) for links in (parse_links(lines[n]) for n in numbers)]
    valid = agreements(most_attended_words(run.translator, pairs), [pair.tgt.words for pair in pairs], gold, names)
    best = min(range(len(valid)), key=lambda n: valid[n]["aer_words"])
    return {**test[best], "valid_sentences": len(numbers), "valid_aer_words": valid[best]["aer_words"]}


def most_attended_words(
    translator: Translator, pairs: Sequence[Pair], done: Callable[[int], None] = lambda count: None
) -> list[Tensor]:
    """For each pair the source word (2, M, I) that each target word attends to most; calls ``done(1)`` after each."""
    choices: dict[int, Tensor] = {}
    for n, attention in forced_attention(translator, pairs):
        choices[n] = most_attended(word_maps(attention, pairs[n].tgt, pairs[n].src))
        done(1)
    return [choices[n] for n in range(len(pairs))]


def forced_attention(translator: Translator, pairs: Sequence[Pair]) -> Iterator[tuple[int, Tensor]]:
    """The index of each pair and its attention weights (H, T, S) under teacher forcing; long pairs come first."""
    [model] = translator.models
    ids = [pair.src_ids for pair in pairs], [pair.tgt_ids for pair in pairs]
    for rows, batch in translator.teacher_forcing_batches(*ids):
        with torch.inference_mode(), translator.autocast():
            maps = model(batch.src, batch.tgt_in, attention=True).attention.float().cpu()
        for n, attention in zip(rows, maps, strict=True):
            yield n, attention[:, : len(pairs[n].tgt_ids), : len(pairs[n].src_ids)]


class Sharpness:
    """Sums over pairs, for each of M maps, from which ``MapSharpness`` is computed."""

    def __init__(self) -> None:
        self.counts: Counter[SharpnessKey] = Counter()
        self.totals: dict[SharpnessKey, Tensor] = {}

    def add(self, weights: Tensor) -> None:
        """Add one pair's attention (M, I, J)."""
        weights = weights[:, weights[0].sum(-1) > 0].double()  # words with tokens of their own
        _, targets, sources = weights.shape
        if not targets:
            return
        within = weights.sum(-1)  # (M, I)
        entropy = torch.special.entr(weights / within.clamp(min=1e-12)[..., None]).sum(-1)
        received = weights.sum(1) * sources / targets  # (M, J), 1 if each gets the same
        self._count("entropy", entropy.sum(1), targets)
        self._count("outside", (1 - within).sum(1), targets)
        if sources > 1:
            self._count("entropy_share", entropy.sum(1) / math.log(sources), targets)
        self._count("coverage", (received >= COVERED).double().sum(1), sources)
        self._count("spread", received.std(1, correction=0), 1)

    def _count(self, key: SharpnessKey, total: Tensor, number: int) -> None:
        self.totals[key] = self.totals.get(key, torch.zeros_like(total)) + total
        self.counts[key] += number

    def figures(self, names: Sequence[MapName]) -> list[MapSharpness]:
        """The means of each map."""
        rows: list[MapSharpness] = [{} for _ in names]
        for key, total in self.totals.items():
            for row, mean in zip(rows, (total / self.counts[key]).tolist(), strict=True):
                row[key] = mean
        return [{**name, **row} for name, row in zip(names, rows, strict=True)]
