"""Relative clauses: "who sleeps", "that the woman buys", "in which the man works", "whose dog sleeps".

Knows the relative pronoun and its case; `clauses` writes the rest of the clause.
"""

from __future__ import annotations

from seq2seq.grammar import morphology
from seq2seq.grammar.clauses import Clauses
from seq2seq.grammar.core import COMMA, NoFit, NounPhrase, Slot, Word
from seq2seq.grammar.entries import Noun, Verb
from seq2seq.grammar.predicates import Plan


class Relatives(Clauses):
    """Writes relative clauses."""

    def relative(self, head: NounPhrase, noun: Noun, size: int, depth: int) -> tuple[list[Word], list[Word]]:
        """A relative clause after `head`, of a kind that is possible with `size` words."""
        human = noun.kind == "person"
        link = (self.link(),)
        kind = self.weighted(self.relatives)
        if kind == "whose" and human and size >= 4:
            return self._whose(head, size, depth, link)
        if kind == "place" and noun.at is not None and size >= 6:
            pronoun = NounPhrase([], [], head.person, head.pronoun, head.gender, noun)
            en, de = self.clause(size - 2, "final", depth=depth, bare=True)
            which: Word = (morphology.RELATIVE["dat"][pronoun.gender], link)
            place = self.link()
            return [(noun.at[0], (place,)), ("which", link), *en], [COMMA, (noun.at[1], (place,)), which, *de, COMMA]
        if kind == "object" and size >= 3 and depth <= 1:
            verbs = self.lexicon.verbs_taking(noun)
            if verbs is not None:
                return self._object_relative(head, human, verbs.draw(self.rng), size, depth, link)
        subject = NounPhrase([], [], head.person, head.pronoun, head.gender, noun)
        en, de = self.clause(size - 1, "final", subject=subject, depth=depth, bare=True)
        which = (morphology.RELATIVE["nom"][head.gender], link)
        return [("who" if human else "that", link), *en], [COMMA, which, *de, COMMA]

    def _whose(self, head: NounPhrase, size: int, depth: int, link: tuple[int, ...]) -> tuple[list[Word], list[Word]]:
        """ "whose dog sleeps": German "dessen", "deren" agrees with the possessor; adjectives after it are strong."""
        owned = self.lexicon.pool(
            "animal", "vehicle", "building", "=sister", "=brother", "=father", "=daughter", "=son"
        ).draw(self.rng)
        en: list[Word] = []
        de: list[Word] = []
        if size >= 5 and self.rng.random() < 0.4:
            en, de = self._adjectives(1, owned, morphology.ADJECTIVE_ENDING["strong"]["nom"][owned.gender])
        mark = (self.link(),)
        en, de = [*en, (owned.en, mark)], [*de, (owned.de["noms"], mark)]
        subject = NounPhrase([], [], "3s", owned.pronoun, owned.gender, owned)
        en_rest, de_rest = self.clause(size - 1 - len(en), "final", subject=subject, depth=depth, bare=True)
        whose = (morphology.RELATIVE["gen"][head.gender], link)
        return [("whose", link), *en, *en_rest], [COMMA, whose, *de, *de_rest, COMMA]

    def _object_relative(
        self, head: NounPhrase, human: bool, verb: Verb, size: int, depth: int, link: tuple[int, ...]
    ) -> tuple[list[Word], list[Word]]:
        """ "that the woman buys": the verb decides the case of the German pronoun."""
        plan = Plan(verb, self.time, False, "final")
        rest = size - 1 - self._verb_size(plan)
        if rest < 1 or verb.de["infinitive"] == self.last_verb:
            raise NoFit
        if verb.how is not None and rest > 1 and self.rng.random() < 0.25:
            plan.how = verb.how.draw(self.rng)
            rest -= 1
        if (
            rest == 1
            and self.subject is not None
            and self.subject.pronoun in ("he", "she", "they")
            and self.subject.noun is not None
            and self.rng.random() < 0.2
            and self.subject.noun.kind == "person"
        ):
            subject = self.pronoun_for(self.subject, "nom")
        else:
            subject = self.noun_phrase(rest, self.persons, Slot("nom", depth))
        if verb.en["base"] == verb.en["past"] and subject.person != "3s":
            raise NoFit
        words = self._verb(plan, subject.person, 0)
        en_how, de_how = self.same(*plan.how) if plan.how else ([], [])
        tail: list[Word] = [(word, (words.link,)) for word in f"{verb.up} {verb.to}".split()]
        en = [("whom" if human else "that", link), *subject.en, *words.aux, *words.main, *tail, *en_how]
        which = (morphology.RELATIVE[verb.case][head.gender], link)
        self_word: list[Word] = [("sich", (words.link,))] if verb.reflexive else []
        return en, [COMMA, which, *subject.whole(), *self_word, *de_how, *self._final(plan, words), COMMA]
