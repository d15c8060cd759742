"""The lexicon: words with all their forms, and weighted pools of them, read from YAML and checked.

Knows the files of `data/grammar`, a folder for each version of the corpus, and the paradigms; knows nothing of
sentences. What sets the versions apart is in the files alone: those of version 1 lack the options that restrict its
words, and `mends` in rules.yaml names the rules that version 1 does not have. Every form is computed at loading.
Weights follow Zipf's law: 1 / (rank + offset) ** exponent within a class of words.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import itertools
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import yaml

from seq2seq.grammar import morphology
from seq2seq.grammar.entries import Adjective, Demands, LexiconError, Noun, Pool, Verb, demands, phrase

LATEST = 2  # version of the corpus
FILES = ("nouns", "verbs", "adjectives", "function_words", "rules")
VERB_OPTIONS = {name: name for name in ("up", "to", "case", "prep", "place", "when")} | {
    "self": "reflexive", "en_pred": "predicate", "with": "company", "conj": "conjunction", "aspect": "aspect",
}  # fmt: skip
# Kinds that "his" and "whose" go with, where nouns.yaml does not say.
POSSESSED = ("animal", "thing", "clothing", "vehicle", "building", "food", "text", "instrument")
WHOSE = ("animal", "vehicle", "building", "=sister", "=brother", "=father", "=daughter", "=son")
T = TypeVar("T")
Entry = TypeVar("Entry", Noun, Adjective, Verb)


def _by_weight(entries: list[Entry]) -> Pool[Entry]:
    return Pool(entries, [entry.weight for entry in entries])


class Lexicon:
    """All words and rules, made by `load`; never changed afterwards."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.rules: dict[str, Any] = files["rules"]
        self._read_mends()
        self.share: dict[str, float] = self.rules["share"]
        self.words: dict[str, Any] = files["function_words"]
        self.late_manner = frozenset(self.words.get("late_manner", ()))
        self.choices = {
            name: Pool(self.rules[name], self.rules[name].values())
            for name in ("subject", "time", "present", "past", "relative", "complex")
        }
        self.pool: Callable[..., Pool[Noun]] = functools.cache(self._pool)
        self.adjectives_of: Callable[[Noun | None, bool], Pool[Adjective] | None] = functools.cache(self._adjectives_of)
        self.verbs_of: Callable[..., Pool[Verb]] = functools.cache(self._verbs_of)
        self.verbs_taking: Callable[[Noun], Pool[Verb] | None] = functools.cache(self._verbs_taking)
        self._read_nouns(files["nouns"])
        self._read_adjectives(files["adjectives"])
        self.manner = {en: (en, de) for en, de in self.words["manner"]}
        self._read_verbs(files["verbs"])
        self.frequency = self._zipf(self.words["frequency"])
        self.degree = self._zipf(self.words["degree"])
        negated = self.words.get("negated_degree")
        self.negated_degree = self._zipf([pair for pair in self.words["degree"] if not negated or pair[0] in negated])
        self.attributive_degree = self._zipf([pair for pair in self.words["degree"] if pair[0] != "too"])
        self.numbers = self._zipf(list(self.words["numbers"].items()))
        self.quantifiers = self._zipf(self.words["quantifiers"])
        self.connectors = self._zipf(self.words["connectors"])
        self.comments = self._zipf([phrase(entry) for entry in self.words["comment"]])
        self.subordinators = [phrase(entry) for entry in self.words["subordinators"]]
        self.times = [phrase(entry) for entry in self.words["time"]]
        self._check()

    def _read_mends(self) -> None:
        """What sets version 2 apart, beside its words; without an entry in rules.yaml, each is as in version 1."""
        mends = frozenset(self.rules.get("mends", ()))
        self.distinct_nouns = "distinct_nouns" in mends
        self.negates_any_object = "negates_any_object" in mends
        self.consistent_adjectives = "consistent_adjectives" in mends
        self.manner_first = "manner_first" in mends
        self.one_place = "one_place" in mends
        self.one_adverb = "one_adverb" in mends
        self.splits_zu = "splits_zu" in mends
        self.one_owner = "one_owner" in mends
        self.tail_beside_head = "tail_beside_head" in mends
        self.like_with_like = "like_with_like" in mends
        self.shared = Demands(affirmed="closed_before_and" in mends, closed="closed_before_and" in mends)
        unused = self.rules.get("unused_modals", ["was able to"])
        self.modals = {
            tense: [modal for modal in modals if modal.third not in unused]
            for tense, modals in morphology.MODALS.items()
        }
        asked = self.rules.get("demands", {})
        self.purpose = [demands(asked.get("purpose", {}), place) for place in ("main", "clause")]
        self.complement = demands(asked.get("infinitive", {}), "clause")
        self.whereabouts = demands(asked.get("where", {}), "clause")
        self.after_modal = demands(asked.get("modal", {}), "clause")
        self.unmeant = frozenset(self.rules.get("unmeant", ()))

    def _weight(self, rank: int, file: str) -> float:
        return float((rank + self.rules["offset"][file]) ** -self.rules["exponent"])

    def _zipf(self, items: list[T]) -> Pool[T]:
        return Pool(items, [self._weight(rank, "function_words") for rank in range(len(items))])

    def _read_nouns(self, data: dict[str, Any]) -> None:
        self.names: dict[str, Pool[str]] = {sex: self._zipf(names) for sex, names in data.pop("names").items()}
        parts, plurals = data.pop("part"), data.pop("part_plurals")
        self.manifold = frozenset(data.pop("manifold"))
        self.relational = frozenset(data.pop("relational"))
        self.owned: tuple[str, ...] = tuple(data.pop("owned"))
        self.possessed = frozenset(data.pop("possessed", POSSESSED))
        self.whose: tuple[str, ...] = tuple(data.pop("whose", WHOSE))
        self.bare = frozenset(data.pop("bare"))
        self.nouns: list[Noun] = []
        self.kinds: dict[str, list[Noun]] = {}
        self.by_lemma: dict[str, list[Noun]] = {}
        for kind, entries in data.items():
            for rank, (en, entry) in enumerate(entries.items()):
                noun = self._noun(kind, en, entry, self._weight(rank, "nouns"))
                self.nouns.append(noun)
                self.by_lemma.setdefault(en, []).append(noun)
                for each in noun.kinds:
                    self.kinds.setdefault(each, []).append(noun)
        self._read_parts(parts, plurals)

    def _read_parts(self, parts: dict[str, Any], plurals: dict[str, str]) -> None:
        """For each part and kind of possessor: the pool of possessors, and the noun in its sense."""
        self.parts: dict[str, list[tuple[Pool[Noun], Noun]]] = {}
        self.part_pool = self._zipf(list(parts))
        for rank, (en, senses) in enumerate(parts.items()):
            special = {name[1:] for name in senses if name.startswith("=")}
            self.parts[en] = []
            for possessor, entry in senses.items():
                if en in plurals:
                    entry = [*entry, {"plural": plurals[en]}]
                if possessor.startswith("="):
                    owners = self.by_lemma[possessor[1:]]
                else:
                    owners = [owner for owner in self.kinds[possessor] if owner.en not in special]
                self.parts[en].append((_by_weight(owners), self._noun("part", en, entry, self._weight(rank, "nouns"))))

    def _noun(self, kind: str, en: str, entry: list[Any], weight: float) -> Noun:
        gender, nominative, genitive, plural, options = entry if len(entry) > 4 else (*entry, {})
        usual = "it" if kind != "person" else "he" if gender == "m" else "she"
        return Noun(
            en=en,
            en_plural=None if plural is None else options.get("plural") or morphology.english_plural(en),
            gender=gender,
            de=morphology.noun_forms(nominative, genitive, plural, options.get("weak", False)),
            kind=kind,
            kinds=frozenset([kind, *options.get("also", [])]),
            weight=weight,
            mass=options.get("mass", False),
            pronoun=options.get("pronoun", usual),
            ways={way: options[way] for way in ("in", "to", "from") if way in options},
        )

    def _pool(self, *kinds: str) -> Pool[Noun]:
        """The nouns of these kinds; "=dog", or a name that no kind has, means a single noun."""
        found: set[Noun] = set()
        for kind in kinds:
            nouns = self.kinds.get(kind) or self.by_lemma.get(kind.removeprefix("="))
            if nouns is None:
                raise LexiconError(f"{kind!r} is neither a kind of noun nor a noun")
            found.update(nouns)
        return _by_weight([noun for noun in self.nouns if noun in found])

    def _read_adjectives(self, data: list[dict[str, Any]]) -> None:
        self.adjectives: list[Adjective] = []
        for rank, entry in enumerate(data):
            de, _, stem = entry["de"].partition("/")
            places = entry.get("attr", True), entry.get("pred", True)
            adjective = Adjective(
                entry["en"], de, stem or de, *places, frozenset(entry["of"]), self._weight(rank, "adjectives"),
                entry.get("degree", True), entry.get("mass", True), entry.get("joined", True),
                frozenset(entry.get("but", ())),
            )  # fmt: skip
            self.adjectives.append(adjective)
        self.opposites = {pair for one, other in self.rules["opposites"] for pair in ((one, other), (other, one))}
        self.excluded: dict[str, list[str]] = {entry["en"]: [entry["en"]] for entry in data}  # by an adjective
        for one, other in sorted(self.opposites):
            self.excluded.setdefault(one, []).append(other)

    def _adjectives_of(self, noun: Noun | None, attributive: bool) -> Pool[Adjective] | None:
        """The adjectives that can describe a noun (None: any person), before it (`attributive`) or after "is"."""
        kinds = {"person"} if noun is None else {noun.kind, f"={noun.en}"}
        found = [
            adjective
            for adjective in self.adjectives
            if adjective.kinds & kinds
            and (adjective.attributive if attributive else adjective.predicative)
            and (noun is None or not (noun.en in adjective.but or (noun.mass and not adjective.mass)))
        ]
        return _by_weight(found) if found else None

    def _read_verbs(self, data: dict[str, list[dict[str, Any]]]) -> None:
        self.verbs: dict[str, list[Verb]] = {}
        for frame, entries in data.items():
            weighted = ((entry, self._weight(rank, "verbs")) for rank, entry in enumerate(entries))
            self.verbs[frame] = [self._verb(frame, entry, weight) for entry, weight in weighted]
        self.verbs["passive"] = [
            self._verb("passive", entry, verb.weight)
            for entry, verb in zip(data["object"], self.verbs["object"], strict=True)
            if entry.get("passive")
        ]
        self.matrix = {frame: _by_weight(self.verbs[frame]) for frame in ("that", "infinitive")}

    def _verb(self, frame: str, entry: dict[str, Any], weight: float) -> Verb:
        of = [kind for kind in entry.get("of", []) if kind != "part"]
        nouns = self.pool(*of) if of else None
        how: Pool[tuple[str, str]] | None = None
        if entry.get("manner", True):
            if "how" not in entry and frame not in ("quality", "that", "infinitive"):
                raise LexiconError(f"{entry['en']!r} needs manner: false, or how: the adverbs that go with it")
            how = self._zipf([self._manner(name) for name in entry.get("how", ["well"])])
        by = entry.get("by", ["person"])
        usual = ("with", "without", *(["for"] if frame == "object" else []))
        companions = tuple(each for each in self.words["company"] if each[0] in entry.get("company", usual))
        if "only" in entry:
            entry = entry | {"never": [each.en for each in self.adjectives if each.en not in entry["only"]]}
        around = [entry.get(name, "") for name in ("up", "to", "en_pred")] + entry.get("prep", [""])[:1]
        return Verb(
            frame=frame,
            en=morphology.english_verb(entry["en"]),
            de=morphology.german_verb(entry["de"]),
            weight=weight,
            haben=entry.get("aux") != "sein",
            by=frozenset(entry["of"] if frame == "passive" else by),
            nouns=nouns,
            agents=self.pool("person") if "person" in by else self.pool(*by),
            lemmas=frozenset(noun.en for noun in nouns.items) if nouns else frozenset(),
            parts="part" in entry.get("of", []),
            how=how,
            companions=companions,
            clause=demands(entry, "clause"),
            size=1 + len(" ".join(around).split()) + bool(entry.get("pp")),
            options=entry,
            **{name: entry[option] for option, name in VERB_OPTIONS.items() if option in entry}
            | ({"aspect": "event"} if frame == "passive" else {}),
        )

    def _manner(self, name: str) -> tuple[str, str]:
        """An adverb of manner; "quietly=ruhig" has a German word of its own with this verb."""
        english, _, german = name.partition("=")
        return (english, german) if german else self.manner[english]

    def _verbs_of(self, noun: Noun | None, aspects: frozenset[str] | None = None) -> Pool[Verb]:
        """The verbs, of these aspects, that can have this subject (None: any person), by the share of their frame."""
        kinds = {"person"} if noun is None else noun.kinds | {noun.en, f"={noun.en}"}
        found: list[Verb] = []
        weights: list[float] = []
        for frame, weight in self.rules["frames"].items():
            if frame == "quality":
                verbs = self.verbs[frame] if self.adjectives_of(noun, False) else []
            else:
                verbs = [verb for verb in self.verbs[frame] if verb.by & kinds]
            if noun is None:
                verbs = [verb for verb in verbs if verb.options.get("speaker", True)]
            verbs = [verb for verb in verbs if aspects is None or verb.aspect in aspects]
            total = sum(verb.weight for verb in verbs)
            found += verbs
            weights += [weight * verb.weight / total for verb in verbs]
        return Pool(found, weights)

    def _verbs_taking(self, noun: Noun) -> Pool[Verb] | None:
        """The verbs of frame "object" that can have this object and a person as subject; None if there are none."""
        if noun.kind == "part":
            return None
        found = [verb for verb in self.verbs["object"] if noun.en in verb.lemmas and "person" in verb.by]
        return _by_weight(found) if found else None

    def _check(self) -> None:
        """Raise `LexiconError` if an English word has two German translations in the same context."""
        seen: dict[tuple[str, str], str] = {}
        for adjective in self.adjectives:
            for kind in adjective.kinds:
                if seen.setdefault((adjective.en, kind), adjective.de) != adjective.de:
                    raise LexiconError(f"adjective {adjective.en!r} has two German words for {kind!r}")
        english = operator.attrgetter("en", "up", "to", "prep", "predicate")
        for frame in sorted(self.verbs.keys() - {"that", "infinitive"}):
            for verb, other in itertools.combinations(self.verbs[frame], 2):
                shared = verb.lemmas & other.lemmas
                alike = english(verb) == english(other) and bool(verb.by & other.by)
                alike = alike and verb.de["infinitive"] != other.de["infinitive"]
                if alike and (shared or not (verb.lemmas or other.lemmas)):
                    objects = sorted(shared or verb.by)
                    raise LexiconError(f"verb {verb.en['base']!r} ({frame}) has two German words for {objects}")


def _texts(version: int) -> dict[str, str]:
    folder = importlib.resources.files("seq2seq.lexicon") / f"version{version}"
    return {name: folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8") for name in FILES}


@functools.cache
def load(version: int = LATEST, exponent: float | None = None) -> Lexicon:
    """The lexicon of a version of the corpus; ``exponent``: of Zipf's law, in place of that of its rules."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = {name: yaml.load(text, Loader=loader) for name, text in _texts(version).items()}
    if exponent is not None:
        files["rules"]["exponent"] = exponent
    return Lexicon(files)


def digest(version: int = LATEST) -> str:
    """A hash of the files that does not depend on the line ends of the platform."""
    hasher = hashlib.sha256()
    for name, text in _texts(version).items():
        hasher.update(f"{name}\0{text.replace(chr(13), '')}\0".encode())
    return hasher.hexdigest()
