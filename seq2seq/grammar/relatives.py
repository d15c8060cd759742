"""Relative clauses: "who sleeps", "that the woman buys", "in which the man works", "whose dog sleeps".

Knows the relative pronoun and its case; `clauses` writes the rest of the clause.
"""

from __future__ import annotations

from seq2seq.grammar import morphology
from seq2seq.grammar.clauses import Parts, clause, ordered
from seq2seq.grammar.discourse import COMMA, Discourse, NoFit, NounPhrase, Sides, Slot, said
from seq2seq.grammar.entries import Verb
from seq2seq.grammar.nominal import adjectives, noun_phrase
from seq2seq.grammar.predicates import Plan, verb_size, verb_words


def relative(d: Discourse, head: NounPhrase, size: int, depth: int) -> Sides:
    """A relative clause of exactly `size` words after `head`, of a kind that is possible with so many.

    Its German side, commas included, is the `tail`.
    """
    noun, link, preposition = head.noun, d.link(), Sides()
    assert noun is not None
    human = noun.kind == "person"
    kind = d.choose("relative")
    verbs = d.lexicon.verbs_taking(noun) if kind == "object" and size >= 3 and depth <= 1 else None
    if kind == "whose" and human and size >= 4:
        which, case, rest = "whose", "gen", _owned(d, size - 1, depth)
    elif kind == "place" and "in" in noun.ways and size >= 6:
        which, case, rest = "which", "dat", _where(d, size - 2, depth)
        preposition = d.same(*noun.ways["in"])
    elif verbs is not None:
        verb = verbs.draw(d.rng)
        which, case, rest = "whom" if human else "that", verb.case, _object_relative(d, verb, size - 1, depth)
    else:
        which, case = "who" if human else "that", "nom"
        subject = head.silent()
        rest = clause(d, size - 1, "final", subject=subject, depth=depth, bare=True)
        head.described = subject.described
    german = (morphology.RELATIVE[case][head.gender], (link,))
    return Sides([*preposition.en, (which, (link,)), *rest.en], tail=[COMMA, *preposition.de, german, *rest.de, COMMA])


def _where(d: Discourse, size: int, depth: int) -> Sides:
    """ "(in which) the man works"."""
    return clause(d, size, "final", depth=depth, bare=True, demands=d.lexicon.whereabouts)


def _owned(d: Discourse, size: int, depth: int) -> Sides:
    """ "(whose) dog sleeps": the adjectives after German "dessen", "deren" are strong."""
    owned = d.noun(d.lexicon.pool(*d.lexicon.whose))
    words = Sides()
    if size >= 4 and d.rng.random() < 0.4:
        words = adjectives(d, 1, owned, morphology.ADJECTIVE_ENDING["strong"]["nom"][owned.gender])
    described = tuple(word for word, _ in words.en)
    words += d.same(owned.en, owned.de["noms"])
    subject = NounPhrase([], [], "3s", owned.pronoun, owned.gender, owned, described=described)
    return words + clause(d, size - len(words.en), "final", subject=subject, depth=depth, bare=True)


def _object_relative(d: Discourse, verb: Verb, size: int, depth: int) -> Sides:
    """ "(that) the woman buys": the verb decides the case of the German pronoun."""
    plan = Plan(verb, d.time, False, "final")
    rest = size - verb_size(d, plan)
    if rest < 1 or verb.de["infinitive"] == d.last_verb:
        raise NoFit
    if verb.how is not None and rest > 1 and d.rng.random() < 0.25:
        plan.how = d.same(*verb.how.draw(d.rng))
        rest -= 1
    known = d.subject if rest == 1 and d.subject and d.subject.pronoun in ("he", "she", "they") else None
    if known and known.noun and d.rng.random() < 0.2 and known.noun.kind == "person":
        subject = d.pronoun_for(known, "nom")
    else:
        subject = noun_phrase(d, rest, d.lexicon.pool("person"), Slot("nom", depth))
    words = verb_words(d, plan, subject.person, 0)
    return ordered(d, plan, words, Parts(objects=said(f"{verb.up} {verb.to}", words.link)), subject)
