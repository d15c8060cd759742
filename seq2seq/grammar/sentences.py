"""Sentences made of clauses and connectors; and text and alignment made of their words.

Knows clauses by their number of words only. A long sentence has more clauses, not longer ones.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from seq2seq.grammar import lexicon
from seq2seq.grammar.clauses import clause, write
from seq2seq.grammar.discourse import COMMA, Discourse, NoFit, Sides, Word, said
from seq2seq.grammar.entries import Phrase
from seq2seq.grammar.predicates import Plan, verb_size
from seq2seq.grammar.relatives import relative

LONGEST_PLAIN = 13  # most words of a complex that is a single clause


@dataclass(frozen=True)
class AlignedPair:
    """A sentence in both languages and its gold word alignment.

    `alignment` holds (i, j): word i of `words(src)` is aligned to word j of `words(tgt)`; counted from 0, sorted.
    """

    src: str
    tgt: str
    alignment: tuple[tuple[int, int], ...]


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text: "Hund, der" has three. Alignments index them."""
    return re.findall(r"[,.;:!?]|[^\s,.;:!?]+", text)


def sentence(
    rng: random.Random, length: int, version: int = lexicon.LATEST, exponent: float | None = None
) -> AlignedPair:
    """A sentence of exactly `length` English words (3 or more; punctuation is glued to words and does not count).

    `version` is that of the corpus, whose lexicon and rules are taken; `exponent` is that of its word frequencies, None
    for the rules' own.
    """
    if length < 3:
        raise ValueError(f"a sentence has at least 3 words, not {length}")
    for _ in range(400):
        d = Discourse(lexicon.load(version, exponent), rng, relative)
        d.time = d.choose("time")
        try:
            if length <= 12 and d.chance("question"):
                return finish(clause(d, length, "question"), "?", d.link())
            return finish(_text(d, length), ".", d.link())
        except NoFit:
            continue
    raise RuntimeError(f"the grammar found no sentence of {length} words")


def _text(d: Discourse, length: int) -> Sides:
    """Complexes (a main clause with its dependents), joined by connectors."""
    first = _share_of(d, length)
    text = _complex(d, first, "main")
    rest = length - first
    while rest:
        connector = d.lexicon.connectors.draw(d.rng)
        size = 1 if connector["en"] else 0
        part = _share_of(d, rest - size)
        more = _again(d, part, "inverted" if connector.get("invert") else "main")
        text += d.same(*connector["mark"])
        text += d.same(connector["en"], connector["de"]) + more if size else more
        rest -= size + part
    return text


def _again(d: Discourse, size: int, order: str) -> Sides:
    """A complex after the first, tried several times, so that a failure does not discard the whole sentence."""
    subject, thing, names = d.subject, d.object, len(d.names)
    for _ in range(20):
        try:
            return _complex(d, size, order)
        except NoFit:
            d.subject, d.object = subject, thing
            del d.names[names:]
    raise NoFit


def _share_of(d: Discourse, rest: int) -> int:
    """The number of words of the next complex, out of `rest`; what is left is enough for a clause, or nothing."""
    if rest <= 9 or (rest <= 16 and d.rng.random() < 0.6):
        return rest
    part = 6 + d.below(13)
    return rest if rest - part < 6 else part


def _complex(d: Discourse, size: int, order: str) -> Sides:
    """A main clause and its dependent clauses. `order`: "main", or "inverted" after an adverb such as "deshalb"."""
    kind = d.choose("complex")
    if size < 7 or (kind == "plain" and size <= LONGEST_PLAIN):
        return clause(d, size, order)
    if kind == "plain":
        kind = "after"
    cut = 3 + d.below(min(size - 6, 9)) if size > 6 else 3
    if kind == "before" and order == "main":
        return _subordinate(d, "before", size - cut - 1, cut + 1, order)
    if kind in ("that", "infinitive"):
        return _content(d, kind, size, order)
    if kind == "shared":
        return _shared(d, cut, size - cut, order)
    if kind == "purpose" and size >= 9:
        return _purpose(d, size, order)
    return _subordinate(d, "after", cut, size - cut, order)


def _subordinator(d: Discourse, place: str) -> tuple[Phrase, str | None]:
    """A conjunction and the tense of its clause (None: any)."""
    choices = [each for each in d.lexicon.subordinators if place in each.options["place"]]
    while True:
        chosen = choices[min(d.below(len(choices)), d.below(len(choices)))]
        if chosen.options.get("when") in (None, d.time):
            break
    tense: str | None = None
    if chosen.options.get("tense") == "perfect":
        tense = "perfect" if d.time == "present" else "pluperfect"
    elif chosen.en[0] in ("when", "if", "before", "until", "while") or len(chosen.en) > 2:
        tense = d.time
    if d.time == "past" and "past" in chosen.options:
        chosen = replace(chosen, de=(chosen.options["past"],))
    return chosen, tense


