"""The verb of a clause with its tense, negation and particles, in both languages.

Knows the forms and their number of English words; knows no order of the clause.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.core import NounPhrase, Word, said
from seq2seq.grammar.entries import Noun, Phrase, Verb
from seq2seq.grammar.nominal import Nominals

SIMPLE = ("present", "past")


@dataclass(slots=True)
class VerbWords:
    """The words of the verb: English auxiliaries and main verb, German finite verb and end of the clause."""

    aux: list[Word]
    main: list[Word]
    finite: Word
    end: list[Word]
    link: int


@dataclass(slots=True)
class Plan:
    """The decisions about a clause that precede its words: the verb, the number of words of each part."""

    verb: Verb
    tense: str
    negated: bool
    order: str
    subject: NounPhrase | None = None  # given or a pronoun; None: yet to be written, around `noun`
    noun: Noun | None = None  # of the subject
    depth: int = 0  # of relative clauses around this one
    bare: bool = False  # no time and no comment
    modal: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    when: Phrase | None = None
    comment: Phrase | None = None
    often: tuple[str, str] | None = None
    how: tuple[str, str] | None = None
    front: bool = False  # the time stands at the head of the clause
    it: NounPhrase | None = None  # antecedent of the object, which is a pronoun
    home: bool = False  # the goal is "home"


def joined(words: list[Word]) -> Word:
    """Several words written as one ("auf" + "steht"), with all their links."""
    return "".join(word for word, _ in words), tuple(sorted({link for _, links in words for link in links}))


class Predicates(Nominals):
    """Writes the words of the verb."""

    def _verb_size(self, plan: Plan) -> int:
        """The number of English words of the verb, particles and prepositions included."""
        verb, tense = plan.verb, plan.tense
        size = verb.size
        if plan.order == "zu":
            return size + 1
        if verb.frame == "passive" or tense in ("perfect", "pluperfect", "future"):
            return size + 1 + plan.negated
        if tense in morphology.MODALS:
            words = morphology.MODALS[tense][plan.modal][0].split()
            nots = 0 if words[0] == "can" else 2 if words[-1] == "to" else 1
            return size + len(words) + (nots if plan.negated else 0)
        if verb.en["base"] == "be":
            return size + plan.negated
        return size + (2 if plan.negated else int(plan.order == "question"))

    def _verb(self, plan: Plan, person: str, negation: int) -> VerbWords:
        """The forms of the verb for this tense and person; `negation` is the link of "not", or 0."""
        verb, tense, link = plan.verb, plan.tense, self.link()
        if tense in SIMPLE and verb.frame != "passive" and plan.order != "zu":
            return self._simple(plan, person, negation, link)
        base, infinitive = said(verb.en["base"], link), said(verb.de["infinitive"], link)
        if plan.order == "zu":
            return VerbWords(said("to", link), base, ("", ()), said(verb.de["zu"], link), link)
        nots = [("not", (negation,))] if negation else []
        aux = self.link()
        participles = said(verb.en["participle"], link), said(verb.de["participle"], link)
        if verb.frame == "passive":
            be, werden = morphology.ENGLISH_BE[tense + person], morphology.WERDEN[tense + person]
            return VerbWords([(be, (aux,)), *nots], participles[0], (werden, (aux,)), participles[1], link)
        if tense in ("perfect", "pluperfect"):
            have = "had" if tense == "pluperfect" else "has" if person == "3s" else "have"
            table = morphology.HABEN if verb.haben else morphology.SEIN
            finite = table[("past" if tense == "pluperfect" else "present") + person]
            main = said("been", link) if verb.en["base"] == "be" else participles[0]
            return VerbWords([(have, (aux,)), *nots], main, (finite, (aux,)), participles[1], link)
        if tense == "future":
            werden = morphology.WERDEN["present" + person]
            return VerbWords([("will", (aux,)), *nots], base, (werden, (aux,)), infinitive, link)
        third, other, singular, plural, _ = morphology.MODALS[tense][plan.modal]
        modal = self._modal(plan, third if person == "3s" else other, person, negation, aux, link)
        finite = plural if person == "pl" else singular
        return VerbWords(modal, base, (finite, (aux,)), infinitive, link)

    def _simple(self, plan: Plan, person: str, negation: int, link: int) -> VerbWords:
        """Present and past, with "do" where English asks for it."""
        en, de, key = plan.verb.en, plan.verb.de, plan.tense + person
        past, third = plan.tense == "past", person == "3s"
        nots = [("not", (negation,))] if negation else []
        finite, prefix = (de[key], (link,)), said(de["prefix"], link)
        if en["base"] == "be":
            return VerbWords([(morphology.ENGLISH_BE[key], (link,)), *nots], [], finite, prefix, link)
        if negation or plan.order == "question":
            do = "did" if past else "does" if third else "do"
            helper = self.link()  # "did" is linked to "stand", not to "auf"
            both = (de[key], (link, helper))
            return VerbWords([(do, (helper,)), *nots], said(en["base"], link), both, prefix, link)
        return VerbWords([], said(en["past" if past else "third" if third else "base"], link), finite, prefix, link)

    @staticmethod
    def _modal(plan: Plan, words: str, person: str, negation: int, aux: int, link: int) -> list[Word]:
        """The English modal, its "not" and its "to"."""
        nots = [("not", (negation,))] if negation else []
        word, *to = words.split()
        if negation and word == "can":
            return [("cannot", (aux, negation))]
        if to and (negation or plan.order == "question"):
            do = "did" if plan.tense == "modal_past" else "does" if person == "3s" else "do"
            return [(do, (aux,)), *nots, ("have" if word == "had" else "want", (aux,)), ("to", (link,))]
        return [(word, (aux,)), ("to", (link,))] if to else [(word, (aux,)), *nots]

    def _final(self, plan: Plan, words: VerbWords) -> list[Word]:
        """The end of a verb-final clause: "aufsteht", "aufgestanden ist", "aufstehen kann"."""
        if plan.tense in SIMPLE and plan.verb.frame != "passive":
            return [joined([*words.end, words.finite])]
        return [*words.end, words.finite]
