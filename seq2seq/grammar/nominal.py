"""Noun phrases with their modifiers, and prepositional phrases, in both languages.

Knows noun phrases of an exact number of English words, and agreement (case, gender, number, the three declensions of
adjectives); the discourse supplies relative clauses.
"""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.grammar import morphology
from seq2seq.grammar.discourse import Discourse, NoFit, NounPhrase, Sides, Slot, Word, said
from seq2seq.grammar.entries import Adjective, Noun, Pool

MAX_DEPTH = 2  # of clauses inside noun phrases: deeper centre embedding is hard to read
LOCATED = ("person", "animal", "thing", "machine", "building", "furniture", "plant")  # "the dog in the garden"


def noun_phrase(d: Discourse, size: int, pool: Pool[Noun], slot: Slot, noun: Noun | None = None) -> NounPhrase:
    """A noun phrase of exactly `size` English words, its noun drawn from the pool unless given."""
    if noun is None:
        noun = d.noun(pool)
    human = noun.kind == "person"
    if human and not slot.definite and (size == 1 or (size == 3 and d.rng.random() < 0.12 and slot.coordinate)):
        return _names(d, size, slot, noun)
    several = slot.coordinate and not slot.negation and not slot.singular and size >= 5
    if several and (size > 14 or d.rng.random() < 0.1):
        return _coordination(d, size, pool, slot, noun)
    if size > 6 or (size > 3 and d.rng.random() > (0.65, 0.3, 0.1)[size - 4]):
        options = _modifiers_of(d, noun, size, slot)
        if options:
            return _modified(d, size, noun, slot, options.draw(d.rng))
        if size > 6:
            raise NoFit
    return core_phrase(d, size, noun, slot)


def _names(d: Discourse, size: int, slot: Slot, noun: Noun) -> NounPhrase:
    """ "Anna", "Anna and Peter"; now and then "children"."""
    if size == 1 and not d.chance("name") and not (slot.singular or slot.negation or slot.specific):
        return core_phrase(d, 1, noun, slot)
    sex, other = ("he", "she") if d.rng.random() < 0.5 else ("she", "he")
    name = d.name(sex)
    words = d.same(name, name)
    if size == 1:
        return NounPhrase(words.en, words.de, "3s", sex, "m" if sex == "he" else "f")
    name = d.name(other)
    words += d.same("and", "und") + d.same(name, name)
    return NounPhrase(words.en, words.de, "pl", "they", "p")


def _coordination(d: Discourse, size: int, pool: Pool[Noun], slot: Slot, noun: Noun) -> NounPhrase:
    """Two noun phrases with "and"; the first has no modifier that the second could be read as part of."""
    first_size = 2 + (size > 5 and d.rng.random() < 0.5)
    plain = Slot(
        slot.case, slot.depth, attach=False, coordinate=False, possessor=slot.possessor, specific=slot.specific
    )
    first = core_phrase(d, first_size, noun, plain)
    other = d.noun(pool)
    for _ in range(4):
        if other.en != noun.en and (other.kind == noun.kind or not d.lexicon.like_with_like):
            break
        other = d.noun(pool)
    else:
        raise NoFit
    rest = Slot(slot.case, slot.depth, slot.relative, slot.attach, coordinate=False, specific=slot.specific)
    words = first + d.same("and", "und") + noun_phrase(d, size - first_size - 1, pool, rest, other)
    return NounPhrase(words.en, words.de, "pl", "they", "p", noun, indefinite=first.indefinite, tail=words.tail)


def _modifiers_of(d: Discourse, noun: Noun, size: int, slot: Slot) -> Pool[str] | None:
    """The modifiers that the noun can have with this many words, weighted; None if there are none."""
    lexicon = d.lexicon
    possible = {
        "genitive": size >= 5 and (not noun.kinds.isdisjoint(lexicon.owned) or noun.en in lexicon.relational),
        "place": size >= 5 and slot.attach and noun.kind in LOCATED,
        "relative": slot.relative and slot.depth < MAX_DEPTH and size <= 16,
    }
    options = {name: weight for name, weight in lexicon.rules["modifier"].items() if possible[name]}
    return Pool(options, options.values()) if options and noun.kind not in lexicon.bare else None


def _modified(d: Discourse, size: int, noun: Noun, slot: Slot, modifier: str) -> NounPhrase:
    least = 2 if modifier == "relative" else 3
    core_size = 2 + (size - 2 - least >= 1 and d.rng.random() < 0.4)
    inner = Slot("gen", slot.depth, slot.relative, slot.attach, definite=True, coordinate=False)
    phrase = core_phrase(d, core_size, noun, slot)
    size -= core_size
    if modifier == "genitive":
        if not phrase.article and (phrase.person != "pl" or (phrase.owned and d.lexicon.one_owner)):
            raise NoFit
        return _with(phrase, marked(d, "of", noun_phrase(d, size - 1, d.lexicon.pool("person"), inner)))
    if modifier == "place":
        return _with(phrase, place(d, size, "in", inner, noun.kind))
    return _with(phrase, d.relative(d, phrase, size, slot.depth + 1))


