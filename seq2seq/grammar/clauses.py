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
from seq2seq.grammar.core import NoFit, NounPhrase, Sides, Slot, Word, said
from seq2seq.grammar.entries import Noun, Pool
from seq2seq.grammar.planning import Planning
from seq2seq.grammar.predicates import SIMPLE, Plan, VerbWords

TRIES = 60
NOTHING = Sides()  # never changed
SPEAKERS = Pool(("I", "we", "you"), (5, 3, 3))


@dataclass(slots=True)
class Parts:
    """The words of each part of a clause, on both sides, before they are put in order."""

    objects: list[Word] = field(default_factory=list)  # English: all words between verb and adverbials
    how: Sides = field(default_factory=lambda: NOTHING)
    company: Sides = field(default_factory=lambda: NOTHING)
    place: Sides = field(default_factory=lambda: NOTHING)
    when: Sides = field(default_factory=lambda: NOTHING)
    comment: Sides = field(default_factory=lambda: NOTHING)
    often: Sides = field(default_factory=lambda: NOTHING)
    pronouns: list[Word] = field(default_factory=list)  # this part and those below are German
    nouns: list[Word] = field(default_factory=list)  # dative and accusative
    nicht: list[Word] = field(default_factory=list)
    last: list[Word] = field(default_factory=list)  # prepositional object, goal, adjective
    tail: list[Word] = field(default_factory=list)  # a relative clause, which goes after the verb
    thing: NounPhrase | None = None

    def add(self, part: Sides) -> list[Word]:
        """Add the English words and the relative clause of a part; return its German words."""
        self.objects += part.en
        self.tail += part.tail
        return part.de


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
        before, given = self.last_verb, subject
        for _ in range(TRIES):
            try:
                subject = given
                if subject is None and depth == 0 and pronoun:
                    subject = self._pronoun_subject()
                kind = self.choose("subject") if subject is None and depth == 0 else "person"
                noun = subject.noun if subject is not None else self.lexicon.pool(kind).draw(self.rng)
                verb = self.lexicon.verbs_of(noun).draw(self.rng)
                if verb.de["infinitive"] == before:
                    raise NoFit
                self.last_verb = verb.de["infinitive"]  # so that the relative clauses inside have other verbs
                plan = self._plan(verb, order, tense, bare, noun)
                plan.subject, plan.depth = subject, depth
                self._measure(plan, size)
                return self._write(plan, size)
            except NoFit:
                self.last_verb = before
        raise NoFit

    def _pronoun_subject(self) -> NounPhrase | None:
        """A pronoun for the antecedent, or I, we or you; None if the subject is to be a noun."""
        referent = self.referent() if self.chance("pronoun") else None
        if referent is None and self.chance("speaker"):
            name = SPEAKERS.draw(self.rng)
            referent = NounPhrase([], [], "1s" if name == "I" else "pl", name, "m")
        return self.pronoun_for(referent, "nom") if referent is not None else None

    def _write(self, plan: Plan, size: int) -> Sides:
        """The ordered words of a planned clause, both sides."""
        verb, subject, noun = plan.verb, plan.subject, plan.noun
        if subject is None:
            assert noun is not None
            relative = plan.depth == 0 or plan.order != "final"
            place = Slot("nom", plan.depth, relative=relative, singular=noun.en_plural is None)
            subject = self.noun_phrase(plan.sizes["subject"], self.lexicon.pool(noun.kind), place, noun)
        alike = verb.en["base"] == verb.en["past"] and subject.person != "3s"
        if alike and plan.tense in SIMPLE and verb.frame != "passive" and plan.order != "zu":
            raise NoFit  # "they put" may be present or past, and German needs to know
        negation = self.link() if plan.negated else 0
        words = self._verb(plan, subject.person, negation)
        parts = self._parts(plan, words, subject, negation)
        clause = Sides(self._english(plan, words, parts, subject), self._german(plan, words, parts, subject))
        if len(clause.en) != size:
            raise NoFit
        if plan.depth == 0:
            self._remember(subject, parts.thing)
        self.last_verb = verb.de["infinitive"]
        return clause

    def _parts(self, plan: Plan, words: VerbWords, subject: NounPhrase, negation: int) -> Parts:
        """Objects and adverbials. The last part of the English clause alone may contain a relative clause."""
        verb, sizes, parts = plan.verb, plan.sizes, Parts()
        kind = subject.noun.kind if subject.noun else "person"
        last = self._last_of(plan)
        owner = subject if kind in ("person", "animal") else None

        def slot(name: str, case: str) -> Slot:
            return Slot(case, plan.depth, relative=last == name, attach=not plan.negated, possessor=owner)

        if "object" in sizes:
            self._objects(plan, words, parts, slot, negation)
        else:
            parts.objects += said(verb.up, words.link)
        if "quality" in sizes or "goal" in sizes:
            end = self._goal(plan, slot("goal", "acc"), kind) if "goal" in sizes else self._quality(plan, subject)
            parts.last = parts.add(end)
        if "agent" in sizes:
            agent = self.noun_phrase(sizes["agent"], verb.agents, slot("agent", "dat"))
            parts.nouns = parts.add(self.governed("by", "von", agent))
        if "company" in sizes:
            choices = self.lexicon.words["company"]  # the last one, "for", needs an object
            en, de, case = choices[self.below(len(choices) - (verb.frame != "object"))]
            person = self.noun_phrase(sizes["company"], self.persons, slot("company", case))
            parts.company = self.governed(en, de, person)
        if "place" in sizes:
            parts.place = self._where(plan, slot("place", "dat"), kind)
        parts.tail += parts.company.tail + parts.place.tail
        if plan.how:
            parts.how = self.same(*plan.how)
        if plan.when:
            parts.when = self.fixed(plan.when)
        if plan.comment:
            parts.comment = self.fixed(plan.comment)
        if plan.often:
            parts.often = self.same(*plan.often)
        if negation and not (parts.thing and parts.thing.negated):
            parts.nicht = said("nicht", negation)
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
        particle, to = said(verb.up, words.link), said(verb.to, words.link)
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
        if verb.prep:
            *lead, preposition = verb.prep[0].split() or [""]
            link = self.link() if preposition else words.link  # "remembers": "an" belongs to the verb
            parts.objects += said(" ".join(lead), words.link) + said(preposition, link)
            parts.last = self.contracted(verb.prep[1], link, thing)
        else:
            parts.objects += particle + to
            parts.nouns = parts.nouns + thing.de
        parts.add(thing)
        if verb.options.get("pp"):
            self._receiver(sizes["receiver"], parts, slot("receiver", "dat"), "to")

    def _receiver(self, size: int, parts: Parts, slot: Slot, to: str = "") -> None:
        """The receiver: a dative before the accusative in German; "to" is linked to the word that shows the dative."""
        receiver = self.noun_phrase(size, self.persons, slot)
        (first, links), *rest = receiver.de
        if to:
            link = self.link()
            parts.objects += said(to, link)
            links = (*links, link)
        parts.add(receiver)
        parts.nouns = [(first, links), *rest, *parts.nouns]

    @staticmethod
    def _english(plan: Plan, words: VerbWords, parts: Parts, subject: NounPhrase) -> list[Word]:
        front, when = (parts.when.en, []) if plan.front else (parts.comment.en, parts.when.en)
        rest = parts.often.en + words.main + said(plan.verb.predicate, words.link) + parts.objects
        rest += parts.how.en + parts.company.en + parts.place.en + when
        if plan.order == "question":
            return words.aux[:1] + subject.en + words.aux[1:] + rest
        return front + subject.en + words.aux + rest

    def _german(self, plan: Plan, words: VerbWords, parts: Parts, subject: NounPhrase) -> list[Word]:
        front, when = (parts.when.de, []) if plan.front else (parts.comment.de, parts.when.de)
        middle: list[Word] = []
        if plan.verb.reflexive:
            middle = said(morphology.REFLEXIVE.get(subject.pronoun, "sich"), words.link)
        middle += parts.pronouns + when + parts.often.de
        if plan.verb.frame == "object" and parts.thing is not None and parts.thing.indefinite:
            middle += parts.how.de + parts.nouns + parts.nicht + parts.company.de  # "trinkt gern Milch"
        else:
            middle += parts.nouns + parts.nicht + parts.company.de + parts.how.de
        middle += parts.place.de + parts.last
        who = subject.whole()
        if plan.order == "zu":
            return middle + words.end + parts.tail
        if plan.order == "final":
            return who + middle + self._final(plan, words) + parts.tail
        if plan.order == "main" and not front:
            return [*who, words.finite, *middle, *words.end, *parts.tail]
        return [*front, words.finite, *who, *middle, *words.end, *parts.tail]

    def _remember(self, subject: NounPhrase, thing: NounPhrase | None) -> None:
        """Keep the antecedents of pronouns in the next clause."""
        if self.subject is None or subject.en:
            self.subject = subject
        self.object = thing if thing is None or thing.pronoun in ("it", "he", "she", "they") else None

    def _quality(self, plan: Plan, subject: NounPhrase) -> Sides:
        """ "old", "very old", "old and tired" after "is"."""
        size, never = plan.sizes["quality"], plan.verb.options.get("never", ())
        pool = self.lexicon.adjectives_of(subject.noun, False)
        if pool is None:
            raise NoFit
        adjective = pool.draw(self.rng)
        if adjective.en in never:
            raise NoFit
        words = self.same(adjective.en, adjective.de)
        if size == 2:
            return self.same(*self.lexicon.degree.draw(self.rng)) + words
        if size == 3:
            other = pool.draw(self.rng)
            clash = other.en == adjective.en or (adjective.en, other.en) in self.lexicon.opposites
            if clash or other.en in never:
                raise NoFit
            return words + self.same("and", "und") + self.same(other.en, other.de)
        return words

    def _goal(self, plan: Plan, slot: Slot, kind: str) -> Sides:
        size = plan.sizes["goal"]
        if plan.home:
            return self.same("home", "nach Hause")
        if plan.verb.frame == "put":
            return self._upon(size, slot, self.lexicon.pool("furniture"))
        return self.place(size, "from" if plan.verb.options.get("from") else "to", slot, kind)

    def _upon(self, size: int, slot: Slot, pool: Pool[Noun]) -> Sides:
        choices = self.lexicon.words["upon"]
        en, de = choices[min(self.below(len(choices)), self.below(len(choices)), self.below(len(choices)))]
        words = len(en.split())
        if size - words < 2:
            en, de, words = "on", "auf", 1
        slot.coordinate = False
        return self.governed(en, de, self.noun_phrase(size - words, pool, slot))

    def _where(self, plan: Plan, slot: Slot, kind: str) -> Sides:
        size, verb = plan.sizes["place"], plan.verb
        seats = verb.options.get("seats")
        if seats and (kind != "person" or self.rng.random() < 0.75):
            return self._upon(size, slot, self.lexicon.pool(*seats))
        return self.place(size, "at", slot, kind)
