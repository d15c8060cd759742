"""The words of a line, and the word that each of its tokens belongs to. Knows tokens and words; knows no model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seq2seq import grammar
from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data.lengths import unit_of
from seq2seq.data.subwords import Subwords, normalise

UNKNOWN, MARKS = "<unk>", ("<pad>", "<s>", "</s>")
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Words(NamedTuple):
    """The words of a line, and for each token the index of its word (None: of no word)."""

    words: list[str]
    of_token: list[int | None]


class Pair(NamedTuple):
    """A sentence pair as token ids, EOS included, and as words."""

    src_ids: list[int]
    tgt_ids: list[int]
    src: Words
    tgt: Words


def encode_pairs(
    subwords: Subwords,
    src: Sequence[str],
    references: Sequence[str],
    split: Callable[[str], list[str]],
    longest: int = DecodeConfig.max_input,
    split_tgt: Callable[[str], list[str]] | None = None,
) -> list[Pair]:
    """Segment sentence pairs into tokens and, by ``split``, into words; of longer lines, the first ``longest`` tokens.

    References are split by ``split_tgt``, if it is given.

    The words of such a line end with the last that has a token.
    """
    ids = subwords.encode_src(src, longest), subwords.encode_tgt(references, longest)
    pairs = []
    for line, reference, src_ids, tgt_ids in zip(src, references, *ids, strict=True):
        src_words = words_of_tokens(subwords.src_tokens(src_ids), line, split(line))
        tgt_words = words_of_tokens(subwords.tgt_tokens(tgt_ids), reference, (split_tgt or split)(reference))
        pairs.append(Pair(src_ids, tgt_ids, *(_begun(side, longest) for side in (src_words, tgt_words))))
    return pairs


def _begun(side: Words, longest: int) -> Words:
    """All words of a line of fewer tokens than ``longest``; of a longer one, those up to the last that has a token."""
    if len(side.of_token) < longest:
        return side
    last = max((n for n in side.of_token if n is not None), default=-1)
    return Words(side.words[: last + 1], side.of_token)


def splitter(config: Config, text: Sequence[str]) -> Callable[[str], list[str]]:
    """The function that cuts lines of a ``text`` into words, or into characters where it has no spaces between words.

    The words of the embedded corpus are those that its gold alignment counts.
    """
    return grammar.words if config.data.source == "grammar" else unit_of(text).split


def is_punctuation(word: str) -> bool:
    """Whether a word is nothing but punctuation."""
    return all(unicodedata.category(character)[0] == "P" for character in word)


def bare_words(words: Sequence[str]) -> list[str]:
    """Words without the punctuation around them; those that are nothing else are left out."""
    stripped = (_bare(word) for word in words)
    return [word for word in stripped if word]


def _bare(word: str) -> str:
    kept = [n for n, character in enumerate(word) if unicodedata.category(character)[0] != "P"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


def words_of_tokens(tokens: Sequence[str], text: str, words: Sequence[str]) -> Words:
    """Assign each token to the word with which it shares most characters, the first of equals; spaces to none.

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
    of_token: list[int | None] = []
    for start, end in token_spans(tokens, text):
        shares = Counter(n for n in owner[start:end] if n is not None)
        of_token.append(shares.most_common(1)[0][0] if shares else None)
    return Words(list(words), of_token)


def token_spans(tokens: Sequence[str], text: str) -> list[tuple[int, int]]:
    """The characters [start, end) of ``text`` (in NFC) that each token covers.

    A byte token covers the whole character to which it belongs. A token that cannot be found in the text (unknown, or
    a byte of no valid character) extends to the next one that can: unknown tokens cover no known character.
    """
    data = normalise(text).replace("▁", " ").encode()
    spans, waiting, place = [(0, 0)] * len(tokens), list[int](), 0  # in bytes
    for n, token in enumerate(tokens):
        if token in MARKS:
            continue
        raw = _bytes(token, first=n == 0)
        if token == UNKNOWN:
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
    begun = [0]  # number of characters that begin before each byte
    for byte in data:
        begun.append(begun[-1] + (byte & 0xC0 != 0x80))
    return [(begun[start + 1] - 1, begun[end]) if start < end else (0, 0) for start, end in spans]


def _bytes(token: str, first: bool) -> bytes:
    byte = BYTE.fullmatch(token)
    if byte:
        return bytes([int(byte[1], 16)])
    return (token.removeprefix("▁") if first else token).replace("▁", " ").encode()
