"""The plan of a clause: its verb, its tense, and the number of English words of each part.

Knows the last subject and object, which pronouns refer to; knows no order of words.
"""

from __future__ import annotations

import random

from seq2seq.grammar import morphology
from seq2seq.grammar.core import NoFit, NounPhrase
from seq2seq.grammar.entries import Noun, Verb
from seq2seq.grammar.lexicon import Lexicon
from seq2seq.grammar.predicates import SIMPLE, Plan, Predicates


class Planning(Predicates):
    """Plans clauses."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        super().__init__(lexicon, rng)
        self.persons = lexicon.pool("person")
        self.subject: NounPhrase | None = None
        self.object: NounPhrase | None = None
        self.last_verb: str | None = None  # no two consecutive clauses have the same verb

    def pronoun_for(self, phrase: NounPhrase, case: str) -> NounPhrase:
        """The pronoun for a noun phrase that was mentioned before."""
        en = phrase.pronoun if case == "nom" else morphology.ENGLISH_OBJECT[phrase.pronoun]
        de = morphology.german_pronoun(phrase.pronoun, phrase.gender, case)
        words = self.same(en, de)
        return NounPhrase(words.en, words.de, phrase.person, phrase.pronoun, phrase.gender, phrase.noun)

    def referent(self) -> NounPhrase | None:
        """The antecedent of a pronoun as subject: the last subject, or the last object if that alone is "it"."""
        subject, other = self.subject, self.object
        if subject is None:
            return None
        if other is not None and other.pronoun == "it" and subject.pronoun != "it" and self.rng.random() < 0.35:
            return other
        return subject

    def _plan(self, verb: Verb, order: str, tense: str | None, bare: bool, noun: Noun | None) -> Plan:
        """Tense, negation and modal of a clause. Raises NoFit where they do not go with the verb."""
        composed = verb.frame in ("passive", "quality")
        if tense is None:
            tense = self.choose(self.time)
            if (order == "shared" or bare) and tense not in ("present", "past", "perfect"):
                tense = self.time
            if composed and tense not in SIMPLE:
                tense = self.time
        if (verb.frame == "passive" or verb.options.get("simple")) and tense not in SIMPLE:
            raise NoFit
        if order == "zu" and composed:
            raise NoFit
        negated = order not in ("shared", "zu") and self.chance("negation")
        plan = Plan(verb, tense, negated, order, bare=bare, noun=noun)
        if tense in morphology.MODALS:
            plan.modal = self.below(len(morphology.MODALS[tense]))
            if verb.by.isdisjoint(("person", "animal")) or (noun is not None and noun.kind not in ("person", "animal")):
                raise NoFit
            plan.negated = negated and morphology.MODALS[tense][plan.modal][4]
        return plan

    def _measure(self, plan: Plan, size: int) -> None:
        """Set the number of words of each part of the clause; they sum to `size`."""
        rest = size - self._verb_size(plan) - (len(plan.subject.en) if plan.subject else 0)
        self._least(plan)
        rest -= sum(plan.sizes.values())
        if rest < 0:
            raise NoFit
        self._grow(plan, self._adverbials(plan, rest))

    def _least(self, plan: Plan) -> None:
        """The parts that the verb asks for, each with the fewest words that it can have."""
        verb, frame, sizes = plan.verb, plan.verb.frame, plan.sizes
        human = plan.noun is not None and plan.noun.kind == "person"
        if plan.subject is None:
            sizes["subject"] = 1 if human else 2
        if frame in ("object", "about", "gift", "put"):
            plan.it = self._object_pronoun(plan) if frame == "object" and plan.depth == 0 else None
            sizes["object"] = 1 if plan.it or self.rng.random() < 0.06 else 2
        if frame == "gift":
            sizes["receiver"] = 1
        elif frame == "put":
            sizes["goal"] = 3
        elif frame == "towards":
            plan.home = self.rng.random() < 0.15 and not verb.options.get("from") and human
            sizes["goal"] = 1 if plan.home else 3
        elif frame == "rest":
            sizes["place"] = 3
        elif frame == "quality":
            sizes["quality"] = 1

    def _grow(self, plan: Plan, rest: int) -> None:
        """Distribute the remaining words over the parts that can be longer."""
        verb, sizes, bare = plan.verb, plan.sizes, self.lexicon.bare
        fixed = {"object": plan.it is not None, "goal": plan.home}
        names = ("subject", "receiver", "object", "goal", "place", "company", "agent")
        growing = [name for name in names if name in sizes and not fixed.get(name)]
        limits = {"quality": 3}
        if "object" in sizes and verb.nouns is not None and verb.nouns.items[0].kind in bare:
            limits["object"] = 3
        if plan.noun is not None and plan.noun.kind in bare:
            limits["subject"] = 3
        if verb.frame == "quality" and ((rest and self.rng.random() < 0.3) or not growing):
            growing.append("quality")
        while rest:
            candidates = [name for name in growing if sizes[name] < limits.get(name, 9)]
            candidates = candidates or [name for name in growing if name not in limits]
            if not candidates:
                raise NoFit
            name = candidates[self.below(len(candidates))]
            step = 1 if rest < 4 or sizes[name] == 1 else 1 + self.below(min(rest, limits.get(name, 9) - 2, 4))
            step = min(step, max(1, limits.get(name, 99) - sizes[name]))
            sizes[name] += step
            rest -= step

    def _adverbials(self, plan: Plan, rest: int) -> int:
        """Add time, manner, company and place as far as words are left; return the number of words that remain."""
        verb, sizes, rng = plan.verb, plan.sizes, self.rng
        growing = not sizes.keys().isdisjoint(("subject", "receiver", "goal", "place"))
        tight = rest > 0 and not growing and ("object" not in sizes or plan.it is not None)
        rest = self._times(plan, rest, tight)
        settled = plan.negated and verb.frame in ("object", "gift")
        how = verb.how if verb.frame not in ("quality", "passive") and not settled else None
        if rest >= 1 and how is not None and rng.random() < (0.6 if tight else self.share["how"]):
            plan.how = how.draw(rng)
            rest -= 1
        accompanied = verb.company and "person" in verb.by and how is not None and plan.how != ("alone", "allein")
        if verb.frame == "passive":
            if rest >= 3 and self.chance("agent"):
                sizes["agent"] = 1 if "person" in verb.options.get("by", ["person"]) else 2
                rest -= 1 + sizes["agent"]
        elif rest >= 2 and accompanied and self.chance("company"):
            sizes["company"] = 1
            rest -= 2
        where = verb.place and verb.frame not in ("towards", "put", "rest", "quality")
        if rest >= 3 and where and rng.random() < (0.8 if tight else self.share["where"]):
            sizes["place"] = 3
            rest -= 3
        return rest

    def _times(self, plan: Plan, rest: int, tight: bool) -> int:
        """Add a time, a frequency and a comment as far as words are left; return the number of words that remain."""
        inner = plan.bare or plan.order in ("zu", "shared")
        if rest >= 1 and not inner and plan.verb.when and self.rng.random() < (0.5 if tight else self.share["when"]):
            times = self.lexicon.times
            when = times[min(self.below(len(times)), self.below(len(times)))]
            tense_fits = plan.tense != "perfect" if when.tense is None else plan.tense in when.tense
            if len(when.en) <= rest and tense_fits and not (plan.negated and when.en[0] in ("every", "again")):
                plan.when = when
                rest -= len(when.en)
        if rest >= 1 and plan.order == "main" and not plan.bare and self.chance("comment"):
            comment = self.lexicon.comments.draw(self.rng)
            if len(comment.en) <= rest and (comment.tense is None or plan.tense in comment.tense):
                plan.comment = comment
                rest -= len(comment.en)
        if plan.when and not plan.comment and plan.order == "main":
            plan.front = self.chance("front")
        simple = plan.tense in SIMPLE and plan.verb.frame != "passive" and not plan.negated and plan.order != "zu"
        if rest >= 1 and simple and not plan.when and (plan.depth or not plan.bare) and self.chance("often"):
            plan.often = self.lexicon.frequency.draw(self.rng)
            rest -= 1
        return rest

    def _object_pronoun(self, plan: Plan) -> NounPhrase | None:
        """The antecedent of "it", "him" or "them" as object, in a clause about the last subject; None for a noun."""
        subject, other, verb = plan.subject, self.object, plan.verb
        if other is None or other.noun is None or subject is None or not subject.en:
            return None
        if not self.chance("object_pronoun") or verb.options.get("number"):
            return None
        if subject.pronoun == other.pronoun or self.subject is None or subject.pronoun != self.subject.pronoun:
            return None
        if other.noun.kind in ("money", "part", "span") or other.noun.en not in verb.lemmas:
            return None
        return other
