"""Attention to word alignments, and word alignments to AER. Knows pieces, words, a model's attention, Pharaoh files.

Shapes: H attention maps; T and S pieces, I and J words of target and source; M maps that are looked at: the mean of
all, and each of them where there are several.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq import grammar
from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.data.batches import batched, collate
from seq2seq.data.subwords import normalise
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import evaluating

Links = set[tuple[int, int]]
"""The word alignment of one pair: (source word, target word), from 0."""

STATES = ("before", "after")
"""Target piece i is explained by the query that predicts it (row i), or by the one that has read it (row i + 1)."""


def parse_links(line: str) -> Links:
    """``0-0 1-2`` to pairs of word numbers (Pharaoh format)."""
    return {(int(i), int(j)) for i, _, j in (link.partition("-") for link in line.split())}


# --------------------------------------------------------------------------------------------- pieces and words

UNKNOWN, MARKS = "<unk>", ("<pad>", "<s>", "</s>")
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Words(NamedTuple):
    """The words of a line, and the word that each of its pieces belongs to (None: to none)."""

    words: list[str]
    of_piece: list[int | None]


def piece_spans(pieces: Sequence[str], text: str) -> list[tuple[int, int]]:
    """The characters [start, end) of ``text`` (brought to NFC) that each piece covers.

    A byte piece covers the whole character that it is a part of. What cannot be read off the text (an unknown run,
    bytes that spell no character) reaches as far as the next piece that can: unknown runs hold no known character.
    """
    data = normalise(text).replace("▁", " ").encode()
    spans, waiting, place = [(0, 0)] * len(pieces), list[int](), 0  # in bytes
    for n, piece in enumerate(pieces):
        if piece in MARKS:
            continue
        raw = _bytes(piece, first=n == 0)
        if piece == UNKNOWN:
            found = -1
        elif waiting:
            found = data.find(raw, place + 1)
        else:
            found = place if data.startswith(raw, place) else -1
        if found < 0:
            waiting.append(n)
            continue
        for earlier in waiting:
            spans[earlier] = (place, found)
        waiting, place = [], found + len(raw)
        spans[n] = (found, place)
    for n in waiting:
        spans[n] = (place, len(data))
    begun = [0]  # characters begun before each byte
    for byte in data:
        begun.append(begun[-1] + (byte & 0xC0 != 0x80))
    return [(begun[start + 1] - 1, begun[end]) if start < end else (0, 0) for start, end in spans]


def _bytes(piece: str, first: bool) -> bytes:
    byte = BYTE.fullmatch(piece)
    if byte:
        return bytes([int(byte[1], 16)])
    return (piece.removeprefix("▁") if first else piece).replace("▁", " ").encode()


def words_of_pieces(pieces: Sequence[str], text: str, words: Sequence[str]) -> Words:
    """Each piece goes to the word that it shares most characters with, the first of equals; over space, to none.

    Args:
        words: of the text, from left to right.
    """
    text = normalise(text)
    owner: list[int | None] = [None] * len(text)
    place = 0
    for n, word in enumerate(normalise(word) for word in words):
        start = text.index(word, place)
        place = start + len(word)
        owner[start:place] = [n] * len(word)
    of_piece: list[int | None] = []
    for start, end in piece_spans(pieces, text):
        shares = Counter(n for n in owner[start:end] if n is not None)
        of_piece.append(shares.most_common(1)[0][0] if shares else None)
    return Words(list(words), of_piece)


def splitter(config: Config) -> Callable[[str], list[str]]:
    """How a run's own text is cut into words: as the grammar's gold counts them, otherwise at white space."""
    if config.data.source == "grammar":
        return grammar.words
    return str.split


def is_punctuation(word: str) -> bool:
    """Whether a word is nothing but punctuation."""
    return all(unicodedata.category(character)[0] == "P" for character in word)


# ------------------------------------------------------------------------------------------ attention and links


def word_attention(attention: Tensor, tgt: Words, src: Words) -> Tensor:
    """(…, T, S) to (…, I, J): source pieces summed, target pieces averaged; a row sums to what words receive of it."""
    rows = _membership(attention, tgt)
    return rows / rows.sum(1, keepdim=True).clamp(min=1) @ attention @ _membership(attention, src).T


def _membership(like: Tensor, side: Words) -> Tensor:
    """(words, pieces), 1 where the piece belongs to the word."""
    members = like.new_zeros(len(side.words), len(side.of_piece))
    for piece, word in enumerate(side.of_piece):
        if word is not None:
            members[word, piece] = 1
    return members


def word_maps(attention: Tensor, tgt: Words, src: Words) -> Tensor:
    """(H, T, S) to (2, M, I, J): before and after the step; the mean of the maps first, then each if there are more."""
    maps = attention.mean(0, keepdim=True)
    if len(attention) > 1:
        maps = torch.cat([maps, attention])
    after = torch.cat([maps[:, 1:], maps[:, -1:]], 1)  # the end mark has none, and belongs to no word
    return word_attention(torch.stack([maps, after]), tgt, src)


def most_attended(weights: Tensor) -> Tensor:
    """(…, I, J) to (…, I): the source word that each target word looks at most; -1 where it looks at none."""
    if 0 in weights.shape:
        return weights.new_full(weights.shape[:-1], -1).long()
    most, where = weights.max(-1)
    return where.masked_fill(most == 0, -1)


def map_names(maps: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Names of the M maps that are looked at: ``mean``, then each map's layer and head if there are several.

    Args:
        maps: layer and head of each of the model's maps (``DecoderConfig.attention_maps``).
    """
    several = maps if len(maps) > 1 else ()
    return [{"map": "mean"}, *({"map": f"layer {n} head {k}", "layer": n, "head": k} for n, k in several)]


