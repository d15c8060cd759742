"""Sentences made of clauses and connectors; and text and alignment made of their words.

Knows clauses by their number of words only. A long sentence has more clauses, not longer ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from seq2seq.grammar.core import COMMA, NoFit, Sides, Word, said
from seq2seq.grammar.entries import Phrase, Verb
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

    def sentence(self, length: int) -> AlignedPair:
        """A sentence of exactly `length` English words."""
        if length < 3:
            raise ValueError(f"a sentence has at least 3 words, not {length}")
        for _ in range(400):
            self.links = 0
            self.subject = self.object = self.last_verb = None
            self.time = self.choose("time")
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
        text = self.complex(first, "main")
        rest = length - first
        while rest:
            connector = self.lexicon.connectors.draw(self.rng)
            size = 1 if connector["en"] else 0
            part = self._share_of(rest - size)
            more = self._again(part, "inverted" if connector.get("invert") else "main")
            text += self.same(*connector["mark"])
            text += self.same(connector["en"], connector["de"]) + more if size else more
            rest -= size + part
        return text

    def _again(self, size: int, order: str) -> Sides:
        """A complex after the first, tried several times, so that a failure does not discard the whole sentence."""
        subject, thing = self.subject, self.object
        for _ in range(20):
            try:
                return self.complex(size, order)
            except NoFit:
                self.subject, self.object = subject, thing
        raise NoFit

    def _share_of(self, rest: int) -> int:
        """The number of words of the next complex, out of `rest`; what is left is enough for a clause, or nothing."""
        if rest <= 9 or (rest <= 16 and self.rng.random() < 0.6):
            return rest
        part = 6 + self.below(13)
        return rest if rest - part < 6 else part

    def complex(self, size: int, order: str) -> Sides:
        """A main clause and its dependent clauses. `order`: "main", or "inverted" after an adverb such as "deshalb"."""
        kind = self.choose("complex")
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

    def _subordinator(self, place: str) -> tuple[Sides, str | None]:
        """A conjunction and the tense of its clause (None: any)."""
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
        return self.fixed(chosen), tense

    def _after(self, size: int, rest: int, order: str) -> Sides:
        """ "The dog sleeps because it is tired": main clause first."""
        word, tense = self._subordinator("after")
        if rest - len(word.en) < 2:
            raise NoFit
        main = self.clause(size, order, tense=self.time if tense else None)
        once = word.de[0][0] == "als"  # "als" is about a single event, so no "every day"
        return self._comma(main, word + self.clause(rest - len(word.en), "final", tense=tense, bare=once))

    def _before(self, size: int, rest: int) -> Sides:
        """ "When the dog is tired, it sleeps": the subordinate clause first, and the German verb right after it."""
        word, tense = self._subordinator("before")
        if size - len(word.en) < 2:
            raise NoFit
        once = word.de[0][0] == "als"
        clause = self.clause(size - len(word.en), "final", tense=tense, bare=once)
        main = self.clause(rest, "inverted", tense=self.time if tense else None)
        return word + clause + self.same(",", ",") + main

    def _shared(self, size: int, rest: int, order: str) -> Sides:
        """ "The man opens the door and goes into the house": one subject, two verbs."""
        if rest < 3:
            raise NoFit
        first = self.clause(size, order, tense=self.time)
        assert self.subject is not None
        second = self.clause(rest - 1, "shared", subject=self.subject.silent(), tense=self.time)
        return first + self.same("and", "und") + second

    @staticmethod
    def _comma(main: Sides, clause: Sides) -> Sides:
        """A main clause and the one that follows it, which German sets between commas."""
        return main + Sides(clause.en, [COMMA, *clause.de, COMMA])

    def _matrix(self, size: int, frame: str, order: str) -> tuple[Verb, Sides]:
        """A clause without object, such as "Anna says", before a dependent clause: its verb and its words."""
        verb = self.lexicon.matrix[frame].draw(self.rng)
        plan = Plan(verb, self.time, self.chance("negation"), order)
        plan.sizes["subject"] = size - self._verb_size(plan)
        referent = self.referent()
        human = referent is not None and (referent.noun is None or referent.noun.kind == "person")
        if referent is not None and human and plan.sizes["subject"] == 1 and self.chance("pronoun"):
            plan.subject = self.pronoun_for(referent, "nom")
        elif plan.sizes["subject"] < 1:
            raise NoFit
        plan.noun = self.persons.draw(self.rng)
        return verb, self._write(plan, size)

    def _that(self, size: int, order: str) -> Sides:
        """ "Anna says that the dog sleeps", "Anna asks whether …"."""
        cut = 2 + self.below(4)
        verb, main = self._matrix(cut, "that", order)
        conjunction = self.same(verb.conjunction, "ob" if verb.conjunction == "whether" else "dass")
        return self._comma(main, conjunction + self.clause(size - cut - 1, "final"))

    def _infinitive(self, size: int, order: str) -> Sides:
        """ "Anna tries to open the door"."""
        cut = 2 + self.below(4)
        _, main = self._matrix(cut, "infinitive", order)
        assert self.subject is not None
        return self._comma(main, self.clause(size - cut, "zu", subject=self.subject.silent(), tense=self.time))

    def _purpose(self, size: int, order: str) -> Sides:
        """ "Anna goes home in order to sleep"."""
        cut = 3 + self.below(size - 7)
        main = self.clause(cut, order, tense=self.time)
        if self.subject is None or (self.subject.noun is not None and self.subject.noun.kind != "person"):
            raise NoFit
        clause = self.clause(size - cut - 2, "zu", subject=self.subject.silent(), tense=self.time)
        return self._comma(main, self.same("in order", "um") + clause)


def finish(sides: Sides, mark: str, link: int) -> AlignedPair:
    """Text and alignment of the words of a sentence, with a capital letter and the final mark."""
    en, de = _tidy(sides.en) + said(mark, link), _tidy(sides.de) + said(mark, link)
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
