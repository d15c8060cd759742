"""Clauses of an exact number of English words: who does what, when, where, and in which order German says it.

Knows one clause and the relative clauses inside it; knows of other clauses only who was mentioned last (`subject`,
`object`), for pronouns. The order of the German words is decided here:

    main      subject|front  FINITE  [subject]  self  pronoun  time  comment|often  dative  accusative  not  company  how  place  goal  END
    inverted  FINITE  subject  …  END       (something stands before it: a subordinate clause, "deshalb")
    shared    FINITE  …  END                (the subject is that of the clause before: "… und schläft")
    final     subject  …  END FINITE        (subordinate and relative clauses)
    question  FINITE  subject  …  END
    zu        …  END zu-infinitive

END holds the separable prefix, the participle, the infinitive. English ends in: objects, how, company, place, time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from seq2seq.data.grammar import morphology
from seq2seq.data.grammar.lexicon import Lexicon, Noun, Phrase, Pool, Verb
from seq2seq.data.grammar.nominal import COMMA, NoFit, Nominals, NounPhrase, Prepositional, Slot, Token

SIMPLE = ("present", "past")
TRIES = 60


@dataclass(slots=True)
class VerbWords:
    """The words of the verb on both sides: English auxiliaries and the rest, German finite verb and the end of the clause."""

    aux: list[Token]
    main: list[Token]
    finite: Token
    end: list[Token]
    link: int


@dataclass(slots=True)
class Plan:
    """What was decided of a clause before its words are written: the verb, the number of words of each part."""

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
    it: NounPhrase | None = None  # the object is a pronoun for this
    home: bool = False


def joined(tokens: list[Token]) -> Token:
    """One word of several ("auf" + "steht"), with all their links."""
    return "".join(word for word, _ in tokens), tuple(sorted({link for _, links in tokens for link in links}))


class Clauses(Nominals):
    """Writes clauses."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        super().__init__(lexicon, rng)
        rules = lexicon.rules
        self.subjects = [(name, float(weight)) for name, weight in rules["subject"].items()]
        self.tenses = {time: [(name, float(weight)) for name, weight in rules[time].items()] for time in SIMPLE}
        self.relatives = [(name, float(weight)) for name, weight in rules["relative"].items()]
        self.persons = lexicon.pool("person")
        self.subject: NounPhrase | None = None
        self.object: NounPhrase | None = None
        self.last_verb: dict[str, str] | None = None

    # --------------------------------------------------------------------------------------------------- the subject

    def pronoun_for(self, phrase: NounPhrase, case: str, link: int = 0) -> NounPhrase:
        """A pronoun for somebody mentioned before; not written where the phrase is empty."""
        index = (link or self.link(),)
        en = phrase.pronoun if case == "nom" else morphology.ENGLISH_OBJECT[phrase.pronoun]
        de = morphology.german_pronoun(phrase.pronoun, phrase.gender, case)
        return NounPhrase([(en, index)], [(de, index)], phrase.person, phrase.pronoun, phrase.gender, phrase.noun)

    def referent(self) -> NounPhrase | None:
        """Whom a pronoun as subject would mean: the last subject; or the last object, if that is an "it" beside a person."""
        subject, other = self.subject, self.object
        if subject is None:
            return None
        if other is not None and other.pronoun == "it" and subject.pronoun != "it" and self.rng.random() < 0.35:
            return other
        return subject

    def speaker(self) -> NounPhrase:
        """I, we or you, with no words yet."""
        name = self.weighted([("I", 5.0), ("we", 3.0), ("you", 3.0)])
        return NounPhrase([], [], {"I": "1s"}.get(name, "pl"), name, "m")

    # ------------------------------------------------------------------------------------------------------ planning

    def clause(
        self, size: int, order: str, *, subject: NounPhrase | None = None, tense: str | None = None, depth: int = 0, bare: bool = False,
        pronoun: bool = True,
    ) -> tuple[list[Token], list[Token]]:  # fmt: skip
        """A clause of exactly `size` words. `subject` is given where it is shared or relative (its words written already).

        bare: no time and no comment. tense: asked for by the conjunction. Raises NoFit where nothing was found.
        """
        for _ in range(TRIES):
            links = self.links
            try:
                return self._clause(size, order, subject, tense, depth, bare, pronoun)
            except NoFit:
                self.links = links
        raise NoFit

    def _clause(
        self, size: int, order: str, given: NounPhrase | None, tense: str | None, depth: int, bare: bool, pronoun: bool
    ) -> tuple[list[Token], list[Token]]:
        subject, noun, fixed = given, None, 0
        if given is not None:
            noun = given.noun
            fixed = len(given.en)
        elif depth == 0 and pronoun:
            referent = self.referent() if self.chance("pronoun") else None
            if referent is None and self.chance("speaker"):
                referent = self.speaker()
            if referent is not None:
                subject, noun, fixed = self.pronoun_for(referent, "nom"), referent.noun, 1
        if subject is None:
            kind = "person" if depth else self.weighted(self.subjects)
            noun = self.lexicon.pool(kind).draw(self.rng)
        verb = self.lexicon.verbs_of(noun).draw(self.rng)
        if verb.de is self.last_verb or (self.last_verb and verb.de["infinitive"] == self.last_verb["infinitive"]):
            raise NoFit
        plan = self._plan(verb, order, tense, subject, noun, bare)
        self._measure(plan, size, fixed, subject, noun, bare, depth)
        return self._write(plan, size, subject, noun, given is not None, depth)

    def _plan(
        self, verb: Verb, order: str, tense: str | None, subject: NounPhrase | None, noun: Noun | None, bare: bool
    ) -> Plan:
        rng = self.rng
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

    def _verb_size(self, plan: Plan) -> int:
        """How many English words the verb takes, its particles and prepositions included."""
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

    def _measure(
        self, plan: Plan, size: int, fixed: int, subject: NounPhrase | None, noun: Noun | None, bare: bool, depth: int
    ) -> None:
        """Gives each part of the clause its number of words, so that they sum to `size`."""
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
        """Adds time, manner, company and place where there are words for them; returns how many words remain."""
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
        """Whom "it", "him", "them" as object would mean, in a clause about the last subject; None where a noun is better."""
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

    # ------------------------------------------------------------------------------------------------------- writing

    def _write(
        self, plan: Plan, size: int, subject: NounPhrase | None, noun: Noun | None, given: bool, depth: int
    ) -> tuple[list[Token], list[Token]]:
        verb, sizes = plan.verb, plan.sizes
        tail = "when" if plan.when and not plan.front else next(
            (name for name in ("place", "company", "how", "goal", "agent", "object") if name in sizes or (name == "how" and plan.how)), ""
        )  # fmt: skip
        if verb.options.get("pp"):
            tail = "receiver" if tail == "object" else tail
        if subject is None:
            assert noun is not None
            place = Slot("nom", depth, relative=depth == 0 or plan.order != "final", singular=noun.en_plural is None)
            subject = self.noun_phrase(sizes["subject"], self.lexicon.pool(noun.kind), place, noun)
        assert subject is not None
        if (
            verb.en["base"] == verb.en["past"]
            and subject.person != "3s"
            and plan.tense in SIMPLE
            and verb.frame != "passive"
            and plan.order != "zu"
        ):
            raise NoFit  # "they put": present and past look the same
        negation = self.link() if plan.negated else 0
        words = self._verb(plan, subject.person, negation)
        self_word = [(morphology.REFLEXIVE.get(subject.pronoun, "sich"), (words.link,))] if verb.reflexive else []

        en_objects: list[Token] = []
        de_pronoun: list[Token] = []
        de_objects: list[Token] = []
        de_prepositional: list[Token] = []
        de_goal: list[Token] = []
        took_negation = indefinite = False
        thing: NounPhrase | None = None
        particle: list[Token] = [(word, (words.link,)) for word in verb.up.split()]
        tails: list[Token] = []  # a relative clause at the end of the last phrase: it follows the verb
        owner = subject if subject.noun is None or subject.noun.kind in ("person", "animal") else None

        def slot(name: str, case: str, **more: bool) -> Slot:
            return Slot(
                case, depth, relative=tail == name, attach=not plan.negated and more.get("attach", True), singular=more.get("singular", False),
                definite=more.get("definite", False), possessor=owner,
            )  # fmt: skip

        if "receiver" in sizes and not verb.options.get("pp"):
            receiver = self.noun_phrase(sizes["receiver"], self.persons, slot("receiver", "dat"))
            en_objects += receiver.en
            de_objects += receiver.de
            tails += receiver.tail
        if plan.it is not None:
            thing = self.pronoun_for(plan.it, verb.case)
            en_objects += [(word, (words.link,)) for word in verb.to.split()] + thing.en + particle
            de_pronoun = thing.de
        elif "object" in sizes:
            case = verb.prep[2] if verb.prep else verb.case
            where = slot(
                "object",
                case,
                attach=not verb.prep,
                singular=bool(verb.options.get("number")),
                definite=bool(verb.options.get("definite")),
            )
            if verb.frame == "object" and case == "acc":
                where.negation = negation
            if verb.parts and sizes["object"] >= 5 and self.rng.random() < 0.5:
                thing = self.part(sizes["object"], where)
            else:
                assert verb.nouns is not None
                thing = self.noun_phrase(sizes["object"], verb.nouns, where)
            took_negation, indefinite = thing.negated, thing.indefinite
            tails += thing.tail
            en_objects += particle
            if verb.prep:
                link = self.link()
                *lead, last = verb.prep[0].split() or [""]
                en_objects += [(word, (words.link,)) for word in lead] + ([(last, (link,))] if last else [])
                if not last:
                    link = words.link
                en_objects += thing.en
                de_prepositional = self.contracted(verb.prep[1], link, thing)
            else:
                en_objects += [(word, (words.link,)) for word in verb.to.split()] + thing.en
                de_objects += thing.de
            if verb.options.get("pp"):
                receiver = self.noun_phrase(sizes["receiver"], self.persons, slot("receiver", "dat"))
                link = self.link()
                en_objects += [("to", (link,)), *receiver.en]
                tails += receiver.tail
                de_objects = [(receiver.de[0][0], (*receiver.de[0][1], link)), *receiver.de[1:], *de_objects]
        else:
            en_objects += particle
        if "quality" in sizes:
            en_quality, de_goal = self._quality(sizes["quality"], subject, verb)
            en_objects += en_quality
        if "goal" in sizes:
            en_goal, de_goal, more = self._goal(plan, slot("goal", "acc"), noun.kind if noun else "person")
            tails += more
            en_objects += en_goal
        if "agent" in sizes:
            agent = self.noun_phrase(sizes["agent"], verb.agents, slot("agent", "dat"))
            en_agent, de_objects, more = self.governed("by", "von", agent)
            tails += more
            en_objects += en_agent
        en_how, de_how = self.same(*plan.how) if plan.how else ([], [])
        en_company: list[Token] = []
        de_company: list[Token] = []
        if "company" in sizes:
            choices = self.lexicon.words["company"]
            en_word, de_word, case = choices[self.below(len(choices) - (verb.frame != "object"))]
            en_company, de_company, more = self.governed(
                en_word, de_word, self.noun_phrase(sizes["company"], self.persons, slot("company", case))
            )
            tails += more
        en_place: list[Token] = []
        de_place: list[Token] = []
        if "place" in sizes:
            en_place, de_place, more = self._where(plan, slot("place", "dat"), subject)
            tails += more
        en_when, de_when = self.fixed(plan.when) if plan.when else ([], [])
        en_comment, de_comment = self.fixed(plan.comment) if plan.comment else ([], [])
        en_often, de_often = self.same(*plan.often) if plan.often else ([], [])
        nicht: list[Token] = [("nicht", (negation,))] if plan.negated and not took_negation else []

        # English.
        front, closing = (
            (en_comment or en_when, en_when if en_comment else []) if plan.front or en_comment else ([], en_when)
        )
        en_verb = words.aux + en_often + words.main
        pred: list[Token] = [(word, (words.link,)) for word in verb.predicate.split()]
        if plan.order == "question":
            en = words.aux[:1] + subject.en + words.aux[1:] + en_often + words.main
        else:
            en = front + subject.en + en_verb
        en = en + pred + en_objects + en_how + en_company + en_place + closing

        # German.
        manner_first = indefinite and verb.frame == "object"
        middle = self_word + de_pronoun
        if not plan.front:
            middle = middle + de_when
        middle = middle + de_often
        if manner_first:
            middle = middle + de_how + de_objects + nicht + de_company
        else:
            middle = middle + de_objects + nicht + de_company + de_how
        middle = middle + de_place + de_prepositional + de_goal
        if plan.order in ("main", "question", "inverted", "shared"):
            opening = de_comment or (de_when if plan.front else [])
            if opening:
                de = [*opening, words.finite, *subject.whole()]
            elif plan.order == "main":
                de = [*subject.whole(), words.finite]
            else:
                de = [words.finite, *subject.whole()]
            de = de + middle + words.end + tails
        elif plan.order == "final":
            de = subject.whole() + middle + self._final(plan, words) + tails
        else:
            de = middle + words.end + tails
        if len(en) != size:
            raise NoFit
        if depth == 0:
            self._remember(subject, thing)
        self.last_verb = verb.de
        return en, de

    def _remember(self, subject: NounPhrase, thing: NounPhrase | None) -> None:
        """Whom pronouns of the next clause can mean."""
        if self.subject is None or subject.en:
            self.subject = subject
        self.object = thing if thing is None or thing.pronoun in ("it", "he", "she", "they") else None

    def _quality(self, size: int, subject: NounPhrase, verb: Verb) -> tuple[list[Token], list[Token]]:
        noun = subject.noun
        pool = self.lexicon.adjectives_of(*((noun.kind, noun.en) if noun else ("person", "")), False)
        if pool is None:
            raise NoFit
        adjective = pool.draw(self.rng)
        if adjective.en in verb.options.get("never", ()):
            raise NoFit
        en, de = self.same(adjective.en, adjective.de)
        if size == 2:
            more_en, more_de = self.same(*self.lexicon.degree.draw(self.rng))
            return more_en + en, more_de + de
        if size == 3:
            other = pool.draw(self.rng)
            if other.en == adjective.en or other.en in verb.options.get("never", ()):
                raise NoFit
            and_en, and_de = self.same("and", "und")
            more_en, more_de = self.same(other.en, other.de)
            return en + and_en + more_en, de + and_de + more_de
        return en, de

    def _goal(self, plan: Plan, slot: Slot, kind: str) -> Prepositional:
        size = plan.sizes["goal"]
        if plan.home:
            return (*self.same("home", "nach Hause"), [])
        if plan.verb.frame == "put":
            return self._upon(
                size,
                slot,
                self.lexicon.pool("=table", "=shelf", "=desk", "=chair", "=bench", "=chest", "=bed", "=carpet"),
            )
        return self.place(size, "from" if plan.verb.options.get("from") else "to", slot, kind)

    def _upon(self, size: int, slot: Slot, pool: Pool[Noun]) -> Prepositional:
        choices = self.lexicon.words["upon"]
        en, de = choices[min(self.below(len(choices)), self.below(len(choices)), self.below(len(choices)))]
        words = len(en.split())
        if size - words < 2:
            en, de, words = "on", "auf", 1
        slot.coordinate = False
        return self.governed(en, de, self.noun_phrase(size - words, pool, slot))

    def _where(self, plan: Plan, slot: Slot, subject: NounPhrase) -> Prepositional:
        size, verb = plan.sizes["place"], plan.verb
        seats = verb.options.get("seats")
        human = subject.noun is None or subject.noun.kind == "person"
        if seats and (not human or self.rng.random() < 0.75):
            return self._upon(size, slot, self.lexicon.pool(*seats))
        return self.place(size, "at", slot, subject.noun.kind if subject.noun else "person")

    # ------------------------------------------------------------------------------------------------------ the verb

    def _verb(self, plan: Plan, person: str, negation: int) -> VerbWords:
        """The forms of the verb for this tense and person."""
        verb, tense, link = plan.verb, plan.tense, self.link()
        en, de = verb.en, verb.de
        mark = (link,)
        nots: list[Token] = [("not", (negation,))] if negation else []
        if plan.order == "zu":
            zu: list[Token] = [(word, mark) for word in de["zu"].split()]
            return VerbWords([("to", mark)], [(en["base"], mark)], ("", ()), zu, link)
        prefix: list[Token] = [(de["prefix"], mark)] if de["prefix"] else []
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
                return VerbWords([(do, mark), *nots], [(en["base"], mark)], finite, prefix, link)
            form = en["past"] if tense == "past" else en["third"] if third else en["base"]
            return VerbWords([], [(form, mark)], finite, prefix, link)
        aux = self.link()
        if tense in ("perfect", "pluperfect"):
            have = "had" if tense == "pluperfect" else "has" if third else "have"
            table = morphology.HABEN if verb.haben else morphology.SEIN
            finite = (table[("past" if tense == "pluperfect" else "present") + person], (aux,))
            participle = "been" if en["base"] == "be" else en["participle"]
            return VerbWords([(have, (aux,)), *nots], [(participle, mark)], finite, [(de["participle"], mark)], link)
        infinitive: list[Token] = [(de["infinitive"], mark)]
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
        words: list[Token]
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

    def _final(self, plan: Plan, words: VerbWords) -> list[Token]:
        """The end of a verb-final clause: "aufsteht", "aufgestanden ist", "aufstehen kann"."""
        if plan.tense in SIMPLE and plan.verb.frame != "passive":
            return [joined([*words.end, words.finite])]
        return [*words.end, words.finite]

    # ---------------------------------------------------------------------------------------------- relative clauses

    def relative(self, head: NounPhrase, noun: Noun, size: int, depth: int) -> tuple[list[Token], list[Token]]:
        """A relative clause after `head`; its kind is drawn among those for which there are words enough."""
        human = noun.kind == "person"
        link = (self.link(),)
        kind = self.weighted(self.relatives)
        if kind == "whose" and human and size >= 4:
            return self._whose(head, size, depth, link)
        if kind == "place" and noun.at is not None and size >= 6:
            pronoun = NounPhrase([], [], head.person, head.pronoun, head.gender, noun)
            en, de = self.clause(size - 2, "final", depth=depth, bare=True)
            which: Token = (morphology.RELATIVE["dat"][pronoun.gender], link)
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

    def _whose(self, head: NounPhrase, size: int, depth: int, link: tuple[int, ...]) -> tuple[list[Token], list[Token]]:
        """ "whose dog sleeps": the German word agrees with the possessor, the adjective after it has strong endings."""
        owned = self.lexicon.pool(
            "animal", "vehicle", "building", "=sister", "=brother", "=father", "=daughter", "=son"
        ).draw(self.rng)
        en: list[Token] = []
        de: list[Token] = []
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
    ) -> tuple[list[Token], list[Token]]:
        """ "that the woman buys": the case of the German pronoun is the one that the verb asks."""
        plan = Plan(verb, self.time, False, "final")
        rest = size - 1 - self._verb_size(plan)
        if rest < 1:
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
        tail: list[Token] = [(word, (words.link,)) for word in f"{verb.up} {verb.to}".split()]
        en = [("whom" if human else "that", link), *subject.en, *words.aux, *words.main, *tail, *en_how]
        which = (morphology.RELATIVE[verb.case][head.gender], link)
        self_word: list[Token] = [("sich", (words.link,))] if verb.reflexive else []
        return en, [COMMA, which, *subject.whole(), *self_word, *de_how, *self._final(plan, words), COMMA]
