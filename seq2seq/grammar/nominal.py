"""Noun phrases with their modifiers, and prepositional phrases, in both languages.

Knows noun phrases of an exact number of English words; a subclass supplies relative clauses (`relative`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from seq2seq.grammar import morphology
from seq2seq.grammar.core import Core, NoFit, NounPhrase, Sides, Slot, Word, said
from seq2seq.grammar.entries import Noun, Pool

MAX_DEPTH = 2  # of clauses inside noun phrases: deeper centre embedding is hard to read
LOCATED = ("person", "animal", "thing", "machine", "building", "furniture", "plant")  # "the dog in the garden"


class Nominals(Core, ABC):
    """Writes noun phrases and prepositional phrases."""

    def noun_phrase(self, size: int, pool: Pool[Noun], slot: Slot, noun: Noun | None = None) -> NounPhrase:
        """A noun phrase of exactly `size` English words, its noun drawn from the pool unless given."""
        if noun is None:
            noun = pool.draw(self.rng)
        human = noun.kind == "person"
        if human and not slot.definite and (size == 1 or (size == 3 and self.rng.random() < 0.12 and slot.coordinate)):
            return self._names(size, slot, noun)
        several = slot.coordinate and not slot.negation and not slot.singular and size >= 5
        if several and (size > 14 or self.rng.random() < 0.1):
            return self._coordination(size, pool, slot, noun)
        if size > 6 or (size > 3 and self.rng.random() > (0.65, 0.3, 0.1)[size - 4]):
            options = self._modifiers_of(noun, size, slot)
            if options:
                return self._modified(size, noun, slot, options.draw(self.rng))
            if size > 6:
                raise NoFit
        return self.core(size, noun, slot)

    def _names(self, size: int, slot: Slot, noun: Noun) -> NounPhrase:
        """ "Anna", "Anna and Peter"; now and then "children"."""
        if size == 1 and not self.chance("name") and not slot.singular and not slot.negation:
            return self.core(1, noun, slot)
        sex, other = ("he", "she") if self.rng.random() < 0.5 else ("she", "he")
        name = self.lexicon.names[sex].draw(self.rng)
        words = self.same(name, name)
        if size == 1:
            return NounPhrase(words.en, words.de, "3s", sex, "m" if sex == "he" else "f")
        name = self.lexicon.names[other].draw(self.rng)
        words += self.same("and", "und") + self.same(name, name)
        return NounPhrase(words.en, words.de, "pl", "they", "p")

    def _coordination(self, size: int, pool: Pool[Noun], slot: Slot, noun: Noun) -> NounPhrase:
        """Two noun phrases with "and"; the first has no modifier that the second could be read as part of."""
        first_size = 2 + (size > 5 and self.rng.random() < 0.5)
        plain = Slot(slot.case, slot.depth, attach=False, coordinate=False, possessor=slot.possessor)
        first = self.core(first_size, noun, plain)
        other = pool.draw(self.rng)
        for _ in range(4):
            if other.en != noun.en:
                break
            other = pool.draw(self.rng)
        else:
            raise NoFit
        rest = Slot(slot.case, slot.depth, slot.relative, slot.attach, coordinate=False)
        words = first + self.same("and", "und") + self.noun_phrase(size - first_size - 1, pool, rest, other)
        indefinite = first.indefinite
        return NounPhrase(words.en, words.de, "pl", "they", "p", noun, indefinite=indefinite, tail=words.tail)

    def _modifiers_of(self, noun: Noun, size: int, slot: Slot) -> Pool[str] | None:
        """The modifiers that the noun can have with this many words, weighted; None if there are none."""
        lexicon = self.lexicon
        owned = noun.kind in lexicon.owned or noun.en in lexicon.relational
        possible = {
            "genitive": size >= 5 and owned,
            "place": size >= 5 and slot.attach and noun.kind in LOCATED,
            "relative": slot.relative and slot.depth < MAX_DEPTH and size <= 16,
        }
        options = {name: weight for name, weight in lexicon.rules["modifier"].items() if possible[name]}
        return Pool(options, options.values()) if options and noun.kind not in lexicon.bare else None

    def _modified(self, size: int, noun: Noun, slot: Slot, modifier: str) -> NounPhrase:
        least = 2 if modifier == "relative" else 3
        core_size = 2 + (size - 2 - least >= 1 and self.rng.random() < 0.4)
        inner = Slot("gen", slot.depth, slot.relative, slot.attach, definite=True, coordinate=False)
        phrase = self.core(core_size, noun, slot)
        size -= core_size
        if modifier == "genitive":
            if not phrase.article and phrase.person != "pl":
                raise NoFit
            return self._with(phrase, self.genitive(self.noun_phrase(size - 1, self.lexicon.pool("person"), inner)))
        if modifier == "place":
            return self._with(phrase, self.place(size, "at", inner, noun.kind))
        return self._with(phrase, self.relative(phrase, noun, size, slot.depth + 1))

    @staticmethod
    def _with(phrase: NounPhrase, modifier: Sides) -> NounPhrase:
        """Append a modifier to a noun phrase."""
        phrase.en += modifier.en
        phrase.de += modifier.de
        phrase.tail = modifier.tail
        return phrase

    def genitive(self, owner: NounPhrase) -> Sides:
        """ "of the teacher": "of" is linked to the word that shows the genitive."""
        link = self.link()
        (word, links), *rest = owner.de
        return Sides([("of", (link,)), *owner.en], [(word, (*links, link)), *rest], tail=owner.tail)

    def part(self, size: int, slot: Slot) -> NounPhrase:
        """ "the trunk of the old elephant": the possessor decides the German noun."""
        name = self.lexicon.part_pool.draw(self.rng)
        senses = self.lexicon.parts[name]
        owners, noun = senses[self.below(len(senses))]
        single = name not in self.lexicon.manifold
        definite = Slot(slot.case, slot.depth, definite=True, coordinate=False, singular=single)
        core_size = 2 + (size > 5 and self.rng.random() < 0.3 and self.lexicon.adjectives_of(noun, True) is not None)
        phrase = self.core(core_size, noun, definite, "the")
        inner = Slot("gen", slot.depth, slot.relative, slot.attach, definite=True, coordinate=False, singular=True)
        return self._with(phrase, self.genitive(self.noun_phrase(size - core_size - 1, owners, inner)))

    def governed(self, en: str, de: str, phrase: NounPhrase) -> Sides:
        """A preposition before a noun phrase, contracted in German where that is usual ("im", "zur")."""
        link = self.link()
        return Sides(said(en, link) + phrase.en, self.contracted(de, link, phrase), tail=phrase.tail)

    @staticmethod
    def contracted(de: str, link: int, phrase: NounPhrase) -> list[Word]:
        """The German side of `governed`, without the relative clause."""
        word, links = phrase.de[0]
        one = morphology.CONTRACTED.get((de, word)) if phrase.article else None
        if one:
            return [(one, (link, *links)), *phrase.de[1:]]
        return said(de, link) + phrase.de

    def place(self, size: int, way: str, slot: Slot, kind: str) -> Sides:
        """A place of exactly `size` words for a noun of this kind: "at" (rest), "to" (direction) or "from"."""
        surroundings = self.lexicon.words["surroundings"]
        pool = self.lexicon.pool(*surroundings.get(kind, surroundings["other"]))
        slot.coordinate = False
        if way == "at" and size >= 3 and self.rng.random() < 0.22:
            choices = self.lexicon.words["beside"]
            en, de, slot.case = choices[self.below(len(choices))]
            left = size - len(en.split())
            if left >= 2:
                slot.definite = slot.case == "gen"
                kinds = ("place", "water") if en == "near" else ("building", "plant", "vehicle")
                pool = self.lexicon.pool(*kinds)
                return self.governed(en, de, self.noun_phrase(left, pool, slot))
        noun = pool.draw(self.rng)
        en, de = (noun.at if way == "at" else noun.to if way == "to" else noun.source) or ["in", "in"]
        slot.case = "acc" if way == "to" and de != "zu" else "dat"
        slot.definite = False
        return self.governed(en, de, self.noun_phrase(size - 1, pool, slot, noun))

    @abstractmethod
    def relative(self, head: NounPhrase, noun: Noun, size: int, depth: int) -> Sides:
        """A relative clause of exactly `size` words after `head`; its German side, commas included, is the `tail`."""