def _subordinate(d: Discourse, place: str, size: int, rest: int, order: str) -> Sides:
    """ "The dog sleeps because it is tired"; or, with the German verb second, "When the dog is tired, it sleeps".

    `size` and `rest` are the words of the main clause and of the subordinate clause, whose `place` is after or before.
    """
    word, tense = _subordinator(d, place)
    if rest - len(word.en) < 2:
        raise NoFit
    d.habitual = False

    def own() -> Sides:
        once = (
            word.de[0] == "als" or "bare" in word.options
        )  # of a single event, so no "every day" in the clause itself
        return clause(d, rest - len(word.en), "final", tense=tense, bare=once, demands=word.clause)

    def main(order: str) -> Sides:
        return clause(d, size, order, tense=d.time if tense else None, demands=word.main)

    def conjunction() -> Sides:
        habit = word.options.get("habit") if d.habitual and d.time == "past" else None  # "wenn" instead of "als"
        return d.fixed(replace(word, de=(habit,)) if habit else word)

    if place == "before":
        before = own()
        if "other" in word.options:
            d.subject = d.object = None
        after = main("inverted")
        return conjunction() + before + d.same(",", ",") + after
    before = main(order)
    if "other" in word.options:
        d.subject = d.object = None
    after = own()
    return _comma(before, conjunction() + after)


def _comma(main: Sides, clause: Sides) -> Sides:
    """A main clause and the one that follows it, which German sets between commas."""
    return main + Sides(clause.en, [COMMA, *clause.de, COMMA])


def _shared(d: Discourse, size: int, rest: int, order: str) -> Sides:
    """ "The man opens the door and goes into the house": one subject, two verbs."""
    if rest < 3:
        raise NoFit
    first = clause(d, size, order, tense=d.time, demands=d.lexicon.shared)
    return first + d.same("and", "und") + clause(d, rest - 1, "shared")


def _content(d: Discourse, frame: str, size: int, order: str) -> Sides:
    """ "Anna says that the dog sleeps", "Anna asks whether …"; "Anna tries to open the door"."""
    cut = 2 + d.below(4)
    verb = d.lexicon.matrix[frame].draw(d.rng)
    plan = Plan(verb, d.time, d.chance("negation"), order)
    plan.sizes["subject"], d.nouns = cut - verb_size(d, plan), set()
    referent = d.referent()
    human = referent is not None and (referent.noun is None or referent.noun.kind == "person")
    if referent is not None and human and plan.sizes["subject"] == 1 and d.chance("pronoun"):
        plan.subject = d.pronoun_for(referent, "nom")
    elif plan.sizes["subject"] < 1:
        raise NoFit
    plan.noun = d.noun(d.lexicon.pool("person"))
    main = write(d, plan, cut)
    if frame == "infinitive":
        return _comma(main, clause(d, size - cut, "zu", demands=d.lexicon.complement))
    conjunction = d.same(verb.conjunction, "ob" if verb.conjunction == "whether" else "dass")
    if verb.options.get("other"):  # nobody sees that he himself sleeps
        d.subject = d.object = None
    return _comma(main, conjunction + clause(d, size - cut - 1, "final", demands=verb.clause))


def _purpose(d: Discourse, size: int, order: str) -> Sides:
    """ "Anna goes home in order to sleep"."""
    cut = 3 + d.below(size - 7)
    of_main, of_clause = d.lexicon.purpose
    main = clause(d, cut, order, tense=d.time, demands=of_main)
    if d.subject is None or (d.subject.noun is not None and d.subject.noun.kind != "person"):
        raise NoFit
    return _comma(main, d.same("in order", "um") + clause(d, size - cut - 2, "zu", demands=of_clause))


def finish(sides: Sides, mark: str, link: int) -> AlignedPair:
    """Text and alignment of the words of a sentence, with a capital letter and the final mark."""
    en, de = _tidy(sides.en) + said(mark, link), _tidy(sides.de) + said(mark, link)
    where: dict[int, list[int]] = {}
    for i, (_, links) in enumerate(en):
        for each in links:
            where.setdefault(each, []).append(i)
    alignment = sorted({(i, j) for j, (_, links) in enumerate(de) for each in links for i in where.get(each, ())})
    return AlignedPair(_text_of(en), _text_of(de), tuple(alignment))


def _tidy(words: list[Word]) -> list[Word]:
    """Drop commas at the end and before another mark, which takes over their links."""
    tidied: list[Word] = []
    for token in words:
        if token[0] in (",", ";") and tidied and tidied[-1][0] == ",":
            tidied[-1] = (token[0], tidied[-1][1] + token[1])
        else:
            tidied.append(token)
    while tidied[-1][0] == ",":
        tidied.pop()
    return tidied


def _text_of(words: list[Word]) -> str:
    text = "".join(word if word in (",", ";", ".", "?") else f" {word}" for word, _ in words).lstrip()
    return text[0].upper() + text[1:]
