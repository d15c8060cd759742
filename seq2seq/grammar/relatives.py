"""Relative clauses: "who sleeps", "that the woman buys", "in which the man works", "whose dog sleeps".

Knows the relative pronoun and its case; `clauses` writes the rest of the clause.
"""

from __future__ import annotations

from seq2seq.grammar import morphology
from seq2seq.grammar.clauses import Clauses
from seq2seq.grammar.core import COMMA, NoFit, NounPhrase, Sides, Slot, Word, said
from seq2seq.grammar.entries import Noun, Verb
from seq2seq.grammar.predicates import Plan


class Relatives(Clauses):
    """Writes relative clauses."""

    def relative(self, head: NounPhrase, noun: Noun, size: int, depth: int) -> Sides:
        """A relative clause after `head`, of a kind that is possible with `size` words."""
        human = noun.kind == "person"
        link = self.link()
        kind = self.choose("relative")
        if kind == "whose" and human and size >= 4:
            return self._whose(head, size, depth, link)
        if kind == "place" and noun.at is not None and size >= 6:
            clause = self.clause(size - 2, "final", depth=depth, bare=True)
            opening = self.same(*noun.at)
            opening.en.append(("which", (link,)))
            return self._commas(opening, (morphology.RELATIVE["dat"][head.gender], (link,)), clause)
        if kind == "object" and size >= 3 and depth <= 1:
            verbs = self.lexicon.verbs_taking(noun)
            if verbs is not None:
                return self._object_relative(head, human, verbs.draw(self.rng), size, depth, link)
        subject = NounPhrase([], [], head.person, head.pronoun, head.gender, noun)
        clause = self.clause(size - 1, "final", subject=subject, depth=depth, bare=True)
        which = (morphology.RELATIVE["nom"][head.gender], (link,))
        return self._commas(Sides([("who" if human else "that", (link,))]), which, clause)

    @staticmethod
    def _commas(opening: Sides, which: Word, clause: Sides) -> Sides:
        """The clause after what opens it and after the German pronoun, between commas."""
        return Sides(opening.en + clause.en, tail=[COMMA, *opening.de, which, *clause.de, COMMA])

    def _whose(self, head: NounPhrase, size: int, depth: int, link: int) -> Sides:
        """ "whose dog sleeps": German "dessen", "deren" agrees with the possessor; adjectives after it are strong."""
        owned = self.lexicon.pool(
            "animal", "vehicle", "building", "=sister", "=brother", "=father", "=daughter", "=son"
        ).draw(self.rng)
        owner = Sides()
        if size >= 5 and self.rng.random() < 0.4:
            owner = self._adjectives(1, owned, morphology.ADJECTIVE_ENDING["strong"]["nom"][owned.gender])
        owner += self.same(owned.en, owned.de["noms"])
        subject = NounPhrase([], [], "3s", owned.pronoun, owned.gender, owned)
        clause = owner + self.clause(size - 1 - len(owner.en), "final", subject=subject, depth=depth, bare=True)
        whose = (morphology.RELATIVE["gen"][head.gender], (link,))
        return self._commas(Sides([("whose", (link,))]), whose, clause)

    def _object_relative(self, head: NounPhrase, human: bool, verb: Verb, size: int, depth: int, link: int) -> Sides:
        """ "that the woman buys": the verb decides the case of the German pronoun."""
        plan = Plan(verb, self.time, False, "final")
        rest = size - 1 - self._verb_size(plan)
        if rest < 1 or verb.de["infinitive"] == self.last_verb:
            raise NoFit
        if verb.how is not None and rest > 1 and self.rng.random() < 0.25:
            plan.how = verb.how.draw(self.rng)
            rest -= 1
        known = self.subject
        if (
            rest == 1
            and known is not None
            and known.pronoun in ("he", "she", "they")
            and known.noun is not None
            and self.rng.random() < 0.2
            and known.noun.kind == "person"
        ):
            subject = self.pronoun_for(known, "nom")
        else:
            subject = self.noun_phrase(rest, self.persons, Slot("nom", depth))
        if verb.en["base"] == verb.en["past"] and subject.person != "3s":
            raise NoFit
        words = self._verb(plan, subject.person, 0)
        how = self.same(*plan.how) if plan.how else Sides()
        en = [*subject.en, *words.aux, *words.main, *said(f"{verb.up} {verb.to}", words.link), *how.en]
        reflexive = said("sich" if verb.reflexive else "", words.link)
        de = [*subject.whole(), *reflexive, *how.de, *self._final(plan, words)]
        which = (morphology.RELATIVE[verb.case][head.gender], (link,))
        return self._commas(Sides([("whom" if human else "that", (link,))]), which, Sides(en, de))
