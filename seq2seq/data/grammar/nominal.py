"""Noun phrases and the prepositional phrases around them, in both languages at once.

Knows noun phrases of an exact number of English words; knows clauses only as `relative`, which a subclass supplies.
A token is a word and the links it carries: two words are aligned if they share a link. A German word may carry several
("im" those of "in" and "the").
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from seq2seq.data.grammar import morphology
from seq2seq.data.grammar.lexicon import Lexicon, Noun, Phrase, Pool

Token = tuple[str, tuple[int, ...]]
Prepositional = tuple[list[Token], list[Token], list[Token]]  # English, German, German relative clause
COMMA: Token = (",", ())
HUMAN_OWNED = ("animal", "thing", "clothing", "vehicle", "building", "food", "text", "instrument")
MAX_DEPTH = 2  # of clauses inside noun phrases: deeper centre embedding nobody reads


class NoFit(Exception):
    """No expansion of exactly this many words was found; whoever chose the number tries another way."""


@dataclass(slots=True)
class NounPhrase:
    """Both sides of a noun phrase in one case, and what others need to agree with it."""

    en: list[Token]
    de: list[Token]
    person: str = "3s"
    pronoun: str = "it"
    gender: str = "n"
    noun: Noun | None = None
    article: bool = False  # begins with "the": can be contracted with a preposition
    indefinite: bool = False
    negated: bool = False  # holds "kein": the clause needs no "nicht"
    tail: list[Token] = field(
        default_factory=list
    )  # a German relative clause, not yet in `de`: it may go after the verb

    def whole(self) -> list[Token]:
        """The German side with its relative clause in place."""
        return self.de + self.tail if self.tail else self.de


@dataclass(slots=True)
class Slot:
    """What the place of a noun phrase asks of it."""

    case: str
    depth: int = 0
    relative: bool = False  # may end in a relative clause: only where it is clear what the words after it belong to
    attach: bool = True  # may hold "in the garden"
    definite: bool = False
    singular: bool = False
    coordinate: bool = True
    possessor: NounPhrase | None = None
    negation: int = 0  # the link of "not", for "kein"


class Nominals:
    """Writes noun phrases. Holds the random generator and the counter of links of the sentence being written."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        self.lexicon = lexicon
        self.rng = rng
        self.share: dict[str, float] = lexicon.rules["share"]
        self.links = 0
        modifiers = dict(lexicon.rules["modifier"])
        self.modifiers = [(name, float(modifiers[name])) for name in ("genitive", "place", "relative")]
        self.time = "past"

    # ------------------------------------------------------------------------------------------------- odds and ends

    def link(self) -> int:
        """A link nobody has yet."""
        self.links += 1
        return self.links

    def chance(self, name: str) -> bool:
        """True with the probability that rules.yaml gives under `share`."""
        return self.rng.random() < self.share[name]

    def below(self, n: int) -> int:
        """An integer in [0, n), made from random(): the same on all versions of Python."""
        return int(self.rng.random() * n)

    def weighted(self, options: list[tuple[str, float]]) -> str:
        """One name by weight."""
        mark = self.rng.random() * sum(weight for _, weight in options)
        for name, weight in options:
            mark -= weight
            if mark < 0:
                return name
        return options[-1][0]

    def fixed(self, phrase: Phrase) -> tuple[list[Token], list[Token]]:
        """A fixed phrase with fresh links."""
        start = self.links + 1
        self.links += len(phrase.links)
        en = [
            (word, tuple(start + n for n, (i, _) in enumerate(phrase.links) if i == at))
            for at, word in enumerate(phrase.en)
        ]
        de = [
            (word, tuple(start + n for n, (_, j) in enumerate(phrase.links) if j == at))
            for at, word in enumerate(phrase.de)
        ]
        return en, de

    def same(self, en: str, de: str) -> tuple[list[Token], list[Token]]:
        """One word on either side, or several, all linked with all."""
        link = (self.link(),)
        return [(word, link) for word in en.split()], [(word, link) for word in de.split()]

    # ------------------------------------------------------------------------------------------------- noun phrases

    def noun_phrase(self, size: int, pool: Pool[Noun], slot: Slot, noun: Noun | None = None) -> NounPhrase:
        """A noun phrase of exactly `size` English words, its noun from the pool unless given."""
        if noun is None:
            noun = pool.draw(self.rng)
        human = noun.kind == "person"
        if human and not slot.definite and (size == 1 or (size == 3 and self.rng.random() < 0.12 and slot.coordinate)):
            return self._names(size, slot, noun)
        if (
            slot.coordinate
            and not slot.negation
            and not slot.singular
            and size >= 5
            and (size > 14 or self.rng.random() < 0.1)
        ):
            return self._coordination(size, pool, slot, noun)
        if size > 6 or (size > 3 and self.rng.random() > (0.65, 0.3, 0.1)[size - 4]):
            options = self._modifiers_of(noun, size, slot)
            if options:
                return self._modified(size, noun, slot, self.weighted(options))
            if size > 6:
                raise NoFit
        return self._core(size, noun, slot)

    def _names(self, size: int, slot: Slot, noun: Noun) -> NounPhrase:
        """ "Anna", "Anna and Peter"; now and then "children"."""
        if size == 1 and not self.chance("name") and not slot.singular and not slot.negation:
            return self._core(1, noun, slot)
        sex = "he" if self.rng.random() < 0.5 else "she"
        name = self.lexicon.names[sex].draw(self.rng)
        en, de = self.same(name, name)
        if size == 1:
            return NounPhrase(en, de, "3s", sex, "m" if sex == "he" else "f")
        other = self.lexicon.names["she" if sex == "he" else "he"].draw(self.rng)
        and_en, and_de = self.same("and", "und")
        other_en, other_de = self.same(other, other)
        return NounPhrase(en + and_en + other_en, de + and_de + other_de, "pl", "they", "p")

    def _coordination(self, size: int, pool: Pool[Noun], slot: Slot, noun: Noun) -> NounPhrase:
        """Two noun phrases; the first is a plain one, so that nobody can read the second into it."""
        first_size = 2 + (size > 5 and self.rng.random() < 0.5)
        plain = Slot(slot.case, slot.depth, attach=False, coordinate=False, possessor=slot.possessor)
        first = self._core(first_size, noun, plain)
        other = pool.draw(self.rng)
        for _ in range(4):
            if other.en != noun.en:
                break
            other = pool.draw(self.rng)
        else:
            raise NoFit
        rest = Slot(slot.case, slot.depth, slot.relative, slot.attach, coordinate=False)
        second = self.noun_phrase(size - first_size - 1, pool, rest, other)
        and_en, and_de = self.same("and", "und")
        return NounPhrase(
            first.en + and_en + second.en, first.de + and_de + second.de, "pl", "they", "p", noun, indefinite=first.indefinite, tail=second.tail,
        )  # fmt: skip

    def _modifiers_of(self, noun: Noun, size: int, slot: Slot) -> list[tuple[str, float]]:
        lexicon = self.lexicon
        if noun.kind in lexicon.bare:
            return []
        options = []
        for name, weight in self.modifiers:
            if name == "genitive":
                fits = size >= 5 and (noun.kind in lexicon.owned or noun.en in lexicon.relational)
            elif name == "place":
                fits = (
                    size >= 5
                    and slot.attach
                    and noun.kind in ("person", "animal", "thing", "machine", "building", "furniture", "plant")
                )
            else:
                fits = slot.relative and slot.depth < MAX_DEPTH and size - 2 <= 14
            if fits:
                options.append((name, weight))
        return options

    def _modified(self, size: int, noun: Noun, slot: Slot, modifier: str) -> NounPhrase:
        least = 2 if modifier == "relative" else 3
        core_size = 2 + (size - 2 - least >= 1 and self.rng.random() < 0.4)
        inner = Slot("gen", slot.depth, slot.relative, slot.attach, definite=True, coordinate=False)
        phrase = self._core(core_size, noun, slot)
        size -= core_size
        if modifier == "genitive":
            if phrase.article or phrase.person == "pl":
                owner = self.noun_phrase(size - 1, self.lexicon.pool("person"), inner)
            else:
                raise NoFit
            phrase.tail = owner.tail
            en, de = self.genitive(owner)
        elif modifier == "place":
            inner.case, inner.definite = "dat", False
            en, de, phrase.tail = self.place(size, "at", inner, noun.kind)
        else:
            en, phrase.tail = self.relative(phrase, noun, size, slot.depth + 1)
            de = []
        phrase.en += en
        phrase.de += de
        return phrase

    def genitive(self, owner: NounPhrase) -> tuple[list[Token], list[Token]]:
        """ "of the teacher": "of" is linked to the word that shows the genitive."""
        link = self.link()
        (word, links), *rest = owner.de
        return [("of", (link,)), *owner.en], [(word, (*links, link)), *rest]

    def part(self, size: int, slot: Slot) -> NounPhrase:
        """ "the trunk of the old elephant": the possessor decides the German noun."""
        name = self.lexicon.part_pool.draw(self.rng)
        senses = self.lexicon.parts[name]
        owners, noun = senses[self.below(len(senses))]
        definite = Slot(slot.case, slot.depth, definite=True, coordinate=False, singular=noun.en_plural is None)
        core_size = 2 + (
            size > 5 and self.rng.random() < 0.3 and self.lexicon.adjectives_of("part", noun.en, True) is not None
        )
        phrase = self._core(core_size, noun, definite, article=True)
        inner = Slot("gen", slot.depth, slot.relative, slot.attach, definite=True, coordinate=False, singular=True)
        owner = self.noun_phrase(size - core_size - 1, owners, inner)
        en, de = self.genitive(owner)
        phrase.en += en
        phrase.de += de
        phrase.tail = owner.tail
        return phrase

    def _core(self, size: int, noun: Noun, slot: Slot, article: bool = False) -> NounPhrase:
        """Determiner, adjectives and noun."""
        rng, case = self.rng, slot.case
        plural = noun.en_plural is not None and not slot.singular and (rng.random() < self.share["plural"])
        if size == 1:
            if (
                slot.definite
                or case == "gen"
                or (noun.en_plural is None and not noun.mass)
                or (slot.singular and not noun.mass)
            ):
                raise NoFit
            plural = not noun.mass
        gender = "p" if plural else noun.gender
        en_noun = noun.en_plural if plural else noun.en
        link = self.link()
        en_det: list[Token] = []
        de_det: list[Token] = []
        declension = "strong"
        is_article = indefinite = negated = False
        adjective_words = size - 2
        if size == 1:
            indefinite = True
        elif article:
            is_article = True
        else:
            choice = self._determiner(plural, noun, slot, size)
            if choice == "bare":
                indefinite, adjective_words = True, size - 1
                if self.lexicon.adjectives_of(noun.kind, noun.en, True) is None:
                    choice, indefinite, adjective_words = "the", False, size - 2
            is_article = choice == "the"
            if choice == "a":
                indefinite = True
                mark: tuple[int, ...] = (self.link(),)
                en_det = [("a", mark)]
                if slot.negation:
                    negated, stem, mark = True, "kein", (*mark, slot.negation)
                else:
                    stem = "ein"
                de_det = [(stem + morphology.EIN_ENDING[case][gender], mark)]
                declension = "mixed"
            elif choice == "this":
                mark = (self.link(),)
                en_det = [("these" if plural else "this", mark)]
                de_det = [("dies" + morphology.DER_ENDING[case][gender], mark)]
                declension = "weak"
            elif choice == "every":
                mark = (self.link(),)
                en_det = [("every", mark)]
                de_det = [("jed" + morphology.DER_ENDING[case][gender], mark)]
                declension = "weak"
            elif choice == "possessive":
                owner = slot.possessor
                if owner is None:
                    raise NoFit
                mark = (self.link(),)
                en_det = [(morphology.ENGLISH_POSSESSIVE[owner.pronoun], mark)]
                stem = morphology.german_possessive(owner.pronoun, owner.gender)
                de_det = [(stem + morphology.EIN_ENDING[case][gender], mark)]
                declension = "mixed"
            elif choice == "name":
                name = self.lexicon.names["he" if rng.random() < 0.5 else "she"].draw(rng)
                mark = (self.link(),)
                en_det, de_det = [(name + "'s", mark)], [(name + "s", mark)]
            elif choice == "number":
                en_det, de_det = self.same(*self.lexicon.numbers.draw(rng))
                indefinite = True
            elif choice == "quantifier":
                en_word, stem, declension = self.lexicon.quantifiers.draw(rng)
                mark = (self.link(),)
                en_det, de_det = [(en_word, mark)], [(stem + morphology.DER_ENDING[case]["p"], mark)]
                indefinite = True
        if is_article:
            mark = (self.link(),)
            en_det, de_det = [("the", mark)], [(morphology.DEFINITE[case][gender], mark)]
            declension = "weak"
            if plural and adjective_words and rng.random() < 0.12:
                en_number, de_number = self.same(*self.lexicon.numbers.draw(rng))
                en_det, de_det = en_det + en_number, de_det + de_number
                adjective_words -= 1
        elif indefinite and not en_det and slot.negation:
            de_det, declension, negated = (
                [("kein" + morphology.EIN_ENDING[case][gender], (slot.negation,))],
                "mixed",
                True,
            )
        if adjective_words:
            en_adjectives, de_adjectives = self._adjectives(
                adjective_words, noun, morphology.ADJECTIVE_ENDING[declension][case][gender]
            )
            if en_det and en_det[0][0] == "a":
                en_det = [(morphology.article_a(en_adjectives[0][0]), en_det[0][1])]
            en_det, de_det = en_det + en_adjectives, de_det + de_adjectives
        elif en_det and en_det[0][0] == "a":
            en_det = [(morphology.article_a(noun.en), en_det[0][1])]
        en_det.append((en_noun or noun.en, (link,)))
        de_det.append((noun.de[case + ("p" if plural else "s")], (link,)))
        return NounPhrase(
            en_det,
            de_det,
            "pl" if plural else "3s",
            "they" if plural else noun.pronoun,
            gender,
            noun,
            is_article,
            indefinite,
            negated,
        )

    def _determiner(self, plural: bool, noun: Noun, slot: Slot, size: int) -> str:
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
            return "bare" if size > 1 and draw < 0.45 and size != 2 else "the"
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

    def _adjectives(self, size: int, noun: Noun, ending: str) -> tuple[list[Token], list[Token]]:
        """ "old", "very old", "old and tired", "very old and tired", with their German endings."""
        pool = self.lexicon.adjectives_of(noun.kind, noun.en, True)
        if pool is None or size > 4:
            raise NoFit
        en: list[Token] = []
        de: list[Token] = []
        first = pool.draw(self.rng)
        if size in (2, 4):
            en, de = self.same(*self.lexicon.attributive_degree.draw(self.rng))
        first_en, first_de = self.same(first.en, first.stem + ending)
        en, de = en + first_en, de + first_de
        if size >= 3:
            for _ in range(6):
                second = pool.draw(self.rng)
                if second.en != first.en:
                    break
            else:
                raise NoFit
            and_en, and_de = self.same("and", "und")
            second_en, second_de = self.same(second.en, second.stem + ending)
            en, de = en + and_en + second_en, de + and_de + second_de
        return en, de

    # ------------------------------------------------------------------------------------------ prepositional phrases

    def governed(self, en: str, de: str, phrase: NounPhrase) -> Prepositional:
        """A preposition before a noun phrase, contracted in German where that is usual ("im", "zur")."""
        link = self.link()
        words: list[Token] = [(word, (link,)) for word in en.split()]
        return words + phrase.en, self.contracted(de, link, phrase), phrase.tail

    @staticmethod
    def contracted(de: str, link: int, phrase: NounPhrase) -> list[Token]:
        """The German side of the same, without the relative clause."""
        word, links = phrase.de[0]
        one = morphology.CONTRACTED.get((de, word)) if phrase.article else None
        if one:
            return [(one, (link, *links)), *phrase.de[1:]]
        return [*[(each, (link,)) for each in de.split()], *phrase.de]

    def place(self, size: int, way: str, slot: Slot, kind: str) -> Prepositional:
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
                pool = (
                    self.lexicon.pool("place", "water")
                    if en == "near"
                    else self.lexicon.pool("building", "plant", "vehicle")
                )
                return self.governed(en, de, self.noun_phrase(left, pool, slot))
        noun = pool.draw(self.rng)
        en, de = (noun.at if way == "at" else noun.to if way == "to" else noun.source) or ("in", "in")
        slot.case = "acc" if way == "to" and de != "zu" else "dat"
        slot.definite = False
        return self.governed(en, de, self.noun_phrase(size - 1, pool, slot, noun))

    def relative(self, head: NounPhrase, noun: Noun, size: int, depth: int) -> tuple[list[Token], list[Token]]:
        """A relative clause of exactly `size` words after `head`, its German commas included."""
        raise NotImplementedError
