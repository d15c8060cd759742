"""Sentences made of clauses and connectors; and text and alignment made of their words.

Knows clauses by their number of words only. A long sentence has more clauses, not longer ones.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from seq2seq.grammar.clauses import Sides
from seq2seq.grammar.core import COMMA, NoFit, NounPhrase, Word
from seq2seq.grammar.entries import Phrase, Verb
from seq2seq.grammar.lexicon import Lexicon
from seq2seq.grammar.predicates import Plan
from seq2seq.grammar.relatives import Relatives

LONGEST_PLAIN = 13  # most words of a complex that is a single clause


@dataclass(frozen=True)
class AlignedPair:
    """A sentence in both languages and its gold word alignment.

    `alignment` holds (i, j): word i of `words(src)` is aligned to word j of `words(tgt)`; counted from 0, sorted.
    """

    src: str
    tgt: str
    alignment: tuple[tuple[int, int], ...]


_WORD = re.compile(r"[,.;:!?]|[^\s,.;:!?]+")


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text: "Hund, der" has three. Alignments index them."""
    return _WORD.findall(text)


class Sentences(Relatives):
    """Writes sentences."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        super().__init__(lexicon, rng)
        self.complexes = [(name, float(weight)) for name, weight in lexicon.rules["complex"].items()]
        self.times_drawn = [(name, float(weight)) for name, weight in lexicon.rules["time"].items()]

    def sentence(self, length: int) -> AlignedPair:
        """A sentence of exactly `length` English words."""
        if length < 3:
            raise ValueError(f"a sentence has at least 3 words, not {length}")
        for _ in range(400):
            self.links = 0
            self.subject = self.object = self.last_verb = None
            self.time = self.weighted(self.times_drawn)
            try:
                if length <= 12 and self.chance("question"):
                    return finish(self.clause(length, "question", pronoun=False), "?", self.link())
                return finish(self._text(length), ".", self.link())
            except NoFit:
                continue
        raise RuntimeError(f"the grammar found no sentence of {length} words")

    def _text(self, length: int) -> Sides:
        """Complexes (a main clause with its dependents), joined by connectors."""
        first = self._share_of(length)
        en, de = self.complex(first, "main")
        rest = length - first
        while rest:
            connector = self.lexicon.connectors.draw(self.rng)
            size = 1 if connector["en"] else 0
            part = self._share_of(rest - size)
            more_en, more_de = self._again(part, "inverted" if connector.get("invert") else "main")
            word_en, word_de = self.same(connector["en"], connector["de"]) if size else ([], [])
            mark_en, mark_de = connector["mark"]
            link = (self.link(),)
            if mark_en:
                en.append((mark_en, link if mark_de else ()))
            if mark_de:
                de.append((mark_de, link))
            en, de = en + word_en + more_en, de + word_de + more_de
            rest -= size + part
        return en, de

    def _again(self, size: int, order: str) -> Sides:
        """A complex after the first, tried several times, so that a failure does not discard the whole sentence."""
        subject, thing, links = self.subject, self.object, self.links
        for _ in range(20):
            try:
                return self.complex(size, order)
            except NoFit:
                self.subject, self.object, self.links = subject, thing, links
        raise NoFit

    def _share_of(self, rest: int) -> int:
        """The number of words of the next complex, out of `rest`; what is left is enough for a clause, or nothing."""
        if rest <= 9 or (rest <= 16 and self.rng.random() < 0.6):
            return rest
        part = 6 + self.below(13)
        return rest if rest - part < 6 else part

    def complex(self, size: int, order: str) -> Sides:
        """A main clause and its dependent clauses. `order`: "main", or "inverted" after an adverb such as "deshalb"."""
        kind = self.weighted(self.complexes)
        if size < 7 or (kind == "plain" and size <= LONGEST_PLAIN):
            return self.clause(size, order)
        if kind == "plain":
            kind = "after"
        cut = 3 + self.below(min(size - 6, 9)) if size > 6 else 3
        if kind == "before" and order == "main":
            return self._before(cut + 1, size - cut - 1)
        if kind == "that":
            return self._that(size, order)
        if kind == "shared":
            return self._shared(cut, size - cut, order)
        if kind == "infinitive":
            return self._infinitive(size, order)
        if kind == "purpose" and size >= 9:
            return self._purpose(size, order)
        return self._after(cut, size - cut, order)

    # ------------------------------------------------------------------------------------------- kinds of complexes

    def _subordinator(self, place: str) -> tuple[Sides, str | None, int]:
        """A conjunction, the tense of its clause (None: any), and its number of English words."""
        choices = [each for each in self.lexicon.subordinators if place in each.options["place"]]
        while True:
            chosen = choices[min(self.below(len(choices)), self.below(len(choices)))]
            if chosen.options.get("when") in (None, self.time):
                break
        tense = None
        if chosen.options.get("tense") == "perfect":
            tense = "perfect" if self.time == "present" else "pluperfect"
        elif chosen.en[0] in ("when", "if", "before", "until", "while") or len(chosen.en) > 2:
            tense = self.time
        if self.time == "past" and "past" in chosen.options:
            chosen = Phrase(chosen.en, (chosen.options["past"],), chosen.links, None, chosen.options)
        return self.fixed(chosen), tense, len(chosen.en)

    def _after(self, size: int, rest: int, order: str) -> Sides:
        """ "The dog sleeps because it is tired": main clause first."""
        (en_word, de_word), tense, count = self._subordinator("after")
        if rest - count < 2:
            raise NoFit
        en, de = self.clause(size, order, tense=self.time if tense else None)
        more_en, more_de = self.clause(rest - count, "final", tense=tense, bare=de_word[0][0] == "als")
        return en + en_word + more_en, [*de, COMMA, *de_word, *more_de, COMMA]

    def _before(self, size: int, rest: int) -> Sides:
        """ "When the dog is tired, it sleeps": the subordinate clause first, and the German verb right after it."""
        (en_word, de_word), tense, count = self._subordinator("before")
        if size - count < 2:
            raise NoFit
        en, de = self.clause(
            size - count, "final", tense=tense, bare=de_word[0][0] == "als"
        )  # "als" is about a single event, so no "every day"
        more_en, more_de = self.clause(rest, "inverted", tense=self.time if tense else None)
        comma = (self.link(),)
        return [*en_word, *en, (",", comma), *more_en], [*de_word, *de, (",", comma), *more_de]

    def _shared(self, size: int, rest: int, order: str) -> Sides:
        """ "The man opens the door and goes into the house": one subject, two verbs."""
        if rest < 3:
            raise NoFit
        en, de = self.clause(size, order, tense=self.time)
        assert self.subject is not None
        en_and, de_and = self.same("and", "und")
        more_en, more_de = self.clause(rest - 1, "shared", subject=self._silent(self.subject), tense=self.time)
        return en + en_and + more_en, de + de_and + more_de

    def _matrix(self, size: int, frame: str, order: str) -> tuple[Verb, Sides, NounPhrase]:
        """A clause without object, such as "Anna says", before a dependent clause: its verb, its words, its subject."""
        verb = self.lexicon.matrix[frame].draw(self.rng)
        plan = Plan(verb, self.time, self.chance("negation"), order)
        rest = size - self._verb_size(plan)
        subject = None
        referent = self.referent()
        if (
            rest == 1
            and referent is not None
            and (referent.noun is None or referent.noun.kind == "person")
            and self.chance("pronoun")
        ):
            subject = self.pronoun_for(referent, "nom")
        elif rest < 1:
            raise NoFit
        else:
            plan.sizes["subject"] = rest
        sides = self._write(plan, size, subject, self.persons.draw(self.rng), 0)
        assert self.subject is not None
        return verb, sides, self._silent(self.subject)

    @staticmethod
    def _silent(subject: NounPhrase) -> NounPhrase:
        """The same subject without words, for a second verb."""
        return NounPhrase([], [], subject.person, subject.pronoun, subject.gender, subject.noun)

    def _that(self, size: int, order: str) -> Sides:
        """ "Anna says that the dog sleeps", "Anna asks whether …"."""
        cut = 2 + self.below(4)
        verb, (en, de), _ = self._matrix(cut, "that", order)
        conjunction = self.same(verb.conjunction, "ob" if verb.conjunction == "whether" else "dass")
        more_en, more_de = self.clause(size - cut - 1, "final")
        return en + conjunction[0] + more_en, [*de, COMMA, *conjunction[1], *more_de, COMMA]

    def _infinitive(self, size: int, order: str) -> Sides:
        """ "Anna tries to open the door"."""
        cut = 2 + self.below(4)
        _, (en, de), silent = self._matrix(cut, "infinitive", order)
        more_en, more_de = self.clause(size - cut, "zu", subject=silent, tense=self.time)
        return en + more_en, [*de, COMMA, *more_de, COMMA]

    def _purpose(self, size: int, order: str) -> Sides:
        """ "Anna goes home in order to sleep"."""
        cut = 3 + self.below(size - 7)
        en, de = self.clause(cut, order, tense=self.time)
        if self.subject is None or (self.subject.noun is not None and self.subject.noun.kind != "person"):
            raise NoFit
        in_order, um = self.same("in order", "um")
        more_en, more_de = self.clause(size - cut - 2, "zu", subject=self._silent(self.subject), tense=self.time)
        return en + in_order + more_en, [*de, COMMA, *um, *more_de, COMMA]


def finish(sides: Sides, mark: str, link: int) -> AlignedPair:
    """Text and alignment of the words of a sentence, with a capital letter and the final mark."""
    en, de = _tidy(sides[0]), _tidy(sides[1])
    en.append((mark, (link,)))
    de.append((mark, (link,)))
    where: dict[int, list[int]] = {}
    for i, (_, links) in enumerate(en):
        for each in links:
            where.setdefault(each, []).append(i)
    alignment = sorted({(i, j) for j, (_, links) in enumerate(de) for each in links for i in where.get(each, ())})
    return AlignedPair(_text_of(en), _text_of(de), tuple(alignment))


def _tidy(words: list[Word]) -> list[Word]:
    """Drop commas at the end and before another mark, which takes over their links."""
    tidied: list[Word] = []
    for token in words:
        if token[0] in (",", ";") and tidied and tidied[-1][0] == ",":
            tidied[-1] = (token[0], tidied[-1][1] + token[1])
        else:
            tidied.append(token)
    while tidied[-1][0] == ",":
        tidied.pop()
    return tidied


def _text_of(words: list[Word]) -> str:
    text = "".join(word if word in (",", ";", ".", "?") else f" {word}" for word, _ in words).lstrip()
    return text[0].upper() + text[1:]
