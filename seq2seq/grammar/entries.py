"""The entries of the lexicon, with all their forms, and weighted pools of them.

Knows nouns, adjectives, verbs and fixed phrases; knows no files but the form of a phrase's YAML entry.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LexiconError(ValueError):
    """A file of the lexicon contradicts itself; the message names the entry."""


class Pool(Generic[T]):
    """Items and their weights, to draw from."""

    __slots__ = ("cumulative", "items", "last", "total")

    def __init__(self, items: Iterable[T], weights: Iterable[float]) -> None:
        self.items = list(items)
        self.last = len(self.items) - 1
        self.cumulative = list(itertools.accumulate(weights))
        self.total = self.cumulative[-1] if self.cumulative else 0.0

    def draw(self, rng: random.Random) -> T:
        """One item, drawn with `rng.random()`, whose sequence is the same on every platform and version."""
        return self.items[bisect.bisect_right(self.cumulative, rng.random() * self.total, 0, self.last)]


@dataclass(frozen=True)
class Demands:
    """The verbs that a clause may have, by aspect (None: all), whether it must not be negated, and how it may end."""

    aspects: frozenset[str] | None = None
    affirmed: bool = False
    closed: bool = False  # not in a relative clause, to which what follows could belong


ANY = Demands()


def demands(entry: dict[str, Any], place: str) -> Demands:
    """What an entry asks of its clause `place`, "main" or "clause".

    An entry has the aspects by place, {main: [deed]}, and the places that are affirmed and closed, {affirmed: [main]}.
    """
    aspects = frozenset(entry[place]) if place in entry else None
    return Demands(aspects, place in entry.get("affirmed", ()), place in entry.get("closed", ()))


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun with its forms in both languages."""

    en: str
    en_plural: str | None
    gender: str
    de: dict[str, str]
    kind: str
    kinds: frozenset[str]
    weight: float
    mass: bool
    pronoun: str
    ways: dict[str, list[str]]  # "in" (rest), "to" or "from": the English and the German preposition, if not "in"


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective; `de` is its German predicative form, `stem` the form before endings."""

    en: str
    de: str
    stem: str
    attributive: bool
    predicative: bool
    kinds: frozenset[str]
    weight: float
    graded: bool = True  # can follow "very"
    mass: bool = True  # can describe a mass noun: not "big meat"
    joined: bool = True  # can be joined to another by "and"
    but: frozenset[str] = frozenset()  # English nouns that it does not describe


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb in one frame and one sense; see the head of verbs.yaml for the options."""

    frame: str
    en: dict[str, str]
    de: dict[str, str]
    weight: float
    haben: bool
    by: frozenset[str]
    nouns: Pool[Noun] | None
    lemmas: frozenset[str]
    agents: Pool[Noun]  # persons or animals that a passive can name after "by"
    parts: bool
    how: Pool[tuple[str, str]] | None
    size: int  # English words, particles and prepositions included
    options: dict[str, Any] = field(repr=False)
    up: str = ""
    to: str = ""
    case: str = "acc"
    reflexive: bool = False
    prep: list[str] | None = None  # English, German, case
    predicate: str = ""
    place: bool = True
    when: bool = True
    company: bool = True
    conjunction: str = ""
    aspect: str = "deed"
    clause: Demands = ANY  # what a verb with "that" asks of the clause
    companions: tuple[list[str], ...] = ()  # prepositions before a person in company: English, German, case


@dataclass(frozen=True)
class Phrase:
    """A fixed phrase: the words of both sides and the links between them.

    Of a conjunction, `main` and `clause` are what it asks of the main clause and of its own.
    """

    en: tuple[str, ...]
    de: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
    tense: list[str] | None  # those that it goes with; None: any, but for a time not the perfect
    options: dict[str, Any] = field(repr=False, hash=False, compare=False)
    main: Demands = ANY
    clause: Demands = ANY


def phrase(entry: dict[str, Any]) -> Phrase:
    """A fixed phrase from its YAML entry; without `links`, word n of one side is linked to word n of the other."""
    en, de = tuple(entry["en"].split()), tuple(entry["de"].split())
    if "links" in entry:
        links = tuple((int(i), int(j)) for i, j in (link.split("-") for link in entry["links"].split()))
    elif len(en) == len(de):
        links = tuple((i, i) for i in range(len(en)))
    else:
        raise LexiconError(f"{entry['en']!r}: both sides differ in length, so it needs links")
    return Phrase(en, de, links, entry.get("tense"), entry, demands(entry, "main"), demands(entry, "clause"))
