"""The lexicon: words with all their forms, and weighted pools of them, read from YAML and checked.

Knows the files of `data/grammar` and the paradigms; knows nothing of sentences. Every form is computed at loading.
Weights follow Zipf's law: 1 / (rank + offset) ** exponent within a class of words.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from seq2seq.grammar import morphology
from seq2seq.grammar.entries import Adjective, LexiconError, Noun, Pool, Verb, phrase

FILES = ("nouns", "verbs", "adjectives", "function_words", "rules")
T = TypeVar("T")


class Lexicon:
    """All words and rules, made by `load`; never changed afterwards."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.rules: dict[str, Any] = files["rules"]
        self.words: dict[str, Any] = files["function_words"]
        self._read_nouns(files["nouns"])
        self._read_adjectives(files["adjectives"])
        self.manner: dict[str, tuple[str, str]] = {en: (en, de) for en, de in self.words["manner"]}
        self._read_verbs(files["verbs"])
        self.frequency = self._zipf([(en, de) for en, de in self.words["frequency"]])
        degrees = [(en, de) for en, de in self.words["degree"]]
        self.degree = self._zipf(degrees)
        self.attributive_degree = self._zipf([pair for pair in degrees if pair[0] != "too"])
        self.numbers = self._zipf(list(self.words["numbers"].items()))
        self.quantifiers = self._zipf([(en, de, declension) for en, de, declension in self.words["quantifiers"]])
        self.connectors = self._zipf(list(self.words["connectors"]))
        self.comments = self._zipf([phrase(entry) for entry in self.words["comment"]])
        self.subordinators = [phrase(entry) for entry in self.words["subordinators"]]
        self.times = [phrase(entry) for entry in self.words["time"]]
        self._check()

    def _weight(self, rank: int, file: str) -> float:
        return float((rank + self.rules["offset"][file]) ** -self.rules["exponent"])

    def _zipf(self, items: list[T]) -> Pool[T]:
        return Pool(items, [self._weight(rank, "function_words") for rank in range(len(items))])

    # ----------------------------------------------------------------------------------------------------- nouns

    def _read_nouns(self, data: dict[str, Any]) -> None:
        self.names: dict[str, Pool[str]] = {sex: self._zipf(names) for sex, names in data.pop("names").items()}
        parts, plurals = data.pop("part"), data.pop("part_plurals")
        self.manifold = frozenset(data.pop("manifold"))
        self.relational = frozenset(data.pop("relational"))
        self.owned: tuple[str, ...] = tuple(data.pop("owned"))
        self.bare = frozenset(data.pop("bare"))
        self.nouns: list[Noun] = []
        self.kinds: dict[str, list[Noun]] = {}
        self.by_lemma: dict[str, list[Noun]] = {}
        for kind, entries in data.items():
            for rank, (en, entry) in enumerate(entries.items()):
                self._add_noun(kind, en, entry, self._weight(rank, "nouns"))
        # (pool of possessors, the noun in its sense), for each part and kind of possessor
        self.parts: dict[str, list[tuple[Pool[Noun], Noun]]] = {}
        self.part_pool = self._zipf(list(parts))
        for rank, (en, senses) in enumerate(parts.items()):
            special = {name[1:] for name in senses if name.startswith("=")}
            self.parts[en] = []
            for possessor, entry in senses.items():
                noun = self._noun(
                    "part",
                    en,
                    [*entry, {"plural": plurals[en]}] if en in plurals else entry,
                    self._weight(rank, "nouns"),
                )
                if possessor.startswith("="):
                    owners = self.by_lemma[possessor[1:]]
                else:
                    owners = [owner for owner in self.kinds[possessor] if owner.en not in special]
                self.parts[en].append((Pool(owners, [owner.weight for owner in owners]), noun))
        self._pools: dict[Any, Pool[Noun]] = {}

    def _noun(self, kind: str, en: str, entry: list[Any], weight: float) -> Noun:
        options = entry[4] if len(entry) > 4 else {}
        gender, nominative, genitive, plural = entry[:4]
        mass = options.get("mass", False)
        pronoun = options.get("pronoun") or ({"m": "he"}.get(gender, "she") if kind == "person" else "it")
        return Noun(
            en=en,
            en_plural=None if plural is None else options.get("plural") or morphology.english_plural(en),
            gender=gender,
            de=morphology.noun_forms(gender, nominative, genitive, plural, options.get("weak", False)),
            kind=kind,
            kinds=frozenset([kind, *options.get("also", [])]),
            weight=weight,
            mass=mass,
            pronoun=pronoun,
            at=tuple(options["in"]) if "in" in options else None,
            to=tuple(options["to"]) if "to" in options else None,
            source=tuple(options["from"]) if "from" in options else None,
        )

    def _add_noun(self, kind: str, en: str, entry: list[Any], weight: float) -> None:
        noun = self._noun(kind, en, entry, weight)
        self.nouns.append(noun)
        self.by_lemma.setdefault(en, []).append(noun)
        for each in sorted(noun.kinds):
            self.kinds.setdefault(each, []).append(noun)

    def pool(self, *kinds: str) -> Pool[Noun]:
        """The nouns of these kinds; "=dog", or a name that no kind has, means a single noun."""
        if kinds not in self._pools:
            found: dict[int, Noun] = {}
            for kind in kinds:
                if kind in self.kinds and not kind.startswith("="):
                    nouns = self.kinds[kind]
                elif kind.lstrip("=") in self.by_lemma:
                    nouns = self.by_lemma[kind.lstrip("=")]
                else:
                    raise LexiconError(f"{kind!r} is neither a kind of noun nor a noun")
                found.update((id(noun), noun) for noun in nouns)
            ordered = [noun for noun in self.nouns if id(noun) in found]
            self._pools[kinds] = Pool(ordered, [noun.weight for noun in ordered])
        return self._pools[kinds]

    # ------------------------------------------------------------------------------------------------ adjectives

    def _read_adjectives(self, data: list[dict[str, Any]]) -> None:
        self.adjectives: list[Adjective] = []
        for rank, entry in enumerate(data):
            de, _, stem = entry["de"].partition("/")
            self.adjectives.append(
                Adjective(
                    entry["en"], de, stem or de, entry.get("attr", True), entry.get("pred", True),
                    frozenset(entry["of"]), self._weight(rank, "adjectives"),
                )
            )  # fmt: skip
        opposites = self.rules["opposites"]
        self.opposites = {(one, other) for pair in opposites for one, other in (pair, pair[::-1])}
        self._adjectives: dict[tuple[str, str, bool], Pool[Adjective] | None] = {}

    def adjectives_of(self, kind: str, lemma: str, attributive: bool) -> Pool[Adjective] | None:
        """The adjectives that can describe a noun, before it (`attributive`) or after "is"; None if there are none."""
        key = (kind, lemma, attributive)
        if key not in self._adjectives:
            found = [
                adjective
                for adjective in self.adjectives
                if (kind in adjective.kinds or f"={lemma}" in adjective.kinds)
                and (adjective.attributive if attributive else adjective.predicative)
            ]
            self._adjectives[key] = Pool(found, [each.weight for each in found]) if found else None
        return self._adjectives[key]

    # ----------------------------------------------------------------------------------------------------- verbs

    def _read_verbs(self, data: dict[str, list[dict[str, Any]]]) -> None:
        self.verbs: dict[str, list[Verb]] = {}
        for frame, entries in data.items():
            self.verbs[frame] = [
                self._verb(frame, entry, self._weight(rank, "verbs")) for rank, entry in enumerate(entries)
            ]
        self.verbs["passive"] = [
            self._verb("passive", entry, verb.weight)
            for entry, verb in zip(data["object"], self.verbs["object"], strict=True)
            if entry.get("passive")
        ]
        self.matrix = {
            frame: Pool(self.verbs[frame], [verb.weight for verb in self.verbs[frame]])
            for frame in ("that", "infinitive")
        }
        weights = self.rules["frames"]
        self._weights = weights
        self._object_verbs: dict[str, Pool[Verb] | None] = {}
        self._noun_verbs: dict[str, Pool[Verb]] = {}

    def _verb(self, frame: str, entry: dict[str, Any], weight: float) -> Verb:
        of = [kind for kind in entry.get("of", []) if kind != "part"]
        nouns = self.pool(*of) if of else None
        how: Pool[tuple[str, str]] | None = None
        if entry.get("manner", True):
            if "how" not in entry and frame not in ("quality", "that", "infinitive"):
                raise LexiconError(f"{entry['en']!r} needs manner: false, or how: the adverbs that go with it")
            how = self._zipf([self.manner[name] for name in entry.get("how", ["well"])])
        by = entry["of"] if frame == "passive" else entry.get("by", ["person"])
        prep = entry.get("prep")
        return Verb(
            frame=frame,
            en=morphology.english_verb(entry["en"])
            if entry["en"] != "be"
            else dict.fromkeys(("base", "third", "past", "participle"), "be"),
            de=morphology.german_verb(entry["de"]),
            weight=weight,
            haben=entry.get("aux") != "sein",
            by=frozenset(by),
            nouns=nouns,
            agents=self.pool("person") if "person" in entry.get("by", ["person"]) else self.pool(*entry["by"]),
            lemmas=frozenset(noun.en for noun in nouns.items) if nouns else frozenset(),
            parts="part" in entry.get("of", []),
            how=how,
            up=entry.get("up", ""),
            to=entry.get("to", ""),
            case=entry.get("case", "acc"),
            reflexive=entry.get("self", False),
            prep=(prep[0], prep[1], prep[2]) if prep else None,
            predicate=entry.get("en_pred", ""),
            place=entry.get("place", True),
            when=entry.get("when", True),
            company=entry.get("with", True),
            conjunction=entry.get("conj", ""),
            options=entry,
        )

    def verbs_of(self, noun: Noun | None) -> Pool[Verb]:
        """The verbs that can have this subject (None: any person), weighted by the share of their frame."""
        key = noun.en + "/" + noun.kind if noun else ""
        if key not in self._noun_verbs:
            kinds = {"person"} if noun is None else noun.kinds | {noun.en, f"={noun.en}"}
            found: list[Verb] = []
            weights: list[float] = []
            for frame, weight in self._weights.items():
                if frame == "quality":
                    verbs = (
                        self.verbs[frame]
                        if self.adjectives_of(*(("person", "") if noun is None else (noun.kind, noun.en)), False)
                        else []
                    )
                else:
                    verbs = [verb for verb in self.verbs[frame] if verb.by & kinds]
                total = sum(verb.weight for verb in verbs)
                found += verbs
                weights += [weight * verb.weight / total for verb in verbs]
            self._noun_verbs[key] = Pool(found, weights)
        return self._noun_verbs[key]

    def verbs_taking(self, noun: Noun) -> Pool[Verb] | None:
        """The verbs of frame "object" that can have this object and a person as subject; None if there are none."""
        key = noun.en + "/" + noun.kind
        if key not in self._object_verbs:
            found = [
                verb
                for verb in self.verbs["object"]
                if noun.en in verb.lemmas and "person" in verb.by and noun.kind != "part"
            ]
            self._object_verbs[key] = Pool(found, [verb.weight for verb in found]) if found else None
        return self._object_verbs[key]

    # ----------------------------------------------------------------------------------------------------- checks

    def _check(self) -> None:
        """Raise `LexiconError` if an English word has two German translations in the same context."""
        seen: dict[tuple[str, str], str] = {}
        for adjective in self.adjectives:
            for kind in adjective.kinds:
                if seen.setdefault((adjective.en, kind), adjective.de) != adjective.de:
                    raise LexiconError(f"adjective {adjective.en!r} has two German words for {kind!r}")
        for frame, verbs in self.verbs.items():
            for number, verb in enumerate(verbs):
                for other in verbs[:number]:
                    same = (
                        verb.en["base"] + verb.up + verb.to == other.en["base"] + other.up + other.to
                        and verb.prep == other.prep
                    )
                    clash = (not verb.lemmas and not other.lemmas) or verb.lemmas & other.lemmas
                    if (
                        same
                        and verb.by & other.by
                        and clash
                        and verb.predicate == other.predicate
                        and frame not in ("that", "infinitive")
                    ):
                        raise LexiconError(
                            f"verb {verb.en['base']!r} ({frame}) has two German words for {clash or verb.by}"
                        )


def _texts(folder: Path | None) -> dict[str, str]:
    root = importlib.resources.files("seq2seq.lexicon") if folder is None else folder
    return {name: root.joinpath(f"{name}.yaml").read_text(encoding="utf-8") for name in FILES}


@functools.lru_cache(maxsize=4)
def load(folder: Path | None = None) -> Lexicon:
    """The lexicon of the package, or of another folder of the same files."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Lexicon({name: yaml.load(text, Loader=loader) for name, text in _texts(folder).items()})


def digest(folder: Path | None = None) -> str:
    """A hash of the files that does not depend on the line ends of the platform."""
    hasher = hashlib.sha256()
    for name, text in _texts(folder).items():
        hasher.update(f"{name}\0{text.replace(chr(13), '')}\0".encode())
    return hasher.hexdigest()