def _with(phrase: NounPhrase, modifier: Sides) -> NounPhrase:
    """Append a modifier to a noun phrase."""
    phrase.en += modifier.en
    phrase.de += modifier.de
    phrase.tail = modifier.tail
    return phrase


def marked(d: Discourse, preposition: str, phrase: NounPhrase) -> Sides:
    """ "of the teacher", "to the teacher": the preposition is linked to the German word that shows the case."""
    link = d.link()
    (word, links), *rest = phrase.de
    return Sides([(preposition, (link,)), *phrase.en], [(word, (*links, link)), *rest], tail=phrase.tail)


def part(d: Discourse, size: int, slot: Slot) -> NounPhrase:
    """ "the trunk of the old elephant": the possessor decides the German noun."""
    name = d.lexicon.part_pool.draw(d.rng)
    senses = d.lexicon.parts[name]
    owners, noun = senses[d.below(len(senses))]
    single = name not in d.lexicon.manifold
    definite = Slot(slot.case, slot.depth, definite=True, coordinate=False, singular=single)
    core_size = 2 + (size > 5 and d.rng.random() < 0.3 and d.lexicon.adjectives_of(noun, True) is not None)
    phrase = core_phrase(d, core_size, noun, definite, "the")
    inner = Slot("gen", slot.depth, slot.relative, slot.attach, definite=True, coordinate=False, singular=True)
    return _with(phrase, marked(d, "of", noun_phrase(d, size - core_size - 1, owners, inner)))


def governed(d: Discourse, en: str, de: str, phrase: NounPhrase) -> Sides:
    """A preposition before a noun phrase, contracted in German where that is usual ("im", "zur")."""
    link = d.link()
    return Sides(said(en, link) + phrase.en, contracted(de, link, phrase), tail=phrase.tail)


def contracted(de: str, link: int, phrase: NounPhrase) -> list[Word]:
    """The German side of `governed`, without the relative clause."""
    word, links = phrase.de[0]
    one = morphology.CONTRACTED.get((de, word)) if phrase.article else None
    if one:
        return [(one, (link, *links)), *phrase.de[1:]]
    return said(de, link) + phrase.de


def place(d: Discourse, size: int, way: str, slot: Slot, kind: str, kinds: Sequence[str] = ()) -> Sides:
    """A place of exactly `size` words for a noun of this kind: "in" (rest), "to" (direction) or "from".

    `kinds` are those of the place, if the verb asks for some.
    """
    surroundings = d.lexicon.words["surroundings"]
    pool = d.lexicon.pool(*(kinds or surroundings.get(kind, surroundings["other"])))
    slot.coordinate = False
    slot.singular = slot.singular or ("plural_place" in d.lexicon.share and not d.chance("plural_place"))
    if way == "in" and size >= 3 and not kinds and d.rng.random() < 0.22:
        choices = d.lexicon.words["beside"]
        en, de, slot.case = choices[d.below(len(choices))]
        left = size - len(en.split())
        if left >= 2:
            slot.definite = slot.case == "gen"
            pool = d.lexicon.pool(*(("place", "water") if en == "near" else ("building", "plant", "vehicle")))
            return governed(d, en, de, noun_phrase(d, left, pool, slot))
    noun = d.noun(pool)
    en, de = noun.ways.get(way, ("in", "in"))
    slot.case = "acc" if way == "to" and de != "zu" else "dat"
    slot.definite = False
    return governed(d, en, de, noun_phrase(d, size - 1, pool, slot, noun))


def core_phrase(d: Discourse, size: int, noun: Noun, slot: Slot, choice: str = "") -> NounPhrase:
    """A noun with determiner and adjectives, `size` English words; `choice`: kind of determiner, drawn if empty."""
    plural = noun.en_plural is not None and not slot.singular and d.chance("plural")
    if size == 1:
        bare = not (slot.definite or slot.specific or slot.case == "gen")
        if not bare or not (noun.mass or (noun.en_plural and not slot.singular)):
            raise NoFit
        plural = not noun.mass
        choice = "bare"
    gender = "p" if plural else noun.gender
    choice = choice or _choice(d, plural, noun, slot, size)
    words, declension = _determiner(d, choice, plural, gender, slot)
    left = size - 1 - len(words.en)
    if choice == "the" and plural and left and d.rng.random() < 0.12:
        words += d.same(*d.lexicon.numbers.draw(d.rng))
        left -= 1
    if left:
        words += adjectives(d, left, noun, morphology.ADJECTIVE_ENDING[declension][slot.case][gender])
    described = tuple(word for word, _ in words.en)
    words += d.same((noun.en_plural if plural else None) or noun.en, noun.de[slot.case + ("p" if plural else "s")])
    if choice == "a":
        words.en[0] = (morphology.article_a(words.en[1][0]), words.en[0][1])
    return NounPhrase(
        words.en, words.de, "pl" if plural else "3s", "they" if plural else noun.pronoun, gender, noun,
        article=choice == "the",
        indefinite=choice in ("a", "bare", "number", "quantifier"),
        negated=choice in ("a", "bare") and bool(slot.negation),
        owned=choice in ("possessive", "name"),
        described=described,
    )  # fmt: skip


