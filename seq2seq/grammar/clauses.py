"""Clauses of an exact number of English words, and the order of words in both languages.

Knows a single clause; `relatives` writes those inside noun phrases. The orders of German words:

    main      subject|front  FINITE  [subject]  MIDDLE  END  relative
    inverted  FINITE  subject  MIDDLE  END  relative    (after a subordinate clause, or after "deshalb")
    shared    FINITE  MIDDLE  END  relative             (same subject as the clause before: "… und schläft")
    final     subject  MIDDLE  END  FINITE  relative    (subordinate and relative clauses)
    question  FINITE  subject  MIDDLE  END  relative
    zu        MIDDLE  zu-infinitive  relative

MIDDLE: sich, pronoun, time, often, dative, accusative, nicht, how, company, place, goal (see `_middle`). END: separable
prefix, participle, infinitive. A relative clause on the last phrase comes after the verb: "weil er das Haus kauft, das
alt ist". English ends in: objects, how, company, place, time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from seq2seq.grammar import morphology
from seq2seq.grammar.discourse import NOTHING, Discourse, NoFit, NounPhrase, Sides, Slot, Word, said
from seq2seq.grammar.entries import ANY, Demands, Pool
from seq2seq.grammar.nominal import adjectives, contracted, governed, marked, noun_phrase, part, place
from seq2seq.grammar.planning import measure, plan_clause
from seq2seq.grammar.predicates import Plan, VerbWords, verb_final, verb_words

TRIES = 60
HEAVY = 4  # German words of the objects, from which on they follow an adverb of manner
SPEAKERS = Pool(("I", "we", "you"), (5, 3, 3))


@dataclass(slots=True)
class Parts:
    """The words of those parts of a clause that are not in its plan, before they are put in order."""

    objects: list[Word] = field(default_factory=list)  # English: all words between verb and adverbials
    company: Sides = NOTHING
    place: Sides = NOTHING
    pronouns: list[Word] = field(default_factory=list)  # this part and those below are German
    receiver: list[Word] = field(default_factory=list)  # dative
    nouns: list[Word] = field(default_factory=list)  # the other object
    late_receiver: bool = False  # an indefinite receiver, which follows a definite object
    nicht: list[Word] = field(default_factory=list)
    last: list[Word] = field(default_factory=list)  # prepositional object, goal, adjective
    tail: list[Word] = field(default_factory=list)  # a relative clause, which goes after the verb
    thing: NounPhrase | None = None

    def add(self, part: Sides) -> list[Word]:
        """Add the English words and the relative clause of a part; return its German words."""
        self.objects += part.en
        self.tail += part.tail
        return part.de


def clause(
    d: Discourse, size: int, order: str, *, subject: NounPhrase | None = None, tense: str | None = None,
    depth: int = 0, bare: bool = False, demands: Demands = ANY,
) -> Sides:  # fmt: skip
    """A clause of exactly `size` English words.

    Args:
        order: see the head of this file; "shared" and "zu" take the subject of the clause before.
        subject: the subject of a relative clause, without words of its own.
        tense: the tense that the conjunction asks for.
        bare: no adverb of time and no comment.
        demands: what the sentence asks of the verb.

    Raises:
        NoFit: no clause of this size was found.
    """
    if order in ("shared", "zu"):
        assert d.subject is not None
        subject, tense = d.subject.silent(), d.time
    before, given, names = d.last_verb, subject, len(d.names)
    outside = set(d.nouns) if depth else set()
    for _ in range(TRIES):
        try:
            subject, d.nouns = given, set(outside)
            if subject is None and depth == 0 and order != "question":
                subject = _pronoun_subject(d)
            kind = d.choose("subject") if subject is None and depth == 0 else "person"
            noun = subject.noun if subject is not None else d.noun(d.lexicon.pool(kind))
            verbs = d.lexicon.verbs_of(noun, demands.aspects)
            if not verbs.items:
                raise NoFit
            if noun is not None:
                d.nouns.add(noun.en)
            verb = verbs.draw(d.rng)
            if verb.de["infinitive"] == before:
                raise NoFit
            d.last_verb = verb.de["infinitive"]  # so that the relative clauses inside have other verbs
            plan = plan_clause(d, verb, order, tense, bare, noun, demands)
            plan.subject, plan.depth = subject, depth
            measure(d, plan, size)
            return write(d, plan, size)
        except NoFit:
            d.last_verb = before
            del d.names[names:]
    raise NoFit


def _pronoun_subject(d: Discourse) -> NounPhrase | None:
    """A pronoun for the antecedent, or I, we or you; None if the subject is to be a noun."""
    referent = d.referent() if d.chance("pronoun") else None
    if referent is None and d.chance("speaker"):
        name = SPEAKERS.draw(d.rng)
        referent = NounPhrase([], [], "1s" if name == "I" else "pl", name, "m")
    return d.pronoun_for(referent, "nom") if referent is not None else None


def write(d: Discourse, plan: Plan, size: int) -> Sides:
    """The ordered words of a planned clause, both sides; the antecedents of pronouns in the next clause are kept."""
    verb, subject, noun = plan.verb, plan.subject, plan.noun
    if subject is None:
        assert noun is not None
        relative = plan.depth == 0 or plan.order != "final"
        slot = Slot("nom", plan.depth, relative=relative, singular=noun.en_plural is None)
        slot.specific = (plan.negated or plan.specific) and d.lexicon.negates_any_object
        subject = noun_phrase(d, plan.sizes["subject"], d.lexicon.pool(noun.kind), slot, noun)
    negation = d.link() if plan.negated else 0
    words = verb_words(d, plan, subject.person, negation)
    parts = _parts(d, plan, words, subject, negation)
    sides = ordered(d, plan, words, parts, subject)
    if len(sides.en) != size:
        raise NoFit
    if plan.depth == 0:
        d.habitual = d.habitual or plan.habitual
        if d.subject is None or subject.en:
            d.subject = subject
        thing = parts.thing
        d.object = thing if thing is None or thing.pronoun in ("it", "he", "she", "they") else None
    d.last_verb = verb.de["infinitive"]
    return sides


def _parts(d: Discourse, plan: Plan, words: VerbWords, subject: NounPhrase, negation: int) -> Parts:
    """Objects and adverbials. The last part of the English clause alone may contain a relative clause."""
    verb, sizes, parts = plan.verb, plan.sizes, Parts()
    kind = subject.noun.kind if subject.noun else "person"
    last = _last_of(plan)
    owner = subject if kind in ("person", "animal") else None

    def slot(name: str, case: str) -> Slot:
        specific = (plan.negated or plan.specific) and d.lexicon.negates_any_object
        placed = d.lexicon.one_place and "place" in sizes
        attach = verb.options.get("attach", True) and not (plan.negated or placed)
        relative = last == name and not plan.closed and not (d.lexicon.tail_beside_head and _parted(plan, name))
        return Slot(case, plan.depth, relative, attach, possessor=owner, specific=specific)

    if "object" in sizes:
        _objects(d, plan, words, parts, slot, negation)
    else:
        parts.objects += said(verb.up, words.link)
    if "quality" in sizes:
        never = list(verb.options.get("never", ()))
        if d.lexicon.consistent_adjectives:
            never += [other for word in subject.described for other in d.lexicon.excluded.get(word, ())]
        said_of_it = adjectives(d, sizes["quality"], subject.noun, None, never, plan.negated)
        subject.described += tuple(word for word, _ in said_of_it.en)
        parts.last = parts.add(said_of_it)
    elif "goal" in sizes:
        parts.last = parts.add(_place(d, plan, "goal", slot("goal", "acc"), kind))
    if "agent" in sizes:
        agent = noun_phrase(d, sizes["agent"], verb.agents, slot("agent", "dat"))
        parts.nouns = parts.add(governed(d, "by", "von", agent))
    if "company" in sizes:
        en, de, case = verb.companions[d.below(len(verb.companions))]
        person = noun_phrase(d, sizes["company"], d.lexicon.pool("person"), slot("company", case))
        parts.company = governed(d, en, de, person)
    if "place" in sizes:
        parts.place = _place(d, plan, "place", slot("place", "dat"), kind)
    parts.tail += parts.company.tail + parts.place.tail
    if negation and not (parts.thing and parts.thing.negated):
        parts.nicht = said("nicht", negation)
    return parts


def _last_of(plan: Plan) -> str:
    """The name of the last part of the English clause."""
    if plan.when.en:
        return "when"
    for name in ("place", "company", "how", "goal", "agent", "object"):
        if name in plan.sizes or (name == "how" and plan.how.en):
            return "receiver" if name == "object" and plan.verb.options.get("pp") else name
    return ""


def _parted(plan: Plan, name: str) -> bool:
    """Whether another noun follows this part in German though not in English: "wartet im Park auf den Zug"."""
    if name == "receiver":
        return True
    return name in ("place", "company") and (plan.verb.prep is not None or "goal" in plan.sizes)


def _may_be_late(receiver: NounPhrase) -> bool:
    """Whether it follows a definite object. A feminine one does not: "die Geschichte einer Frau" has a genitive."""
    return receiver.indefinite and receiver.gender != "f" and len(receiver.de) > 1


def _objects(
    d: Discourse, plan: Plan, words: VerbWords, parts: Parts, slot: Callable[[str, str], Slot], negation: int
) -> None:
    """The objects of the verb, with its particles and prepositions."""
    verb, sizes = plan.verb, plan.sizes
    particle, to = said(verb.up, words.link), said(verb.to, words.link)
    if plan.it is not None:
        parts.thing = d.pronoun_for(plan.it, verb.case)
        parts.objects += to + parts.thing.en + particle
        parts.pronouns = parts.thing.de
        return
    persons = d.lexicon.pool("person")
    if "receiver" in sizes and not verb.options.get("pp"):
        receiver = noun_phrase(d, sizes["receiver"], persons, slot("receiver", "dat"))
        parts.receiver, parts.late_receiver = parts.add(receiver), _may_be_late(receiver)
    where = slot("object", verb.prep[2] if verb.prep else verb.case)
    where.attach = where.attach and not verb.prep
    if not verb.options.get("own", True):
        where.possessor = None
    where.singular, where.definite = verb.options.get("number") == "sg", bool(verb.options.get("definite"))
    if (verb.frame == "object" and verb.case == "acc") or (d.lexicon.negates_any_object and not plan.how.en):
        where.negation, where.specific = negation, where.specific and not negation
    if verb.parts and sizes["object"] >= 5 and d.rng.random() < 0.5:
        thing = part(d, sizes["object"], where)
    else:
        assert verb.nouns is not None
        thing = noun_phrase(d, sizes["object"], verb.nouns, where)
    parts.thing, thing.article = thing, thing.article and not verb.options.get("apart")
    if verb.prep:
        *lead, preposition = verb.prep[0].split() or [""]
        link = d.link() if preposition else words.link  # "remembers": "an" belongs to the verb
        parts.objects += said(" ".join(lead), words.link) + said(preposition, link)
        parts.last = contracted(verb.prep[1], link, thing)
    else:
        parts.objects += particle + to
        parts.nouns = thing.de
    parts.add(thing)
    if verb.options.get("pp"):
        receiver = noun_phrase(d, sizes["receiver"], persons, slot("receiver", "dat"))
        parts.receiver = parts.add(marked(d, "to", receiver))
        parts.late_receiver = _may_be_late(receiver)


def ordered(d: Discourse, plan: Plan, words: VerbWords, parts: Parts, subject: NounPhrase) -> Sides:
    """The words of a clause in the order of each language; see the head of this file."""
    objects = said(plan.verb.predicate, words.link) + parts.objects
    rest = plan.often.en + words.main + objects + plan.how.en + parts.company.en + parts.place.en + plan.when.en
    if plan.order == "question":
        return Sides(words.aux[:1] + subject.en + words.aux[1:] + rest, _german(d, plan, words, parts, subject))
    return Sides(plan.front.en + subject.en + words.aux + rest, _german(d, plan, words, parts, subject))


def _german(d: Discourse, plan: Plan, words: VerbWords, parts: Parts, subject: NounPhrase) -> list[Word]:
    reflexive = said(morphology.REFLEXIVE.get(subject.pronoun, "sich") if plan.verb.reflexive else "", words.link)
    who = subject.de + subject.tail
    initial = plan.order == "main" and not plan.front.en
    if d.lexicon.manner_first and not (initial or subject.personal):
        who, reflexive = reflexive + who, []  # "wenn sich der Mann freut"
    middle = reflexive + parts.pronouns
    if d.lexicon.manner_first:
        middle += _middle(d, plan, parts)
    elif plan.verb.frame == "object" and parts.thing is not None and parts.thing.indefinite:
        middle += plan.when.de + plan.often.de + plan.how.de + parts.nouns + parts.nicht + parts.company.de
    else:
        middle += plan.when.de + plan.often.de + parts.receiver + parts.nouns + parts.nicht
        middle += parts.company.de + plan.how.de
    middle += parts.place.de + parts.last
    if plan.order == "zu":
        return who + middle + words.end + parts.tail
    if plan.order == "final":
        return who + middle + verb_final(plan, words) + parts.tail
    if initial:
        return [*who, words.finite, *middle, *words.end, *parts.tail]
    return [*plan.front.de, words.finite, *who, *middle, *words.end, *parts.tail]


def _middle(d: Discourse, plan: Plan, parts: Parts) -> list[Word]:
    """Adverbs, objects, "nicht" and company, before place and goal.

    What is indefinite stands late: "gibt dem Kind gern ein Buch", but "gibt das Buch gern einem Kind". So does what has
    more than `HEAVY` words: "sieht ruhig das Ufer des warmen Flusses an".
    """
    time, how = plan.when.de + plan.often.de, plan.how.de
    early = bool(how) and how[0][0] not in d.lexicon.late_manner
    if parts.thing is not None and parts.thing.indefinite and plan.verb.prep is None and (early or not how):
        return time + parts.receiver + how + parts.nouns + parts.nicht + parts.company.de
    if parts.late_receiver and not parts.tail:
        return time + parts.nouns + parts.nicht + how + parts.receiver + parts.company.de
    objects = parts.receiver + parts.nouns
    if len(objects) > HEAVY and early:
        return time + how + objects + parts.nicht + parts.company.de
    objects = objects + time if plan.late else time + objects
    return objects + parts.nicht + how + parts.company.de


def _place(d: Discourse, plan: Plan, name: str, slot: Slot, kind: str) -> Sides:
    """The part called `name` ("goal" or "place") of a clause whose subject is of this kind."""
    size, options = plan.sizes[name], plan.verb.options
    if name == "goal" and plan.home:
        return d.same("home", "nach Hause")
    seats = options.get("seats", ["furniture"] if plan.verb.frame == "put" else None)
    if seats and (name == "goal" or kind != "person" or d.rng.random() < 0.75):
        choices = d.lexicon.words["upon"]
        choices = choices[:1] if options.get("on") else choices
        slot.singular = "plural_place" in d.lexicon.share and not d.chance("plural_place")
        en, de = choices[min(d.below(len(choices)), d.below(len(choices)), d.below(len(choices)))]
        words = len(en.split())
        if size - words < 2:
            en, de, words = "on", "auf", 1
        slot.coordinate = False
        return governed(d, en, de, noun_phrase(d, size - words, d.lexicon.pool(*seats), slot))
    way = "in" if name == "place" else "from" if options.get("from") else "to"
    return place(d, size, way, slot, kind, options.get("places", ()))
