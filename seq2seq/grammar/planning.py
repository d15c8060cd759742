"""The plan of a clause: its verb, its tense, and the number of English words of each part.

Knows what each verb asks for; knows no order of words.
"""

from __future__ import annotations

from seq2seq.grammar import morphology
from seq2seq.grammar.discourse import NOTHING, Discourse, NoFit, NounPhrase
from seq2seq.grammar.entries import ANY, Demands, Noun, Verb
from seq2seq.grammar.predicates import SIMPLE, Plan, verb_size


def plan_clause(
    d: Discourse, verb: Verb, order: str, tense: str | None, bare: bool, noun: Noun | None, demands: Demands = ANY
) -> Plan:
    """Tense, negation and modal of a clause. Raises NoFit where they do not go with the verb."""
    composed = verb.frame in ("passive", "quality")
    if tense is None:
        tense = d.choose(d.time)
        if (order == "shared" or bare) and tense not in ("present", "past", "perfect"):
            tense = d.time
        if composed and tense not in SIMPLE:
            tense = d.time
        willed = d.lexicon.after_modal.aspects
        if tense in morphology.MODALS and willed is not None and verb.aspect not in willed:
            tense = d.time
    if (verb.frame == "passive" or verb.options.get("simple")) and tense not in SIMPLE:
        raise NoFit
    if order == "zu" and composed:
        raise NoFit
    negated = not demands.affirmed and order not in ("shared", "zu") and d.chance("negation")
    plan = Plan(verb, tense, negated, order, bare=bare, closed=demands.closed, noun=noun)
    if tense in morphology.MODALS:
        plan.modal = d.below(len(d.lexicon.modals[tense]))
        if verb.by.isdisjoint(("person", "animal")) or (noun is not None and noun.kind not in ("person", "animal")):
            raise NoFit
        plan.negated = negated and d.lexicon.modals[tense][plan.modal].negatable
    return plan


def measure(d: Discourse, plan: Plan, size: int) -> None:
    """Set the number of words of each part of the clause; they sum to `size`."""
    rest = size - verb_size(d, plan) - (len(plan.subject.en) if plan.subject else 0)
    _least(d, plan)
    rest -= sum(plan.sizes.values())
    if rest < 0:
        raise NoFit
    _grow(d, plan, _adverbials(d, plan, rest))


def _least(d: Discourse, plan: Plan) -> None:
    """The parts that the verb asks for, each with the fewest words that it can have."""
    verb, frame, sizes = plan.verb, plan.verb.frame, plan.sizes
    human = plan.noun is not None and plan.noun.kind == "person"
    if plan.subject is None:
        sizes["subject"] = 1 if human else 2
    if frame in ("object", "about", "gift", "put"):
        plan.it = _object_pronoun(d, plan) if frame == "object" and plan.depth == 0 else None
        sizes["object"] = 1 if plan.it or d.rng.random() < 0.06 else 2
    if frame == "gift":
        sizes["receiver"] = 1
    elif frame in ("put", "towards"):
        plan.home = frame == "towards" and d.rng.random() < 0.15 and not verb.options.get("from") and human
        sizes["goal"] = 1 if plan.home else 3
    elif frame == "rest" or verb.options.get("needs_place"):
        sizes["place"] = 3
    elif frame == "quality":
        sizes["quality"] = 1


def _grow(d: Discourse, plan: Plan, rest: int) -> None:
    """Distribute the remaining words over the parts that can be longer."""
    verb, sizes, bare = plan.verb, plan.sizes, d.lexicon.bare
    fixed = {"object": plan.it is not None, "goal": plan.home}
    names = ("subject", "receiver", "object", "goal", "place", "company", "agent")
    growing = [name for name in names if name in sizes and not fixed.get(name)]
    limits = {"quality": 3}
    if "object" in sizes and verb.nouns is not None and verb.nouns.items[0].kind in bare:
        limits["object"] = 3
    if plan.noun is not None and plan.noun.kind in bare:
        limits["subject"] = 3
    if verb.frame == "quality" and ((rest and d.rng.random() < 0.3) or not growing):
        growing.append("quality")
    while rest:
        candidates = [name for name in growing if sizes[name] < limits.get(name, 9)]
        candidates = candidates or [name for name in growing if name not in limits]
        if not candidates:
            raise NoFit
        name = candidates[d.below(len(candidates))]
        step = 1 if rest < 4 or sizes[name] == 1 else 1 + d.below(min(rest, limits.get(name, 9) - 2, 4))
        step = min(step, max(1, limits.get(name, 99) - sizes[name]))
        sizes[name] += step
        rest -= step


