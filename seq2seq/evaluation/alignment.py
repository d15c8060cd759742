"""Word alignment from attention weights, and its agreement with a gold alignment (AER).

Knows attention weights, words and Pharaoh files; runs no model. Shapes: H attention maps of a model; T and S tokens,
I and J words of target and source; M maps that are evaluated: the mean of all, then each if there are several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.data import files
from seq2seq.errors import UserError
from seq2seq.evaluation.words import Words, is_punctuation
from seq2seq.runs.records import Agreement, MapAgreement, MapName, WordAgreement

Links = set[tuple[int, int]]
"""The word alignment of a pair: (source word, target word), counted from 0."""

STATES = ("before", "after")
"""A target token is explained by the step that predicts it (row i), or by the step that reads it (row i + 1)."""


def map_names(maps: Sequence[tuple[int, int]]) -> list[MapName]:
    """Names of the M evaluated maps.

    Args:
        maps: layer and head of each of the model's maps (``ModelConfig.attention_maps``).
    """
    several = maps if len(maps) > 1 else ()
    return [MapName(map="mean"), *(MapName(map=f"layer {n} head {k}", layer=n, head=k) for n, k in several)]


def word_attention(attention: Tensor, tgt: Words, src: Words) -> Tensor:
    """(…, T, S) to (…, I, J): weights are summed over a word's source tokens, averaged over its target tokens.

    A row sums to less than 1 where tokens of no word, such as EOS, are attended.
    """
    rows = _membership(attention, tgt)
    return rows / rows.sum(1, keepdim=True).clamp(min=1) @ attention @ _membership(attention, src).T


def _membership(like: Tensor, side: Words) -> Tensor:
    """(words, tokens), 1 where the token belongs to the word."""
    members = like.new_zeros(len(side.words), len(side.of_token))
    for token, word in enumerate(side.of_token):
        if word is not None:
            members[word, token] = 1
    return members


def word_maps(attention: Tensor, tgt: Words, src: Words) -> Tensor:
    """(H, T, S) to the M evaluated maps between words, in both ``STATES``: (2, M, I, J)."""
    maps = attention.mean(0, keepdim=True)
    if len(attention) > 1:
        maps = torch.cat([maps, attention])
    after = torch.cat([maps[:, 1:], maps[:, -1:]], 1)  # nothing reads EOS, the last row, which belongs to no word
    return word_attention(torch.stack([maps, after]), tgt, src)


def most_attended(weights: Tensor) -> Tensor:
    """(…, I, J) to (…, I): the argmax over source words; -1 for a target word that attends to no source word."""
    if 0 in weights.shape:
        return weights.new_full(weights.shape[:-1], -1).long()
    most, where = weights.max(-1)
    return where.masked_fill(most == 0, -1)


def links_of(choice: Tensor) -> Links:
    """Source words (I) as ``most_attended`` gives them, to links."""
    return {(source, target) for target, source in enumerate(choice.tolist()) if source >= 0}


class Gold(NamedTuple):
    """The gold alignment of a pair: sure links, and possible links, which include the sure ones (Och and Ney 2003)."""

    sure: Links
    possible: Links


LINK = re.compile(r"([0-9]{1,9})([-p?])([0-9]{1,9})")


def parse_links(line: str) -> Links:
    """A line in Pharaoh format without possible links, such as ``0-0 1-2``."""
    return {(int(i), int(j)) for i, _, j in (link.partition("-") for link in line.split())}


def read_gold(path: str, src: Sequence[list[str]], tgt: Sequence[list[str]], one_based: bool = False) -> list[Gold]:
    """A Pharaoh file for pairs of these words: ``0-0`` is a sure link, ``0p1`` or ``0?1`` a possible one.

    Raises:
        UserError: a wrong number of lines, a malformed link, or a link to a word that does not exist.
    """
    lines = files.all_lines(path)
    if len(lines) != len(src):
        raise UserError(f"{path} has {len(lines):,} lines but there are {len(src):,} pairs: it needs a line for each")
    gold = []
    for number, (line, *sides) in enumerate(zip(lines, src, tgt, strict=True), start=1):
        pair = Gold(set(), set())
        for link in line.split():
            parts = LINK.fullmatch(link)
            if not parts:
                raise UserError(
                    f"{path}:{number}: {link} is no link: write source-target, as 0-0, or 0p0 where it is only possible"
                )
            place = (int(parts[1]) - one_based, int(parts[3]) - one_based)
            if not all(0 <= n < len(words) for n, words in zip(place, sides, strict=True)):
                told = "from 0, leave out --one-based" if one_based else "from 1, give --one-based"
                raise UserError(
                    f"{path}:{number}: {link} points beyond the {len(sides[0])} source and {len(sides[1])} target "
                    f"words (if the file counts {told})"
                )
            pair.possible.add(place)
            if parts[2] == "-":
                pair.sure.add(place)
        gold.append(pair)
    if not any(pair.possible for pair in gold):
        raise UserError(f"{path} holds no link: there is nothing to compare with")
    return gold


def agreement(found: Sequence[Links], gold: Sequence[Gold]) -> Agreement:
    """AER, precision and recall over a corpus (Och and Ney 2003, equations 22 to 24); 0 where undefined."""
    total = sum(map(len, found))
    sure = sum(len(pair.sure) for pair in gold)
    hits = sum(len(links & pair.sure) for links, pair in zip(found, gold, strict=True))
    possible_hits = sum(len(links & pair.possible) for links, pair in zip(found, gold, strict=True))
    return {
        "aer": 1 - (hits + possible_hits) / (total + sure) if total + sure else 0.0,
        "precision": possible_hits / total if total else 0.0,
        "recall": hits / sure if sure else 0.0,
    }


class Judge:
    """Compares alignments with the gold one of the same pairs, with and without the target's punctuation."""

    def __init__(self, gold: Sequence[Gold], tgt: Sequence[list[str]]) -> None:
        """The gold alignment of each pair, and the target words of each pair."""
        self._gold = gold
        self._kept = [{n for n, word in enumerate(words) if not is_punctuation(word)} for words in tgt]
        sides = (self._without([pair.sure for pair in gold]), self._without([pair.possible for pair in gold]))
        self._gold_of_words = list(map(Gold, *sides))

    def _without(self, links: Sequence[Links]) -> list[Links]:
        return [{link for link in pair if link[1] in kept} for pair, kept in zip(links, self._kept, strict=True)]

    def agreement(self, found: Sequence[Links]) -> WordAgreement:
        """The agreement of an alignment with the gold one."""
        words = agreement(self._without(found), self._gold_of_words)
        return {
            **agreement(found, self._gold),
            "aer_words": words["aer"],
            "precision_words": words["precision"],
            "recall_words": words["recall"],
        }


def agreements(
    choices: Sequence[Tensor], tgt: Sequence[list[str]], gold: Sequence[Gold], names: Sequence[MapName]
) -> list[MapAgreement]:
    """Agreement of each of the maps named (the first of M) in each of ``STATES``, with and without punctuation.

    Args:
        choices: for each pair the attended source words (2, M, I), as ``most_attended`` gives them.
        tgt: the target words of each pair.
    """
    judge = Judge(gold, tgt)
    return [
        {**name, "state": state, **judge.agreement([links_of(choice[k, n]) for choice in choices])}
        for n, name in enumerate(names)
        for k, state in enumerate(STATES)
    ]
