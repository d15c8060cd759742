"""Determiner, adjectives and noun in both languages; and the random draws and links that all writers use.

Knows agreement (case, gender, number, the three declensions of adjectives); knows no modifiers after the noun. A `Word`
is its text and its links: two words are aligned if they share a link. A German word may have several links ("im" those
of "in" and "the").
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.entries import Noun, Phrase
from seq2seq.grammar.lexicon import Lexicon

Word = tuple[str, tuple[int, ...]]
COMMA: Word = (",", ())
HUMAN_OWNED = ("animal", "thing", "clothing", "vehicle", "building", "food", "text", "instrument")


class NoFit(Exception):
    """No expansion has exactly the number of words asked for; the caller that chose the number tries again."""


def said(text: str, *links: int) -> list[Word]:
    """The words of a text, each with the same links."""
    return [(word, links) for word in text.split()]


@dataclass(slots=True)
class Sides:
    """The English and the German words of a part of a sentence."""

    en: list[Word] = field(default_factory=list)
    de: list[Word] = field(default_factory=list)
    tail: list[Word] = field(default_factory=list, kw_only=True)  # German relative clause: the verb may precede it

    def __add__(self, other: Sides) -> Sides:
        return Sides(self.en + other.en, self.de + other.de, tail=self.tail + other.tail)

    def whole(self) -> list[Word]:
        """The German side, followed by its relative clause."""
        return self.de + self.tail


@dataclass(slots=True)
class NounPhrase(Sides):
    """Both sides of a noun phrase in one case, and the features that other words agree with."""

    person: str = "3s"
    pronoun: str = "it"
    gender: str = "n"
    noun: Noun | None = None
    article: bool = False  # begins with "the", so that German may contract it with a preposition
    indefinite: bool = False
    negated: bool = False  # holds "kein": the clause needs no "nicht"

    def silent(self) -> NounPhrase:
        """The same without words: the subject of a verb that shares it."""
        return NounPhrase([], [], self.person, self.pronoun, self.gender, self.noun)


@dataclass(slots=True)
class Slot:
    """The requirements of a place in a clause on the noun phrase that fills it."""

    case: str
    depth: int = 0
    relative: bool = False  # may end in a relative clause, if the words after it cannot be read as part of that
    attach: bool = True  # may contain "in the garden"
    definite: bool = False
    singular: bool = False
    coordinate: bool = True
    possessor: NounPhrase | None = None
    negation: int = 0  # the link of "not", which "kein" takes over; 0: none


class Core:
    """The random generator and the link counter of a sentence; writes noun phrases without modifiers."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        self.lexicon = lexicon
        self.rng = rng
        self.share: dict[str, float] = lexicon.rules["share"]
        self.links = 0
        self.time = "past"  # of the whole sentence: past or present

    def link(self) -> int:
        """A new link."""
        self.links += 1
        return self.links

    def chance(self, name: str) -> bool:
        """True with the probability that rules.yaml gives under `share`."""
        return self.rng.random() < self.share[name]

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

    def core(self, size: int, noun: Noun, slot: Slot, choice: str = "") -> NounPhrase:
        """A noun with determiner and adjectives, `size` English words; `choice`: kind of determiner, drawn if empty."""
        plural = noun.en_plural is not None and not slot.singular and self.chance("plural")
        if size == 1:
            if slot.definite or slot.case == "gen" or not (noun.mass or (noun.en_plural and not slot.singular)):
                raise NoFit
            plural = not noun.mass
            choice = "bare"
        gender = "p" if plural else noun.gender
        choice = choice or self._choice(plural, noun, slot, size)
        words, declension = self._determiner(choice, plural, gender, slot)
        left = size - 1 - len(words.en)
        if choice == "the" and plural and left and self.rng.random() < 0.12:
            words += self.same(*self.lexicon.numbers.draw(self.rng))
            left -= 1
        if left:
            words += self._adjectives(left, noun, morphology.ADJECTIVE_ENDING[declension][slot.case][gender])
        words += self.same(
            (noun.en_plural if plural else None) or noun.en, noun.de[slot.case + ("p" if plural else "s")]
        )
        if choice == "a":
            words.en[0] = (morphology.article_a(words.en[1][0]), words.en[0][1])
        return NounPhrase(
            words.en, words.de, "pl" if plural else "3s", "they" if plural else noun.pronoun, gender, noun,
            article=choice == "the",
            indefinite=choice in ("a", "bare", "number", "quantifier"),
            negated=choice in ("a", "bare") and bool(slot.negation),
        )  # fmt: skip

    def _determiner(self, choice: str, plural: bool, gender: str, slot: Slot) -> tuple[Sides, str]:
        """The determiner on both sides, perhaps empty, and the declension of the adjectives after it."""
        ein, der = morphology.EIN_ENDING[slot.case][gender], morphology.DER_ENDING[slot.case][gender]
        en, de, declension = "", "", "strong"
        if choice in ("bare", "a"):
            if choice == "a":
                en, de, declension = "a", "ein" + ein, "mixed"
            if slot.negation:
                words = self.same(en, "kein" + ein)
                return Sides(words.en, [(word, (*links, slot.negation)) for word, links in words.de]), "mixed"
        elif choice == "number":
            en, de = self.lexicon.numbers.draw(self.rng)
        elif choice == "the":
            en, de, declension = "the", morphology.DEFINITE[slot.case][gender], "weak"
        elif choice == "this":
            en, de, declension = "these" if plural else "this", "dies" + der, "weak"
        elif choice == "every":
            en, de, declension = "every", "jed" + der, "weak"
        elif choice == "name":
            name = self.lexicon.names["he" if self.rng.random() < 0.5 else "she"].draw(self.rng)
            en, de = name + "'s", name + "s"
        elif choice == "quantifier":
            en, stem, declension = self.lexicon.quantifiers.draw(self.rng)
            de = stem + der
        else:
            owner = slot.possessor
            assert owner is not None, choice
            en = morphology.ENGLISH_POSSESSIVE[owner.pronoun]
            de, declension = morphology.german_possessive(owner.pronoun, owner.gender) + ein, "mixed"
        return self.same(en, de), declension

    def _choice(self, plural: bool, noun: Noun, slot: Slot, size: int) -> str:
        """The kind of determiner, drawn by the shares of rules.yaml."""
        owner, indefinite = slot.possessor, self.share["indefinite"]
        if self.rng.random() < self.share["possessive"] and owner is not None:
            human = owner.noun is None or owner.noun.kind == "person"
            if noun.kind in (HUMAN_OWNED if human else ("food",)) or (human and noun.en in self.lexicon.relational):
                return "possessive"
        draw = self.rng.random()
        if slot.definite:
            return "the" if draw < 0.85 or noun.kind in ("sky", "span") or noun.en_plural is None else "this"
        if noun.mass:
            bare = size > 2 and draw < 0.45 and self.lexicon.adjectives_of(noun, True) is not None
            return "bare" if bare else "the"
        if noun.en_plural is None or noun.kind == "sky":
            return "the"
        if draw < indefinite:
            if not plural:
                return "a"
            if size > 2 and draw < 0.12:
                return "bare"
            if slot.case == "gen" or slot.negation:
                return "the"
            return "number" if draw < 0.24 else "quantifier"
        if draw < indefinite + 0.05:
            return "this"
        if draw < indefinite + 0.09 and noun.kind in self.lexicon.owned and slot.case != "gen":
            return "name"
        if draw < indefinite + 0.11 and not plural and not slot.negation and slot.case == "nom":
            return "every"
        return "the"

    def _adjectives(self, size: int, noun: Noun, ending: str) -> Sides:
        """ "old", "very old", "old and tired", "very old and tired", with the German ending."""
        pool = self.lexicon.adjectives_of(noun, True)
        if pool is None or size > 4:
            raise NoFit
        first = pool.draw(self.rng)
        degree = self.same(*self.lexicon.attributive_degree.draw(self.rng)) if size in (2, 4) else Sides()
        words = degree + self.same(first.en, first.stem + ending)
        if size < 3:
            return words
        for _ in range(6):
            second = pool.draw(self.rng)
            if second.en != first.en and (first.en, second.en) not in self.lexicon.opposites:
                return words + self.same("and", "und") + self.same(second.en, second.stem + ending)
        raise NoFit
