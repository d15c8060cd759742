"""Clauses of an exact number of English words, and the order of words in both languages.

Knows a single clause; `relatives` writes those inside noun phrases. The orders of German words:

    main      subject|front  FINITE  [subject]  MIDDLE  END  relative
    inverted  FINITE  subject  MIDDLE  END  relative    (after a subordinate clause, or after "deshalb")
    shared    FINITE  MIDDLE  END  relative             (same subject as the clause before: "… und schläft")
    final     subject  MIDDLE  END  FINITE  relative    (subordinate and relative clauses)
    question  FINITE  subject  MIDDLE  END  relative
    zu        MIDDLE  zu-infinitive  relative

MIDDLE: sich, pronoun, time, often, dative, accusative, nicht, company, how, place, goal. END: separable prefix,
participle, infinitive. A relative clause on the last phrase comes after the verb: "weil er das Haus kauft, das alt
ist". English ends in: objects, how, company, place, time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.core import NoFit, NounPhrase, Slot, Word
from seq2seq.grammar.entries import Noun, Pool, Verb
from seq2seq.grammar.nominal import Prepositional
from seq2seq.grammar.planning import Planning
from seq2seq.grammar.predicates import SIMPLE, Plan, VerbWords

TRIES = 60
Sides = tuple[list[Word], list[Word]]


@dataclass(slots=True)
class Parts:
    """The words of each part of a clause, on both sides, before they are put in order."""

    objects: list[Word] = field(default_factory=list)  # English: all words between verb and adverbials
    how: Sides = field(default_factory=lambda: ([], []))
    company: Sides = field(default_factory=lambda: ([], []))
    place: Sides = field(default_factory=lambda: ([], []))
    when: Sides = field(default_factory=lambda: ([], []))
    comment: Sides = field(default_factory=lambda: ([], []))
    often: Sides = field(default_factory=lambda: ([], []))
    pronouns: list[Word] = field(default_factory=list)  # this part and those below are German
    nouns: list[Word] = field(default_factory=list)  # dative and accusative
    nicht: list[Word] = field(default_factory=list)
    last: list[Word] = field(default_factory=list)  # prepositional object, goal, adjective
    tail: list[Word] = field(default_factory=list)  # a relative clause, which goes after the verb
    thing: NounPhrase | None = None


class Clauses(Planning):
    """Writes clauses."""

    def clause(
        self, size: int, order: str, *, subject: NounPhrase | None = None, tense: str | None = None,
        depth: int = 0, bare: bool = False, pronoun: bool = True,
    ) -> Sides:  # fmt: skip
        """A clause of exactly `size` English words.

        Args:
            subject: the subject of a shared or relative clause, without words of its own.
            tense: the tense that the conjunction asks for.
            bare: no adverb of time and no comment.

        Raises:
            NoFit: no clause of this size was found.
        """
        for _ in range(TRIES):
            links, before = self.links, self.last_verb
            try:
                return self._clause(size, order, subject, tense, depth, bare, pronoun)
            except NoFit:
                self.links, self.last_verb = links, before
        raise NoFit

    def _clause(
        self, size: int, order: str, given: NounPhrase | None, tense: str | None, depth: int, bare: bool, pronoun: bool
    ) -> Sides:
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
        if verb.de["infinitive"] == self.last_verb:
            raise NoFit
        self.last_verb = verb.de["infinitive"]  # so that the relative clauses inside have other verbs
        plan = self._plan(verb, order, tense, subject, noun, bare)
        self._measure(plan, size, fixed, subject, noun, bare, depth)
        return self._write(plan, size, subject, noun, depth)

    # ------------------------------------------------------------------------------------------------------- writing

    def _write(self, plan: Plan, size: int, subject: NounPhrase | None, noun: Noun | None, depth: int) -> Sides:
        """The ordered words of a planned clause, both sides."""
        verb = plan.verb
        if subject is None:
            assert noun is not None
            place = Slot("nom", depth, relative=depth == 0 or plan.order != "final", singular=noun.en_plural is None)
            subject = self.noun_phrase(plan.sizes["subject"], self.lexicon.pool(noun.kind), place, noun)
        alike = verb.en["base"] == verb.en["past"] and subject.person != "3s"
        if alike and plan.tense in SIMPLE and verb.frame != "passive" and plan.order != "zu":
            raise NoFit  # "they put" may be present or past, and German needs to know
        negation = self.link() if plan.negated else 0
        words = self._verb(plan, subject.person, negation)
        parts = self._parts(plan, words, subject, negation, depth)
        en, de = self._english(plan, words, parts, subject), self._german(plan, words, parts, subject)
        if len(en) != size:
            raise NoFit
        if depth == 0:
            self._remember(subject, parts.thing)
        self.last_verb = verb.de["infinitive"]
        return en, de

    def _parts(self, plan: Plan, words: VerbWords, subject: NounPhrase, negation: int, depth: int) -> Parts:
        """Objects and adverbials. The last part of the English clause alone may contain a relative clause."""
        verb, sizes, parts = plan.verb, plan.sizes, Parts()
        last = self._last_of(plan)
        owner = subject if subject.noun is None or subject.noun.kind in ("person", "animal") else None

        def slot(name: str, case: str) -> Slot:
            return Slot(case, depth, relative=last == name, attach=not plan.negated, possessor=owner)

        if "object" in sizes:
            self._objects(plan, words, parts, slot, negation)
        else:
            parts.objects += [(word, (words.link,)) for word in verb.up.split()]
        if "quality" in sizes:
            en, parts.last = self._quality(sizes["quality"], subject, verb)
            parts.objects += en
        kind = subject.noun.kind if subject.noun else "person"
        if "goal" in sizes:
            en, parts.last, tail = self._goal(plan, slot("goal", "acc"), kind)
            parts.objects += en
            parts.tail += tail
        if "agent" in sizes:
            agent = self.noun_phrase(sizes["agent"], verb.agents, slot("agent", "dat"))
            en, parts.nouns, tail = self.governed("by", "von", agent)
            parts.objects += en
            parts.tail += tail
        if plan.how:
            parts.how = self.same(*plan.how)
        if "company" in sizes:
            choices = self.lexicon.words["company"]  # the last one, "for", needs an object
            en_word, de_word, case = choices[self.below(len(choices) - (verb.frame != "object"))]
            person = self.noun_phrase(sizes["company"], self.persons, slot("company", case))
            en, de, tail = self.governed(en_word, de_word, person)
            parts.company = en, de
            parts.tail += tail
        if "place" in sizes:
            en, de, tail = self._where(plan, slot("place", "dat"), kind)
            parts.place = en, de
            parts.tail += tail
        if plan.when:
            parts.when = self.fixed(plan.when)
        if plan.comment:
            parts.comment = self.fixed(plan.comment)
        if plan.often:
            parts.often = self.same(*plan.often)
        if negation and not (parts.thing and parts.thing.negated):
            parts.nicht = [("nicht", (negation,))]
        return parts

    @staticmethod
    def _last_of(plan: Plan) -> str:
        """The name of the last part of the English clause."""
        if plan.when and not plan.front:
            return "when"
        for name in ("place", "company", "how", "goal", "agent", "object"):
            if name in plan.sizes or (name == "how" and plan.how):
                return "receiver" if name == "object" and plan.verb.options.get("pp") else name
        return ""

    def _objects(
        self, plan: Plan, words: VerbWords, parts: Parts, slot: Callable[[str, str], Slot], negation: int
    ) -> None:
        """The objects of the verb, with its particles and prepositions."""
        verb, sizes = plan.verb, plan.sizes
        particle: list[Word] = [(word, (words.link,)) for word in verb.up.split()]
        to: list[Word] = [(word, (words.link,)) for word in verb.to.split()]
        if plan.it is not None:
            parts.thing = self.pronoun_for(plan.it, verb.case)
            parts.objects += to + parts.thing.en + particle
            parts.pronouns = parts.thing.de
            return
        if "receiver" in sizes and not verb.options.get("pp"):
            self._receiver(sizes["receiver"], parts, slot("receiver", "dat"))
        where = slot("object", verb.prep[2] if verb.prep else verb.case)
        where.attach = where.attach and not verb.prep
        where.singular, where.definite = verb.options.get("number") == "sg", bool(verb.options.get("definite"))
        if verb.frame == "object" and verb.case == "acc":
            where.negation = negation
        if verb.parts and sizes["object"] >= 5 and self.rng.random() < 0.5:
            thing = self.part(sizes["object"], where)
        else:
            assert verb.nouns is not None
            thing = self.noun_phrase(sizes["object"], verb.nouns, where)
        parts.thing = thing
        parts.tail += thing.tail
        if verb.prep:
            *lead, preposition = verb.prep[0].split() or [""]
            link = self.link() if preposition else words.link  # "remembers": "an" belongs to the verb
            parts.objects += [(word, (words.link,)) for word in lead] + [(preposition, (link,))] * bool(preposition)
            parts.last = self.contracted(verb.prep[1], link, thing)
        else:
            parts.objects += particle + to
            parts.nouns = parts.nouns + thing.de
        parts.objects += thing.en
        if verb.options.get("pp"):
            self._receiver(sizes["receiver"], parts, slot("receiver", "dat"), "to")

    def _receiver(self, size: int, parts: Parts, slot: Slot, to: str = "") -> None:
        """The receiver: a dative before the accusative in German; "to" is linked to the word that shows the dative."""
        receiver = self.noun_phrase(size, self.persons, slot)
        (first, links), *rest = receiver.de
        if to:
            link = self.link()
            parts.objects.append((to, (link,)))
            links = (*links, link)
        parts.objects += receiver.en
        parts.nouns = [(first, links), *rest, *parts.nouns]
        parts.tail += receiver.tail

    def _english(self, plan: Plan, words: VerbWords, parts: Parts, subject: NounPhrase) -> list[Word]:
        front, when = parts.comment[0], parts.when[0]
        if plan.front:
            front, when = when, []
        predicate: list[Word] = [(word, (words.link,)) for word in plan.verb.predicate.split()]
        rest = parts.often[0] + words.main + predicate + parts.objects
        rest += parts.how[0] + parts.company[0] + parts.place[0] + when
        if plan.order == "question":
            return words.aux[:1] + subject.en + words.aux[1:] + rest
        return front + subject.en + words.aux + rest

    def _german(self, plan: Plan, words: VerbWords, parts: Parts, subject: NounPhrase) -> list[Word]:
        front, when = parts.comment[1], parts.when[1]
        if plan.front:
            front, when = when, []
        middle: list[Word] = []
        if plan.verb.reflexive:
            middle = [(morphology.REFLEXIVE.get(subject.pronoun, "sich"), (words.link,))]
        middle += parts.pronouns + when + parts.often[1]
        if plan.verb.frame == "object" and parts.thing is not None and parts.thing.indefinite:
            middle += parts.how[1] + parts.nouns + parts.nicht + parts.company[1]  # "trinkt gern Milch"
        else:
            middle += parts.nouns + parts.nicht + parts.company[1] + parts.how[1]
        middle += parts.place[1] + parts.last
        who = subject.whole()
        if plan.order == "zu":
            return middle + words.end + parts.tail
        if plan.order == "final":
            return who + middle + self._final(plan, words) + parts.tail
        if front:
            opening = [*front, words.finite, *who]
        elif plan.order == "main":
            opening = [*who, words.finite]
        else:
            opening = [words.finite, *who]
        return opening + middle + words.end + parts.tail

    def _remember(self, subject: NounPhrase, thing: NounPhrase | None) -> None:
        """Keep the antecedents of pronouns in the next clause."""
        if self.subject is None or subject.en:
            self.subject = subject
        self.object = thing if thing is None or thing.pronoun in ("it", "he", "she", "they") else None

    def _quality(self, size: int, subject: NounPhrase, verb: Verb) -> tuple[list[Word], list[Word]]:
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
            if (
                other.en == adjective.en
                or (adjective.en, other.en) in self.lexicon.opposites
                or other.en in verb.options.get("never", ())
            ):
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
            return self._upon(size, slot, self.lexicon.pool("furniture"))
        return self.place(size, "from" if plan.verb.options.get("from") else "to", slot, kind)

    def _upon(self, size: int, slot: Slot, pool: Pool[Noun]) -> Prepositional:
        choices = self.lexicon.words["upon"]
        en, de = choices[min(self.below(len(choices)), self.below(len(choices)), self.below(len(choices)))]
        words = len(en.split())
        if size - words < 2:
            en, de, words = "on", "auf", 1
        slot.coordinate = False
        return self.governed(en, de, self.noun_phrase(size - words, pool, slot))

    def _where(self, plan: Plan, slot: Slot, kind: str) -> Prepositional:
        size, verb = plan.sizes["place"], plan.verb
        seats = verb.options.get("seats")
        if seats and (kind != "person" or self.rng.random() < 0.75):
            return self._upon(size, slot, self.lexicon.pool(*seats))
        return self.place(size, "at", slot, kind)
