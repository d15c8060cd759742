"""The verb of a clause with its tense, negation and particles, in both languages.

Knows the forms and their number of English words; knows no order of the clause.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.discourse import NOTHING, Discourse, NoFit, NounPhrase, Sides, Word, said
from seq2seq.grammar.entries import Noun, Verb

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
    closed: bool = False  # does not end in a relative clause
    specific: bool = False  # its noun phrases are neither indefinite nor quantified, as "not" and "never" ask
    modal: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    when: Sides = NOTHING
    often: Sides = NOTHING
    how: Sides = NOTHING
    front: Sides = NOTHING  # a comment, or the time, at the head of the clause
    it: NounPhrase | None = None  # antecedent of the object, which is a pronoun
    home: bool = False  # the goal is "home"
    late: bool = False  # a time that follows definite objects: "schließt die Tür wieder"
    habitual: bool = False  # says how often, or "every day"

    @property
    def simple(self) -> bool:
        """Whether the German verb is a single finite form."""
        return self.tense in SIMPLE and self.verb.frame != "passive" and self.order != "zu"


def verb_size(d: Discourse, plan: Plan) -> int:
    """The number of English words of the verb, particles and prepositions included."""
    verb, tense = plan.verb, plan.tense
    size = verb.size
    if plan.order == "zu":
        return size + 1
    if verb.frame == "passive" or tense in ("perfect", "pluperfect", "future"):
        return size + 1 + plan.negated
    if tense in morphology.MODALS:
        words = d.lexicon.modals[tense][plan.modal].third.split()
        nots = 0 if words[0] == "can" else 1 if words[0] == "was" else 2 if words[-1] == "to" else 1
        return size + len(words) + (nots if plan.negated else 0)
    if verb.en["base"] == "be":
        return size + plan.negated
    return size + (2 if plan.negated else int(plan.order == "question"))


def verb_words(d: Discourse, plan: Plan, person: str, negation: int) -> VerbWords:
    """The forms of the verb for this tense and person; `negation` is the link of "not", or 0."""
    verb, tense, link = plan.verb, plan.tense, d.link()
    nots = said("not", negation) if negation else []
    if plan.simple:
        return _simple(d, plan, person, nots, link)
    base = said(verb.en["base"], link)
    if plan.order == "zu":
        to = d.link() if d.lexicon.splits_zu else link
        *zu, infinitive = verb.de["zu"].split()
        end = [*said(" ".join(zu), to), (infinitive, (link,) if zu or to == link else (link, to))]
        return VerbWords(said("to", to), base, ("", ()), end, link)
    aux = d.link()
    if verb.frame != "passive" and tense in ("future", *morphology.MODALS):
        helpers, finite = [("will", (aux,)), *nots], morphology.WERDEN["present" + person]
        if tense != "future":
            modal = d.lexicon.modals[tense][plan.modal]
            finite = modal.plural if person == "pl" else modal.singular
            helpers = _modal(plan, modal.third if person == "3s" else modal.other, person, nots, aux, link)
        return VerbWords(helpers, base, (finite, (aux,)), said(verb.de["infinitive"], link), link)
    if verb.frame == "passive":
        helper, finite = morphology.ENGLISH_BE[tense + person], morphology.WERDEN[tense + person]
    else:
        helper = "had" if tense == "pluperfect" else "has" if person == "3s" else "have"
        table = morphology.HABEN if verb.haben else morphology.SEIN
        finite = table[("past" if tense == "pluperfect" else "present") + person]
    participles = said(verb.en["participle"], link), said(verb.de["participle"], link)
    return VerbWords([(helper, (aux,)), *nots], participles[0], (finite, (aux,)), participles[1], link)


def _simple(d: Discourse, plan: Plan, person: str, nots: list[Word], link: int) -> VerbWords:
    """Present and past, with "do" where English asks for it. Raises NoFit if the tense does not show in English."""
    en, de, key = plan.verb.en, plan.verb.de, plan.tense + person
    past, third = plan.tense == "past", person == "3s"
    finite, prefix = (de[key], (link,)), said(de["prefix"], link)
    if en["base"] == en["past"] and not third:
        raise NoFit  # "they put" may be present or past, and German needs to know
    if en["base"] == "be":
        return VerbWords([(morphology.ENGLISH_BE[key], (link,)), *nots], [], finite, prefix, link)
    if nots or plan.order == "question":
        do = "did" if past else "does" if third else "do"
        helper = d.link()  # "did" is linked to "stand", not to "auf"
        both = (de[key], (link, helper))
        return VerbWords([(do, (helper,)), *nots], said(en["base"], link), both, prefix, link)
    return VerbWords([], said(en["past" if past else "third" if third else "base"], link), finite, prefix, link)


def _modal(plan: Plan, words: str, person: str, nots: list[Word], aux: int, link: int) -> list[Word]:
    """The English modal, its "not" and its "to"."""
    word, *to = words.split()
    if word in ("was", "were"):
        be = morphology.ENGLISH_BE["past" + person]
        return [(be, (aux,)), *nots, ("able", (aux,)), ("to", (link,))]
    if nots and word == "can":
        return [("cannot", (aux, *nots[0][1]))]
    if to and (nots or plan.order == "question"):
        do = "did" if plan.tense == "modal_past" else "does" if person == "3s" else "do"
        return [(do, (aux,)), *nots, ("have" if word == "had" else "want", (aux,)), ("to", (link,))]
    return [(word, (aux,)), ("to", (link,))] if to else [(word, (aux,)), *nots]


def verb_final(plan: Plan, words: VerbWords) -> list[Word]:
    """The end of a verb-final clause: "aufsteht", "aufgestanden ist", "aufstehen kann"."""
    if not plan.simple or not words.end:
        return [*words.end, words.finite]
    (prefix, _), (finite, links) = *words.end, words.finite
    return [(prefix + finite, links)]  # the links of the finite verb include that of the prefix
