"""What version 2 of the embedded corpus mends, kind by kind: version 1 shows each, version 2 does not."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from seq2seq.config.schema import Config
from seq2seq.grammar import AlignedPair, sentence, words
from seq2seq.grammar.clauses import write
from seq2seq.grammar.discourse import Discourse, NounPhrase
from seq2seq.grammar.lexicon import load
from seq2seq.grammar.predicates import Plan
from seq2seq.grammar.relatives import relative
from seq2seq.grammar.sentences import finish
from seq2seq.runs.run import Run
from tests.conftest import TINY

SENTENCES = 6_000
RELATIVE = r"\b(?:who|that|which|whom|whose)\b"
HABIT = r"\b(?:oft|immer|manchmal|nie|meistens|selten|jede[ns]? (?:Tag|Abend|Woche|Samstag))\b"
RESTING = r"\b(?:schl[aä]f|schlief|wart|lieg|lag|geleg|sitz|saß|gesess|steh|stand|gestand)\w*"
STATE = r"\b(?:is|are|am|was|were|seem\w*|remain\w*|becomes?|became|belong\w*|loved?|loves|knows?|knew)\b"
INTENT = re.compile(r"\b(?:and|because|although|when|if|while|so that|as soon as|before|after|until) | in order to ")
BE = r"(?:is|was|are|were|seems?|seemed|looks?|looked)"
NAMES = {name for pool in load().names.values() for name in pool.items}


@pytest.fixture(scope="module")
def samples() -> dict[int, list[AlignedPair]]:
    """Sentences of 4 to 33 words of either version, from the same seed."""
    found: dict[int, list[AlignedPair]] = {}
    for version in (1, 2):
        rng = random.Random(20)
        found[version] = [sentence(rng, 4 + n % 30, version) for n in range(SENTENCES)]
    return found


def clauses(text: str) -> list[str]:
    """The stretches between marks, and before and after "and": each has one verb at most."""
    return re.split(r"[,;.?]| und | and ", text)


def quiet_rest(pair: AlignedPair) -> bool:
    return any("leise" in each and re.search(RESTING, each) for each in clauses(pair.tgt))


def aimless_purpose(pair: AlignedPair) -> bool:
    """A state or a passive before "in order to", in a clause without a relative one."""
    for before in re.findall(r"([^,;.]*?) in order to ", pair.src):
        main = INTENT.split(before)[-1]
        if not re.search(RELATIVE, main) and re.search(STATE, main):
            return True
    return False


def single_habit(pair: AlignedPair) -> bool:
    """ "als" with a main clause that says how often."""
    after = re.search(rf"^Als [^,;]*, [^,;]*{HABIT}[^,;]*[.;]", pair.tgt)
    return bool(after or re.search(rf"(?:^|; )[^,;]*{HABIT}[^,;]*, als ", pair.tgt))


def driven(pair: AlignedPair) -> bool:
    train = r"\b(?:train|bus|tram|ferry|trains|buses|trams|ferries) (?:will |has |have )?(?:drives?|drove|driven)\b"
    bicycle = r"\b(?:drive|drives|drove|driven) (?:\w+ )?(?:\w+ )?bicycles?\b"
    return bool(re.search(f"{train}|{bicycle}", pair.src))


def negated_limit(pair: AlignedPair) -> bool:
    """ "before" or "until" something does not happen."""
    limits = re.findall(r"\b(?:before|until) ([^,;.]*)", pair.src, re.IGNORECASE)
    return any(re.search(r"\b(?:not|cannot)\b", re.split(RELATIVE, limit)[0]) for limit in limits)


def by_the_river(pair: AlignedPair) -> bool:
    return bool(re.search(r"\bby (?:the|a|this|these|some|many) (?:\w+ )?(?:rivers?|lakes?|streams?)\b", pair.src))


def every_not(pair: AlignedPair) -> bool:
    quantified = (
        r"^(?:Every|Many|All|Few|Some|Several) (?:\w+ )?\w+ (?:(?:does|do|did|is|are|was|were|will|has) not|cannot)\b"
    )
    return bool(re.search(quantified, pair.src))


def not_a(pair: AlignedPair) -> bool:
    """ "gab … ein Buch nicht" instead of "gab … kein Buch"."""
    giving = r"\b(?:gibt|gab|gaben|geben|zeigt|zeigte|legt|legte|legten|stellt|stellte|stellten)"
    return any(re.search(rf"{giving}\b.*\bein(?:e|en|em|er)? .*\bnicht\b", each) for each in clauses(pair.tgt))


def graded(pair: AlignedPair) -> bool:
    absolute = r"\b(?:very|quite|really|unusually) (?:lost|stolen|wooden|golden)\b"
    return bool(re.search(rf"{absolute}|\b(?:big|small) (?:meat|bread|cheese|ham|honey)\b", pair.src))


def namesakes(pair: AlignedPair) -> bool:
    counts = Counter(word.removesuffix("'s") for word in words(pair.src))
    return any(counts[name] > 1 for name in NAMES & counts.keys())


def contradicted(pair: AlignedPair) -> bool:
    """ "the big lake that was small"."""
    found = re.findall(rf"\b(\w+) \w+ (?:that|who) {BE} (\w+)\b", pair.src)
    return any(one == other or (one, other) in load().opposites for one, other in found)


def late_manner(pair: AlignedPair) -> bool:
    return bool(re.search(r"\bmit \w+ (?:\w+ )?(?:gern|gut|laut|schnell)\b", pair.tgt))


def late_reflexive(pair: AlignedPair) -> bool:
    return bool(re.search(r", (?:weil|dass|obwohl|wenn|bevor|ob) (?:der|die|das|ein|eine) \w+ sich\b", pair.tgt))


def late_indefinite(pair: AlignedPair) -> bool:
    """ "gibt einem Kind das Buch", without a relative clause, which follows the book."""
    giving = r"\b(?:gibt|gab|gaben|zeigt|zeigte|zeigten|bringt|brachte|brachten|schickt|schickte|schickten)"
    return bool(re.search(rf"{giving} einem \w+ (?:den|die|das) \w+[;.]", pair.tgt))


def lone_could(pair: AlignedPair) -> bool:
    return bool(re.search(r"\bcould\b", pair.src))


def sleeps_with(pair: AlignedPair) -> bool:
    return bool(re.search(r"\b(?:sleeps?|slept)(?: \w+ly)? with\b", pair.src))


def zu_across(pair: AlignedPair) -> bool:
    """ "to" and the verb both linked to "zu" and to the infinitive."""
    english, german, links = words(pair.src), words(pair.tgt), set(pair.alignment)
    for at, word in enumerate(german[:-1]):
        if word == "zu" and re.fullmatch(r"[a-zäöü]+n", german[at + 1]):
            sources = [i for i, j in links if j == at]
            if any(english[i] != "to" or (i, at + 1) in links for i in sources if english[i] != "too"):
                return True
    return False


KINDS = (
    quiet_rest, aimless_purpose, single_habit, driven, negated_limit, by_the_river, every_not, not_a, graded, namesakes,
    contradicted, late_manner, late_reflexive, late_indefinite, lone_could, sleeps_with, zu_across,
)  # fmt: skip


@pytest.mark.parametrize("shows", KINDS)
def test_the_first_version_shows_it_and_the_second_does_not(
    samples: dict[int, list[AlignedPair]], shows: Callable[[AlignedPair], bool]
) -> None:
    assert [pair for pair in samples[2] if shows(pair)] == []
    assert any(shows(pair) for pair in samples[1]), "the test sees nothing"


@pytest.mark.parametrize(("version", "german"), [(1, {"schlecht"}), (2, {"heftig"})])
def test_how_one_trembles(version: int, german: set[str]) -> None:
    verb = next(verb for verb in load(version).verbs["alone"] if verb.en["base"] == "tremble")
    assert verb.how is not None and {de for _, de in verb.how.items} == german


def test_habit_in_the_past_has_wenn(samples: dict[int, list[AlignedPair]]) -> None:
    """ "When Anna came, he always slept": wenn, where a single event has als."""
    found = [pair.tgt for pair in samples[2] if re.match(r"When \w+ (?:came|arrived|left|slept|ran)\b", pair.src)]
    habitual = [text for text in found if re.match(rf"[^,;]*, [^,;]*{HABIT}", text)]
    assert all(text.startswith("Wenn ") for text in habitual)
    first = [pair.tgt for pair in samples[2] if re.match(rf"Wenn [^,;]*, [^,;]*{HABIT}", pair.tgt)]
    assert any(re.search(r"te\b", text) for text in first)


@pytest.mark.parametrize(
    ("part", "first", "second"),
    [
        ("trunk", {"car", "bicycle", "boat"}, {"car"}),
        ("mouth", {"river", "lake", "stream"}, {"river", "stream"}),
        ("wheel", {"car", "boat"}, {"car", "bicycle"}),
    ],
)
def test_only_what_has_a_part_has_it(part: str, first: set[str], second: set[str]) -> None:
    """A bicycle has no trunk (of a car), a lake no mouth (of a river), a boat no wheel."""

    def owners(version: int) -> set[str]:
        senses = {"Kofferraum", "Mündung", "Rad"}
        found = [pool for pool, noun in load(version).parts[part] if noun.de["noms"] in senses]
        return {noun.en for pool in found for noun in pool.items}

    assert first <= owners(1)
    assert second <= owners(2) and not owners(2) & (first - second)


# Worked out by hand: the verb after "to", its words, its alignment in the second version.
ZU = [
    ("sleep", "to sleep.", "zu schlafen.", "0-0 1-1 2-2"),
    ("get", "to get up.", "aufzustehen.", "0-0 1-0 2-0 3-1"),
    ("hurry", "to hurry.", "sich zu beeilen.", "0-1 1-0 1-2 2-3"),
]


@pytest.mark.parametrize(("english", "src", "tgt", "links"), ZU)
def test_to_is_linked_to_zu_and_the_verb_to_the_infinitive(english: str, src: str, tgt: str, links: str) -> None:
    discourse = Discourse(load(), random.Random(0), relative)
    verb = next(verb for verb in load().verbs["alone"] if verb.en["base"] == english)
    he = NounPhrase([], [], "3s", "he", "m")
    sides = write(discourse, Plan(verb, "present", False, "zu", he), len(src.split()))
    pair = finish(sides, ".", discourse.link())
    assert (pair.src.lower(), pair.tgt.lower()) == (src, tgt)
    assert " ".join(f"{i}-{j}" for i, j in pair.alignment) == links


def lemmas(pair: AlignedPair) -> set[str]:
    return {LEMMAS[word] for word in words(pair.src.lower()) if word in LEMMAS}


def _lemmas() -> Iterator[tuple[str, str]]:
    for version in (1, 2):
        for adjective in load(version).adjectives:
            yield adjective.en, adjective.en
        for verb in (verb for verbs in load(version).verbs.values() for verb in verbs):
            yield from ((form, verb.en["base"]) for form in verb.en.values() if verb.en["base"] != "be")
        for noun in load(version).nouns:
            yield from ((form, noun.en) for form in (noun.en, noun.en_plural) if form)


LEMMAS = dict(_lemmas())


def test_no_content_word_is_in_a_large_share_of_the_sentences(samples: dict[int, list[AlignedPair]]) -> None:
    """Document frequency of nouns, verbs and adjectives, overall and among the longest third."""

    def most(pairs: list[AlignedPair]) -> float:
        counts = Counter(lemma for pair in pairs for lemma in lemmas(pair))
        return counts.most_common(1)[0][1] / len(pairs)

    longest = {version: [p for p in pairs if len(p.src.split()) >= 24] for version, pairs in samples.items()}
    assert most(samples[1]) > 0.4 and most(longest[1]) > 0.6
    assert most(samples[2]) < 0.2 and most(longest[2]) < 0.3


def test_a_run_older_than_the_option_has_the_first_corpus(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_config(Config(model=TINY["lstm"]))
    plain = yaml.safe_load(run.config_file.read_text())
    assert run.load_config().data.grammar.version == plain["data"]["grammar"].pop("version") == 2
    run.config_file.write_text(yaml.safe_dump(plain))
    assert run.load_config().data.grammar.version == 1