class Looked(NamedTuple):
    """One pair under teacher forcing: its number, its words, and its attention (H, T, S)."""

    number: int
    src: Words
    tgt: Words
    attention: Tensor


def look(
    translator: Translator, src: Sequence[str], references: Sequence[str], split: Callable[[str], list[str]]
) -> Iterator[Looked]:
    """Force the references through the model, and hand out what each looked at; long pairs come first."""
    subwords, [model] = translator.subwords, translator.models
    encoded = list(zip(subwords.encode_src(src), subwords.encode_tgt(references), strict=True))
    for rows in batched([max(map(len, pair)) for pair in encoded]):
        batch = collate([encoded[n][0] for n in rows], [encoded[n][1] for n in rows]).to(translator.device)
        with evaluating([model]), torch.inference_mode(), translator.autocast():
            maps = model(batch.src, batch.tgt_in, attention=True).attention.float().cpu()
        for n, attention in zip(rows, maps, strict=True):
            ids, tgt_ids = encoded[n]
            yield Looked(
                n,
                words_of_pieces(subwords.src_tokens(ids), src[n], split(src[n])),
                words_of_pieces(subwords.tgt_tokens(tgt_ids), references[n], split(references[n])),
                attention[:, : len(tgt_ids), : len(ids)],
            )


# --------------------------------------------------------------------------------------------------------- gold


class Gold(NamedTuple):
    """The gold alignment of a pair; what is sure is possible too (Och and Ney 2003)."""

    sure: Links
    possible: Links


LINK = re.compile(r"([0-9]+)([-p?])([0-9]+)")


def read_gold(path: str, src: Sequence[list[str]], tgt: Sequence[list[str]], one_based: bool = False) -> list[Gold]:
    """A Pharaoh file for pairs of these words: ``0-0`` is a sure link, ``0p1`` or ``0?1`` a possible one.

    Raises:
        UserError: another number of lines, what is no link, or a link to a word that is not there.
    """
    count, _ = files.measure(path)
    if count != len(src):
        raise UserError(f"{path} has {count:,} lines but there are {len(src):,} pairs: it needs a line for each")
    gold = []
    for number, (line, *sides) in enumerate(zip(files.lines(path), src, tgt, strict=True), start=1):
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


def agreement(found: Sequence[Links], gold: Sequence[Gold]) -> dict[str, float]:
    """AER, precision and recall over a corpus (Och and Ney 2003, equations 22 to 24); of nothing, 0."""
    total = sum(map(len, found))
    sure = sum(len(pair.sure) for pair in gold)
    hits = sum(len(links & pair.sure) for links, pair in zip(found, gold, strict=True))
    possible_hits = sum(len(links & pair.possible) for links, pair in zip(found, gold, strict=True))
    return {
        "aer": 1 - (hits + possible_hits) / (total + sure) if total + sure else 0.0,
        "precision": possible_hits / total if total else 0.0,
        "recall": hits / sure if sure else 0.0,
    }


def links_of(choice: Tensor) -> Links:
    """(I) source words, -1 for none, to links."""
    return {(source, target) for target, source in enumerate(choice.tolist()) if source >= 0}


def agreements(
    choices: Sequence[Tensor], tgt: Sequence[list[str]], gold: Sequence[Gold], names: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each of the maps (the first of M) in each state: agreement on all target words, and on real ones.

    Args:
        choices: of each pair (2, M, I), as ``most_attended`` gives them.
    """
    real = [{n for n, word in enumerate(words) if not is_punctuation(word)} for words in tgt]

    def only(links: Sequence[Links]) -> list[Links]:
        return [{link for link in pair if link[1] in kept} for pair, kept in zip(links, real, strict=True)]

    real_gold = [
        Gold(*pair) for pair in zip(only([g.sure for g in gold]), only([g.possible for g in gold]), strict=True)
    ]
    rows = []
    for n, name in enumerate(names):
        for k, state in enumerate(STATES):
            found = [links_of(choice[k, n]) for choice in choices]
            apart = {f"{key}_words": value for key, value in agreement(only(found), real_gold).items()}
            rows.append({**name, "state": state, **agreement(found, gold), **apart})
    return rows
