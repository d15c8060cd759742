"""The sentence that is being written: its random draws, its links, and what its pronouns refer to.

Knows words with their links, and the records of a noun phrase; writes no phrase. A `Word` is its text and its links:
two words are aligned if they share a link. A German word may have several ("im" those of "in" and "the"). The functions
that write phrases take the `Discourse` as their first argument, `d`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.entries import Noun, Phrase, Pool
from seq2seq.grammar.lexicon import Lexicon

Word = tuple[str, tuple[int, ...]]
COMMA: Word = (",", ())
DRAWS = 8  # of a word that is not to be there twice


class NoFit(Exception):
    """No expansion has exactly the number of words asked for; the caller that chose the number tries again."""


def said(text: str, *links: int) -> list[Word]:
    """The words of a text, each with the same links."""
    if " " not in text:
        return [(text, links)] if text else []
    return [(word, links) for word in text.split()]


@dataclass(slots=True, eq=False)
class Sides:
    """The English and the German words of a part of a sentence."""

    en: list[Word] = field(default_factory=list)
    de: list[Word] = field(default_factory=list)
    tail: list[Word] = field(default_factory=list, kw_only=True)  # German relative clause: the verb may precede it

    def __add__(self, other: Sides) -> Sides:
        return Sides(self.en + other.en, self.de + other.de, tail=self.tail + other.tail)


NOTHING = Sides()  # never changed


@dataclass(slots=True, eq=False)
class NounPhrase(Sides):
    """Both sides of a noun phrase in one case, and the features that other words agree with."""

    person: str = "3s"
    pronoun: str = "it"
    gender: str = "n"
    noun: Noun | None = None
    article: bool = False  # begins with "the", so that German may contract it with a preposition
    indefinite: bool = False
    negated: bool = False  # holds "kein": the clause needs no "nicht"
    personal: bool = False  # a pronoun
    owned: bool = False  # begins with "his" or "Anna's"
    described: tuple[str, ...] = ()  # the English words before the noun, and adjectives that were said of it since

    def silent(self) -> NounPhrase:
        """The same without words: the subject of a verb that shares it."""
        return NounPhrase([], [], self.person, self.pronoun, self.gender, self.noun, described=self.described)


@dataclass(slots=True)
class Slot:
    """The requirements of a place in a clause on the noun phrase that fills it."""

    case: str
    depth: int = 0
    relative: bool = False  # may end in a relative clause, if the words after it cannot be read as part of that
    attach: bool = True  # may contain "in the garden"
    definite: bool = False
    singular: bool = False
    specific: bool = False  # no indefinite and no quantified phrase, whose negation would be another one
    coordinate: bool = True
    possessor: NounPhrase | None = None
    negation: int = 0  # the link of "not", which "kein" takes over; 0: none


@dataclass(slots=True)
class Discourse:
    """The state of the sentence that is being written."""

    lexicon: Lexicon
    rng: random.Random
    relative: Callable[[Discourse, NounPhrase, int, int], Sides]  # `relatives.relative`, which noun phrases need
    time: str = "past"  # of the whole sentence: past or present
    subject: NounPhrase | None = None  # the last one, which pronouns refer to
    object: NounPhrase | None = None
    last_verb: str | None = None  # no two consecutive clauses have the same verb
    names: list[str] = field(default_factory=list)  # of the sentence
    nouns: set[str] = field(default_factory=set)  # of the clause
    habitual: bool = False  # a clause says how often, or that it was so every day
    links: int = 0

    def link(self) -> int:
        """A new link."""
        self.links += 1
        return self.links

    def chance(self, name: str) -> bool:
        """True with the probability that rules.yaml gives under `share`."""
        return self.rng.random() < self.lexicon.share[name]

    def below(self, n: int) -> int:
        """An integer in [0, n), drawn with `random()`, whose sequence no version of Python changes."""
        return int(self.rng.random() * n)

    def choose(self, rule: str) -> str:
        """One of the alternatives of a rule of rules.yaml, by weight."""
        return self.lexicon.choices[rule].draw(self.rng)

    def fixed(self, phrase: Phrase) -> Sides:
        """Both sides of a fixed phrase, with new links."""
        links = [(self.link(), i, j) for i, j in phrase.links]
        return Sides(
            [(word, tuple(link for link, i, _ in links if i == at)) for at, word in enumerate(phrase.en)],
            [(word, tuple(link for link, _, j in links if j == at)) for at, word in enumerate(phrase.de)],
        )

    def same(self, en: str, de: str) -> Sides:
        """Both sides of an entry; every word of one is linked to every word of the other."""
        link = self.link()
        return Sides(said(en, link), said(de, link))

    def pronoun_for(self, phrase: NounPhrase, case: str) -> NounPhrase:
        """The pronoun for a noun phrase that was mentioned before."""
        words = self.same(*morphology.personal(phrase.pronoun, phrase.gender, case))
        features = phrase.person, phrase.pronoun, phrase.gender, phrase.noun
        return NounPhrase(words.en, words.de, *features, personal=True, described=phrase.described)

    def name(self, sex: str) -> str:
        """A name for "he" or "she" that nobody else in the sentence has. Raises NoFit if several draws find none."""
        pool = self.lexicon.names[sex]
        if not self.lexicon.distinct_nouns:
            return pool.draw(self.rng)
        for _ in range(DRAWS):
            name = pool.draw(self.rng)
            if name not in self.names:
                self.names.append(name)
                return name
        raise NoFit

    def noun(self, pool: Pool[Noun]) -> Noun:
        """A noun that the clause does not have yet. Raises NoFit if several draws find none."""
        if not self.lexicon.distinct_nouns:
            return pool.draw(self.rng)
        for _ in range(DRAWS):
            noun = pool.draw(self.rng)
            if noun.en not in self.nouns:
                self.nouns.add(noun.en)
                return noun
        raise NoFit

    def referent(self) -> NounPhrase | None:
        """The antecedent of a pronoun as subject: the last subject, or the last object if that alone is "it"."""
        subject, other = self.subject, self.object
        if subject is None:
            return None
        if other is not None and other.pronoun == "it" and subject.pronoun != "it" and self.rng.random() < 0.35:
            return other
        return subject
