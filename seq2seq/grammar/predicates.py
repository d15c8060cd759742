"""The verb of a clause with its tense, negation and particles, in both languages.

Knows the forms and their number of English words; knows no order of the clause.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.core import NounPhrase, Word
from seq2seq.grammar.entries import Phrase, Verb
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
    modal: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    when: Phrase | None = None
    comment: Phrase | None = None
    often: tuple[str, str] | None = None
    how: tuple[str, str] | None = None
    front: bool = False
    it: NounPhrase | None = None  # antecedent of the object, which is a pronoun
    home: bool = False


def joined(words: list[Word]) -> Word:
    """Several words written as one ("auf" + "steht"), with all their links."""
    return "".join(word for word, _ in words), tuple(sorted({link for _, links in words for link in links}))


class Predicates(Nominals):
    """Writes the words of the verb."""

    def _verb_size(self, plan: Plan) -> int:
        """The number of English words of the verb, particles and prepositions included."""
        verb, tense = plan.verb, plan.tense
        size = 1 + len(verb.up.split()) + len(verb.to.split()) + len(verb.predicate.split())
        be = verb.en["base"] == "be"
        if verb.prep:
            size += len(verb.prep[0].split())
        if verb.options.get("pp"):
            size += 1
        if plan.order == "zu":
            return size + 1
        if verb.frame == "passive" or tense in ("perfect", "pluperfect", "future"):
            size += 1 + plan.negated
        elif tense in morphology.MODALS:
            words = morphology.MODALS[tense][plan.modal][0]
            size += len(words)
            if plan.negated and words[0] != "can":
                size += 2 if words[-1] == "to" else 1
        elif not be:
            size += 2 if plan.negated else plan.order == "question"
        else:
            size += plan.negated
        return size

    def _verb(self, plan: Plan, person: str, negation: int) -> VerbWords:
        """The forms of the verb for this tense and person."""
        verb, tense, link = plan.verb, plan.tense, self.link()
        en, de = verb.en, verb.de
        mark = (link,)
        nots: list[Word] = [("not", (negation,))] if negation else []
        if plan.order == "zu":
            zu: list[Word] = [(word, mark) for word in de["zu"].split()]
            return VerbWords([("to", mark)], [(en["base"], mark)], ("", ()), zu, link)
        prefix: list[Word] = [(de["prefix"], mark)] if de["prefix"] else []
        third = person == "3s"
        key = tense + person
        if verb.frame == "passive":
            aux = self.link()
            return VerbWords(
                [(morphology.ENGLISH_BE[key], (aux,)), *nots], [(en["participle"], mark)],
                (morphology.WERDEN[key], (aux,)), [(de["participle"], mark)], link,
            )  # fmt: skip
        if tense in SIMPLE:
            if de["infinitive"] == "sein":
                finite = (morphology.SEIN[key], mark)
            elif de["infinitive"] == "werden":
                finite = (morphology.WERDEN[key], mark)
            else:
                finite = (de[key], mark)
            if en["base"] == "be":
                return VerbWords([(morphology.ENGLISH_BE[key], mark), *nots], [], finite, prefix, link)
            if negation or plan.order == "question":
                do = "did" if tense == "past" else "does" if third else "do"
                helper = self.link()  # "did" is linked to "stand", not to "auf"
                both: Word = (finite[0], (link, helper))
                return VerbWords([(do, (helper,)), *nots], [(en["base"], mark)], both, prefix, link)
            form = en["past"] if tense == "past" else en["third"] if third else en["base"]
            return VerbWords([], [(form, mark)], finite, prefix, link)
        aux = self.link()
        if tense in ("perfect", "pluperfect"):
            have = "had" if tense == "pluperfect" else "has" if third else "have"
            table = morphology.HABEN if verb.haben else morphology.SEIN
            finite = (table[("past" if tense == "pluperfect" else "present") + person], (aux,))
            participle = "been" if en["base"] == "be" else en["participle"]
            return VerbWords([(have, (aux,)), *nots], [(participle, mark)], finite, [(de["participle"], mark)], link)
        infinitive: list[Word] = [(de["infinitive"], mark)]
        if tense == "future":
            return VerbWords(
                [("will", (aux,)), *nots],
                [(en["base"], mark)],
                (morphology.WERDEN["present" + person], (aux,)),
                infinitive,
                link,
            )
        singular, plural, de_singular, de_plural, _ = morphology.MODALS[tense][plan.modal]
        finite = (de_plural if person == "pl" else de_singular, (aux,))
        modal = singular if third else plural
        words: list[Word]
        if negation and modal[0] == "can":
            words = [("cannot", (aux, negation))]
        elif modal[-1] == "to" and (negation or plan.order == "question"):
            do = "did" if tense == "modal_past" else "does" if third else "do"
            base = "have" if modal[0] == "had" else "want"
            words = [(do, (aux,)), *nots, (base, (aux,)), ("to", mark)]
        elif modal[-1] == "to":
            words = [(modal[0], (aux,)), ("to", mark)]
        else:
            words = [(modal[0], (aux,)), *nots]
        return VerbWords(words, [(en["base"], mark)], finite, infinitive, link)

    def _final(self, plan: Plan, words: VerbWords) -> list[Word]:
        """The end of a verb-final clause: "aufsteht", "aufgestanden ist", "aufstehen kann"."""
        if plan.tense in SIMPLE and plan.verb.frame != "passive":
            return [joined([*words.end, words.finite])]
        return [*words.end, words.finite]
