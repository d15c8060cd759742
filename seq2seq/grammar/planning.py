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
        rules = lexicon.rules
        self.subjects = [(name, float(weight)) for name, weight in rules["subject"].items()]
        self.tenses = {time: [(name, float(weight)) for name, weight in rules[time].items()] for time in SIMPLE}
        self.relatives = [(name, float(weight)) for name, weight in rules["relative"].items()]
        self.persons = lexicon.pool("person")
        self.subject: NounPhrase | None = None
        self.object: NounPhrase | None = None
        self.last_verb: str | None = None  # no two consecutive clauses have the same verb

    def pronoun_for(self, phrase: NounPhrase, case: str, link: int = 0) -> NounPhrase:
        """The pronoun for a noun phrase that was mentioned before."""
        index = (link or self.link(),)
        en = phrase.pronoun if case == "nom" else morphology.ENGLISH_OBJECT[phrase.pronoun]
        de = morphology.german_pronoun(phrase.pronoun, phrase.gender, case)
        return NounPhrase([(en, index)], [(de, index)], phrase.person, phrase.pronoun, phrase.gender, phrase.noun)

    def referent(self) -> NounPhrase | None:
        """The antecedent of a pronoun as subject: the last subject, or the last object if that alone is "it"."""
        subject, other = self.subject, self.object
        if subject is None:
            return None
        if other is not None and other.pronoun == "it" and subject.pronoun != "it" and self.rng.random() < 0.35:
            return other
        return subject

    def speaker(self) -> NounPhrase:
        """I, we or you, without its words."""
        name = self.weighted([("I", 5.0), ("we", 3.0), ("you", 3.0)])
        return NounPhrase([], [], {"I": "1s"}.get(name, "pl"), name, "m")

    def _plan(
        self, verb: Verb, order: str, tense: str | None, subject: NounPhrase | None, noun: Noun | None, bare: bool
    ) -> Plan:
        if tense is None:
            tense = self.weighted(self.tenses[self.time])
            if (order == "shared" or bare) and tense not in ("present", "past", "perfect"):
                tense = self.time
            if verb.frame in ("passive", "quality") and tense not in SIMPLE:
                tense = self.time
        if verb.frame == "passive" and tense not in SIMPLE:
            raise NoFit
        if order == "zu" and verb.frame in ("passive", "quality"):
            raise NoFit
        if verb.options.get("simple") and tense not in SIMPLE:
            raise NoFit
        negated = order not in ("shared", "zu") and self.chance("negation")
        plan = Plan(verb, tense, negated, order)
        if tense in morphology.MODALS:
            plan.modal = self.below(len(morphology.MODALS[tense]))
            if verb.by.isdisjoint(("person", "animal")) or (noun is not None and noun.kind not in ("person", "animal")):
                raise NoFit
            plan.negated = negated and morphology.MODALS[tense][plan.modal][4]
        return plan

    def _measure(
        self, plan: Plan, size: int, fixed: int, subject: NounPhrase | None, noun: Noun | None, bare: bool, depth: int
    ) -> None:
        """Set the number of words of each part of the clause; they sum to `size`."""
        verb, rng, sizes = plan.verb, self.rng, plan.sizes
        rest = size - self._verb_size(plan) - fixed
        if subject is None:
            sizes["subject"] = 1 if noun is not None and noun.kind == "person" else 2
        frame = verb.frame
        if frame in ("object", "about", "gift", "put"):
            plan.it = self._object_pronoun(plan, subject) if frame == "object" and depth == 0 else None
            sizes["object"] = 1 if plan.it or rng.random() < 0.06 else 2
            if frame == "gift":
                sizes["receiver"] = 1
        if frame == "put":
            sizes["goal"] = 3
        elif frame == "towards":
            plan.home = (
                rng.random() < 0.15 and not verb.options.get("from") and noun is not None and noun.kind == "person"
            )
            sizes["goal"] = 1 if plan.home else 3
        elif frame == "rest":
            sizes["place"] = 3
        elif frame == "quality":
            sizes["quality"] = 1
        rest -= sum(sizes.values())
        if rest < 0:
            raise NoFit
        rest = self._adverbials(plan, rest, bare, depth > 0)
        names = ("subject", "receiver", "object", "goal", "place", "company", "agent")
        growing: list[str] = [name for name in names if name in sizes]
        growing = [
            name for name in growing if not (name == "object" and plan.it) and not (name == "goal" and plan.home)
        ]
        limits = {"quality": 3}
        if "object" in sizes and verb.nouns is not None and verb.nouns.items[0].kind in self.lexicon.bare:
            limits["object"] = 3
        if noun is not None and noun.kind in self.lexicon.bare:
            limits["subject"] = 3
        if frame == "quality" and rest and rng.random() < 0.3:
            growing.append("quality")
        if frame == "quality" and not growing:
            growing.append("quality")
        while rest:
            open_ = [name for name in growing if sizes[name] < limits.get(name, 9)] or [
                name for name in growing if name not in limits
            ]
            if not open_:
                raise NoFit
            name = open_[self.below(len(open_))]
            step = 1 if rest < 4 or sizes[name] == 1 else 1 + self.below(min(rest, limits.get(name, 9) - 2, 4))
            step = min(step, max(1, limits.get(name, 99) - sizes[name]))
            sizes[name] += step
            rest -= step

    def _adverbials(self, plan: Plan, rest: int, bare: bool, inside: bool) -> int:
        """Add time, manner, company and place as far as words are left; return the number of words that remain."""
        verb, sizes, rng = plan.verb, plan.sizes, self.rng
        flexible = any(name in sizes for name in ("subject", "receiver", "goal", "place")) or (
            "object" in sizes and not plan.it
        )
        tight = rest > 0 and not flexible
        inner = plan.order in ("zu", "shared") or bare
        if rest >= 1 and not inner and verb.when and rng.random() < (0.5 if tight else self.share["when"]):
            when = self.lexicon.times[min(self.below(len(self.lexicon.times)), self.below(len(self.lexicon.times)))]
            if (
                len(when.en) <= rest
                and not (plan.negated and when.en[0] in ("every", "again"))
                and (when.tense is None or plan.tense in when.tense)
                and (when.tense is not None or plan.tense != "perfect")
            ):
                plan.when = when
                rest -= len(when.en)
        if rest >= 1 and plan.order == "main" and not bare and self.chance("comment"):
            comment = self.lexicon.comments.draw(rng)
            if len(comment.en) <= rest and (comment.tense is None or plan.tense in comment.tense):
                plan.comment = comment
                rest -= len(comment.en)
        if plan.when and not plan.comment and plan.order == "main":
            plan.front = self.chance("front")
        if (
            rest >= 1
            and not plan.negated
            and plan.tense in SIMPLE
            and verb.frame != "passive"
            and not plan.when
            and plan.order != "zu"
            and not (bare and not inside)
            and self.chance("often")
        ):
            plan.often = self.lexicon.frequency.draw(rng)
            rest -= 1
        how = (
            verb.how is not None
            and verb.frame not in ("quality", "passive")
            and not (plan.negated and verb.frame in ("object", "gift"))
        )
        if rest >= 1 and how and rng.random() < (0.6 if tight else self.share["how"]):
            assert verb.how is not None
            plan.how = verb.how.draw(rng)
            rest -= 1
        if verb.frame == "passive":
            if rest >= 3 and self.chance("agent"):
                sizes["agent"] = 1 if "person" in verb.options.get("by", ["person"]) else 2
                rest -= 1 + sizes["agent"]
        elif (
            rest >= 2
            and verb.company
            and verb.by >= {"person"}
            and how
            and (plan.how is None or plan.how[0] != "alone")
            and self.chance("company")
        ):
            sizes["company"] = 1
            rest -= 2
        where = verb.place and verb.frame not in ("towards", "put", "rest", "quality") and "place" not in sizes
        if rest >= 3 and where and rng.random() < (0.8 if tight else self.share["where"]):
            sizes["place"] = 3
            rest -= 3
        return rest

    def _object_pronoun(self, plan: Plan, subject: NounPhrase | None) -> NounPhrase | None:
        """The antecedent of "it", "him" or "them" as object, in a clause about the last subject; None for a noun."""
        other, verb = self.object, plan.verb
        if (
            other is None
            or other.noun is None
            or subject is None
            or not subject.en
            or not self.chance("object_pronoun")
        ):
            return None
        if (
            subject.pronoun == other.pronoun
            or other.noun.kind in ("money", "part", "span")
            or other.noun.en not in verb.lemmas
        ):
            return None
        if self.subject is None or subject.pronoun != self.subject.pronoun or verb.options.get("number"):
            return None
        return other