def _adverbials(d: Discourse, plan: Plan, rest: int) -> int:
    """Add time, manner, company and place as far as words are left; return the number of words that remain."""
    verb, sizes, rng = plan.verb, plan.sizes, d.rng
    growing = not sizes.keys().isdisjoint(("subject", "receiver", "goal", "place"))
    tight = rest > 0 and not growing and ("object" not in sizes or plan.it is not None)
    rest = _times(d, plan, rest, tight)
    frames = ("object", "gift", "put") if d.lexicon.negates_any_object else ("object", "gift")
    settled = plan.negated and verb.frame in frames
    how = verb.how if verb.frame not in ("quality", "passive") and not settled else None
    if plan.often.en and d.lexicon.one_adverb:
        how = None
    adverb = ""
    if rest >= 1 and how is not None and rng.random() < (0.6 if tight else d.lexicon.share["how"]):
        adverb, german = how.draw(rng)
        if adverb not in d.lexicon.unmeant or not (plan.order == "zu" or plan.tense in morphology.MODALS):
            plan.how = d.same(adverb, german)
            rest -= 1
    accompanied = verb.company and "person" in verb.by and how is not None and adverb != "alone"
    if verb.frame == "passive":
        if rest >= 3 and d.chance("agent"):
            sizes["agent"] = 1 if "person" in verb.options.get("by", ["person"]) else 2
            rest -= 1 + sizes["agent"]
    elif rest >= 2 and accompanied and d.chance("company"):
        sizes["company"] = 1
        rest -= 2
    where = verb.place and verb.frame not in ("towards", "put", "rest", "quality")
    if rest >= 3 and where and rng.random() < (0.8 if tight else d.lexicon.share["where"]):
        sizes["place"] = 3
        rest -= 3
    return rest


def _times(d: Discourse, plan: Plan, rest: int, tight: bool) -> int:
    """Add a time, a frequency and a comment as far as words are left; return the number of words that remain."""
    inner = plan.bare or plan.order in ("zu", "shared")
    if rest >= 1 and not inner and plan.verb.when and d.rng.random() < (0.5 if tight else d.lexicon.share["when"]):
        times = d.lexicon.times
        when = times[min(d.below(len(times)), d.below(len(times)))]
        tense_fits = plan.tense != "perfect" if when.tense is None else plan.tense in when.tense
        if len(when.en) <= rest and tense_fits and not (plan.negated and when.en[0] in ("every", "again")):
            plan.when, plan.habitual = d.fixed(when), when.en[0] == "every"
            plan.late = bool(when.options.get("late"))
            rest -= len(when.en)
    if rest >= 1 and plan.order == "main" and not plan.bare and d.chance("comment"):
        comment = d.lexicon.comments.draw(d.rng)
        if len(comment.en) <= rest and (comment.tense is None or plan.tense in comment.tense):
            plan.front = d.fixed(comment)
            rest -= len(comment.en)
    timed = bool(plan.when.en)
    if timed and not plan.front.en and plan.order == "main" and d.chance("front"):
        plan.front, plan.when = plan.when, NOTHING
    simple, may_repeat = plan.simple and not plan.negated, plan.verb.options.get("often", True)
    if rest >= 1 and simple and not timed and (plan.depth or not plan.bare) and may_repeat and d.chance("often"):
        en, de = d.lexicon.frequency.draw(d.rng)
        plan.often, plan.habitual, plan.specific = d.same(en, de), True, en == "never"
        rest -= 1
    return rest


def _object_pronoun(d: Discourse, plan: Plan) -> NounPhrase | None:
    """The antecedent of "it", "him" or "them" as object, in a clause about the last subject; None for a noun."""
    subject, other, verb = plan.subject, d.object, plan.verb
    if other is None or other.noun is None or subject is None or not subject.en:
        return None
    if not d.chance("object_pronoun") or verb.options.get("number"):
        return None
    if subject.pronoun == other.pronoun or d.subject is None or subject.pronoun != d.subject.pronoun:
        return None
    if other.noun.kind in ("money", "part", "span") or other.noun.en not in verb.lemmas:
        return None
    return other
