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


@dataclass(slots=True)
class NounPhrase:
    """Both sides of a noun phrase in one case, and the features that other words agree with."""

    en: list[Word]
    de: list[Word]
    person: str = "3s"
    pronoun: str = "it"
    gender: str = "n"
    noun: Noun | None = None
    article: bool = False  # begins with "the", so that German may contract it with a preposition
    indefinite: bool = False
    negated: bool = False  # contains "kein", so that the clause has no "nicht"
    tail: list[Word] = field(default_factory=list)  # German relative clause, not in `de`: it may follow the verb

    def whole(self) -> list[Word]:
        """The German side, followed by its relative clause."""
        return self.de + self.tail if self.tail else self.de


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


@dataclass(slots=True)
class Determiner:
    """Both sides of a determiner, possibly empty, and the declension of the adjectives after it."""

    en: list[Word]
    de: list[Word]
    declension: str
    negated: bool = False


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

    def weighted(self, options: list[tuple[str, float]]) -> str:
        """One of the names, drawn by weight."""
        mark = self.rng.random() * sum(weight for _, weight in options)
        for name, weight in options:
            mark -= weight
            if mark < 0:
                return name
        return options[-1][0]

    def fixed(self, phrase: Phrase) -> tuple[list[Word], list[Word]]:
        """Both sides of a fixed phrase, with new links."""
        numbered = [(self.link(), i, j) for i, j in phrase.links]
        en = [(word, tuple(link for link, i, _ in numbered if i == at)) for at, word in enumerate(phrase.en)]
        de = [(word, tuple(link for link, _, j in numbered if j == at)) for at, word in enumerate(phrase.de)]
        return en, de

    def same(self, en: str, de: str) -> tuple[list[Word], list[Word]]:
        """Both sides of an entry; every word of one is linked to every word of the other."""
        link = (self.link(),)
        return [(word, link) for word in en.split()], [(word, link) for word in de.split()]

    def core(self, size: int, noun: Noun, slot: Slot, choice: str = "") -> NounPhrase:
        """A noun with determiner and adjectives, `size` English words; `choice`: kind of determiner, drawn if empty."""
        case = slot.case
        plural = noun.en_plural is not None and not slot.singular and self.chance("plural")
        if size == 1:
            if slot.definite or case == "gen" or not (noun.mass or (noun.en_plural and not slot.singular)):
                raise NoFit
            plural = not noun.mass
            choice = "bare"
        gender = "p" if plural else noun.gender
        choice = choice or self._choice(plural, noun, slot, size)
        determiner = self._determiner(choice, plural, gender, slot)
        en, de = list(determiner.en), list(determiner.de)
        left = size - 1 - len(en)
        if choice == "the" and plural and left and self.rng.random() < 0.12:
            number_en, number_de = self.same(*self.lexicon.numbers.draw(self.rng))
            en, de, left = en + number_en, de + number_de, left - 1
        if left:
            ending = morphology.ADJECTIVE_ENDING[determiner.declension][case][gender]
            more_en, more_de = self._adjectives(left, noun, ending)
            en, de = en + more_en, de + more_de
        mark = (self.link(),)
        en.append(((noun.en_plural if plural else None) or noun.en, mark))
        de.append((noun.de[case + ("p" if plural else "s")], mark))
        if choice == "a":
            en[0] = (morphology.article_a(en[1][0]), en[0][1])
        return NounPhrase(
            en, de, "pl" if plural else "3s", "they" if plural else noun.pronoun, gender, noun,
            article=choice == "the",
            indefinite=choice in ("a", "bare", "number", "quantifier"),
            negated=determiner.negated,
        )  # fmt: skip

    def _determiner(self, choice: str, plural: bool, gender: str, slot: Slot) -> Determiner:
        """The determiner on both sides, and the declension of the adjectives after it."""
        case = slot.case
        ein, der = morphology.EIN_ENDING[case][gender], morphology.DER_ENDING[case][gender]
        if choice == "bare":
            if slot.negation:
                return Determiner([], [("kein" + ein, (slot.negation,))], "mixed", negated=True)
            return Determiner([], [], "strong")
        if choice == "number":
            return Determiner(*self.same(*self.lexicon.numbers.draw(self.rng)), "strong")
        mark = (self.link(),)
        if choice == "the":
            return Determiner([("the", mark)], [(morphology.DEFINITE[case][gender], mark)], "weak")
        if choice == "a":
            if slot.negation:
                return Determiner([("a", mark)], [("kein" + ein, (*mark, slot.negation))], "mixed", negated=True)
            return Determiner([("a", mark)], [("ein" + ein, mark)], "mixed")
        if choice == "this":
            return Determiner([("these" if plural else "this", mark)], [("dies" + der, mark)], "weak")
        if choice == "every":
            return Determiner([("every", mark)], [("jed" + der, mark)], "weak")
        if choice == "name":
            name = self.lexicon.names["he" if self.rng.random() < 0.5 else "she"].draw(self.rng)
            return Determiner([(name + "'s", mark)], [(name + "s", mark)], "strong")
        if choice == "quantifier":
            en, stem, declension = self.lexicon.quantifiers.draw(self.rng)
            return Determiner([(en, mark)], [(stem + der, mark)], declension)
        owner = slot.possessor
        assert owner is not None, choice
        stem = morphology.german_possessive(owner.pronoun, owner.gender)
        return Determiner([(morphology.ENGLISH_POSSESSIVE[owner.pronoun], mark)], [(stem + ein, mark)], "mixed")

    def _choice(self, plural: bool, noun: Noun, slot: Slot, size: int) -> str:
        """The kind of determiner, drawn by the shares of rules.yaml."""
        draw = self.rng.random()
        share = self.share
        owner = slot.possessor
        if owner is not None and draw < share["possessive"]:
            human = owner.noun is None or owner.noun.kind == "person"
            if noun.kind in (HUMAN_OWNED if human else ("food",)) or (human and noun.en in self.lexicon.relational):
                return "possessive"
        draw = self.rng.random()
        if slot.definite:
            return "the" if draw < 0.85 or noun.kind in ("sky", "span") or noun.en_plural is None else "this"
        if noun.mass:
            bare = size > 2 and draw < 0.45 and self.lexicon.adjectives_of(noun.kind, noun.en, True) is not None
            return "bare" if bare else "the"
        if noun.en_plural is None or noun.kind == "sky":
            return "the"
        if draw < share["indefinite"]:
            if not plural:
                return "a"
            if size > 2 and draw < 0.12:
                return "bare"
            if slot.case == "gen":
                return "the"
            if slot.negation:
                return "the"
            return "number" if draw < 0.24 else "quantifier"
        if draw < share["indefinite"] + 0.05:
            return "this"
        if draw < share["indefinite"] + 0.09 and noun.kind in self.lexicon.owned and slot.case != "gen":
            return "name"
        if draw < share["indefinite"] + 0.11 and not plural and not slot.negation and slot.case == "nom":
            return "every"
        return "the"

    def _adjectives(self, size: int, noun: Noun, ending: str) -> tuple[list[Word], list[Word]]:
        """ "old", "very old", "old and tired", "very old and tired", with the German ending."""
        pool = self.lexicon.adjectives_of(noun.kind, noun.en, True)
        if pool is None or size > 4:
            raise NoFit
        en: list[Word] = []
        de: list[Word] = []
        first = pool.draw(self.rng)
        if size in (2, 4):
            en, de = self.same(*self.lexicon.attributive_degree.draw(self.rng))
        first_en, first_de = self.same(first.en, first.stem + ending)
        en, de = en + first_en, de + first_de
        if size >= 3:
            for _ in range(6):
                second = pool.draw(self.rng)
                if second.en != first.en and (first.en, second.en) not in self.lexicon.opposites:
                    break
            else:
                raise NoFit
            and_en, and_de = self.same("and", "und")
            second_en, second_de = self.same(second.en, second.stem + ending)
            en, de = en + and_en + second_en, de + and_de + second_de
        return en, de