def _determiner(d: Discourse, choice: str, plural: bool, gender: str, slot: Slot) -> tuple[Sides, str]:
    """The determiner on both sides, perhaps empty, and the declension of the adjectives after it."""
    ein, der = morphology.EIN_ENDING[slot.case][gender], morphology.DER_ENDING[slot.case][gender]
    if slot.negation and choice in ("bare", "a"):
        link = d.link()
        return Sides(said("a" if choice == "a" else "", link), said("kein" + ein, link, slot.negation)), "mixed"
    if choice == "number":
        en, de = d.lexicon.numbers.draw(d.rng)
        declension = "strong"
    elif choice == "name":
        name = d.name("he" if d.rng.random() < 0.5 else "she")
        en, de, declension = name + "'s", name + "s", "strong"
    elif choice == "quantifier":
        en, stem, declension = d.lexicon.quantifiers.draw(d.rng)
        de = stem + der
    elif choice == "possessive":
        assert slot.possessor is not None
        en, de = morphology.possessive(slot.possessor.pronoun, slot.possessor.gender)
        de, declension = de + ein, "mixed"
    else:
        en, de, declension = {
            "bare": ("", "", "strong"),
            "a": ("a", "ein" + ein, "mixed"),
            "the": ("the", morphology.DEFINITE[slot.case][gender], "weak"),
            "this": ("these" if plural else "this", "dies" + der, "weak"),
            "every": ("every", "jed" + der, "weak"),
        }[choice]
    return d.same(en, de), declension


def _choice(d: Discourse, plural: bool, noun: Noun, slot: Slot, size: int) -> str:
    """The kind of determiner, drawn by the shares of rules.yaml."""
    owner, indefinite = slot.possessor, d.lexicon.share["indefinite"]
    if d.rng.random() < d.lexicon.share["possessive"] and owner is not None:
        human = owner.noun is None or owner.noun.kind == "person"
        owned = not noun.kinds.isdisjoint(d.lexicon.possessed) if human else noun.kind == "food"
        if owned or (human and noun.en in d.lexicon.relational):
            return "possessive"
    draw = d.rng.random()
    if slot.definite:
        return "the" if draw < 0.85 or noun.kind in ("sky", "span") or noun.en_plural is None else "this"
    if noun.mass:
        bare = size > 2 and not slot.specific and draw < 0.45 and d.lexicon.adjectives_of(noun, True) is not None
        return "bare" if bare else "the"
    if noun.en_plural is None or noun.kind == "sky":
        return "the"
    if slot.specific:
        return "the" if draw < 0.9 else "this"
    if draw < indefinite:
        if not plural:
            return "a"
        if size > 2 and draw < 0.12:
            return "bare"
        if slot.case == "gen" or slot.negation:
            return "the"
        return "number" if draw < 0.24 else "quantifier"
    if draw < indefinite + 0.05:
        return "this"
    if draw < indefinite + 0.09 and not noun.kinds.isdisjoint(d.lexicon.owned) and slot.case != "gen":
        return "name"
    if draw < indefinite + 0.11 and not plural and not slot.negation and slot.case == "nom":
        return "every"
    return "the"


def adjectives(
    d: Discourse, size: int, noun: Noun | None, ending: str | None, never: Sequence[str] = (), negated: bool = False
) -> Sides:
    """ "old", "very old", "old and tired", "very old and tired", with the German ending.

    Without `ending` (None) they come after "is", and `noun` is the subject (None: any person). `never`: English
    adjectives that must not be drawn. `negated`: after "is not".
    """

    def both(adjective: Adjective) -> Sides:
        return d.same(adjective.en, adjective.de if ending is None else adjective.stem + ending)

    pool = d.lexicon.adjectives_of(noun, ending is not None)
    if pool is None or size > 4:
        raise NoFit
    first = pool.draw(d.rng)
    if first.en in never:
        raise NoFit
    words = both(first)
    if size in (2, 4):
        if not first.graded:
            raise NoFit
        predicative = d.lexicon.negated_degree if negated else d.lexicon.degree
        words = d.same(*(predicative if ending is None else d.lexicon.attributive_degree).draw(d.rng)) + words
    if size < 3:
        return words
    if not first.joined:
        raise NoFit
    for _ in range(1 if ending is None else 6):
        second = pool.draw(d.rng)
        free = second.joined and second.en not in (first.en, *never)
        if free and (first.en, second.en) not in d.lexicon.opposites:
            return words + d.same("and", "und") + both(second)
    raise NoFit
