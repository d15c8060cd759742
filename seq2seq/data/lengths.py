"""The unit in which the length of a text is counted: words, or characters where a script has no spaces between words.

One function decides for a text, by its letters; every table, chart and file by length asks it. Knows texts. Imports
nothing heavy.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seq2seq.data.languages import ABUGIDAS, CHINESE, JAPANESE, READ, language_of_text

EDGES = (10, 20, 30, 40)
"""Upper ends of the buckets of source length where none are given, in words."""
BOUND = ("Mn", "Mc", "Me", "Cf")
"""Categories of signs that are no characters of their own."""
LONGEST_SEGMENT = 5  # letters of a word, on average, in text that somebody has segmented


def characters(line: str) -> list[str]:
    """The characters of a line, in NFC, but its spaces; numbers and words of Latin letters stay whole.

    Marks and invisible signs, such as joiners, belong to the character before them.
    """
    found: list[str] = []
    end = 0
    for piece in re.finditer(r"[A-Za-z0-9]+|\S", unicodedata.normalize("NFC", line)):
        if found and piece.start() == end and unicodedata.category(piece[0][0]) in BOUND:
            found[-1] += piece[0]
        else:
            found.append(piece[0])
        end = piece.end()
    return found


@dataclass(frozen=True)
class Unit:
    """A unit of length."""

    name: str  # in the plural
    split: Callable[[str], list[str]]  # a line into its elements, white space left out
    per_word: int  # about as many have the length of an English word
    between: str  # what stands between two sentences of a text that is counted so

    @property
    def one(self) -> str:
        """The name in the singular."""
        return self.name.removesuffix("s")

    def counts(self, lines: Sequence[str]) -> list[int]:
        """The length of each line."""
        return [len(self.split(line)) for line in lines]

    def edges(self, given: Sequence[int] | None) -> list[int]:
        """Upper ends of buckets of length: those given, which are in this unit; else ``EDGES``, converted to it."""
        return list(given) if given else [edge * self.per_word for edge in EDGES]


WORDS = Unit("words", str.split, 1, " ")
CHARACTERS = Unit("characters", characters, 2, "")  # tests/text: 1.5 in Chinese, 2.3 in Japanese, 2.8 in Thai


def unit_of(lines: Sequence[str]) -> Unit:
    """Characters for a text in a script without spaces between words, unless it is segmented by spaces; else words."""
    if language_of_text(lines).script not in (*CHINESE, *JAPANESE, *ABUGIDAS):
        return WORDS
    seen = lines[:READ]
    letters = sum(sign.isalpha() for line in seen for sign in line)
    return CHARACTERS if letters > LONGEST_SEGMENT * sum(WORDS.counts(seen)) else WORDS
