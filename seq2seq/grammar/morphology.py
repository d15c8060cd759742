"""Inflection: German articles, adjective endings, noun and verb forms; English plurals and verb forms.

Knows the paradigms; knows no lexicon and no sentences: every function maps strings to strings. Cases are
"nom", "acc", "dat", "gen"; genders "m", "f", "n" and, for every plural, "p"; persons "1s", "3s" and "pl" (the polite
"Sie" inflects as a plural, so no other person is needed).
"""

from __future__ import annotations

from typing import NamedTuple

CASES = ("nom", "acc", "dat", "gen")
GENDERS = ("m", "f", "n", "p")
PERSONS = ("1s", "3s", "pl")


def _table(rows: str) -> dict[str, dict[str, str]]:
    """A paradigm from four lines (cases) of four cells (genders); "-" is the empty ending."""
    return {
        case: {gender: "" if cell == "-" else cell for gender, cell in zip(GENDERS, row.split(), strict=True)}
        for case, row in zip(CASES, rows.split("\n"), strict=True)
    }


def _finite(forms: str) -> dict[str, str]:
    """The finite forms of a verb by tense + person, from those of the present and then of the past."""
    keys = [tense + person for tense in ("present", "past") for person in PERSONS]
    return dict(zip(keys, forms.split(), strict=True))


DEFINITE = _table("der die das die\nden die das die\ndem der dem den\ndes der des der")
RELATIVE = _table("der die das die\nden die das die\ndem der dem denen\ndessen deren dessen deren")
# Endings of ein, kein, mein and of dieser, jeder.
EIN_ENDING = _table("- e - e\nen e - e\nem er em en\nes er es er")
DER_ENDING = _table("er e es e\nen e es e\nem er em en\nes er es er")
ADJECTIVE_ENDING = {
    "weak": _table("e e e en\nen e e en\nen en en en\nen en en en"),
    "mixed": _table("er e es en\nen e es en\nen en en en\nen en en en"),
    "strong": _table("er e es e\nen e es e\nem er em en\nen er en er"),
}
ENGLISH_BE = _finite("am is are was was were")
SEIN = _finite("bin ist sind war war waren")
HABEN = _finite("habe hat haben hatte hatte hatten")
WERDEN = _finite("werde wird werden wurde wurde wurden")
CONTRACTED = {
    ("in", "dem"): "im", ("an", "dem"): "am", ("zu", "dem"): "zum", ("zu", "der"): "zur",
    ("in", "das"): "ins", ("an", "das"): "ans", ("bei", "dem"): "beim", ("von", "dem"): "vom",
}  # fmt: skip
# English object form and possessive; German nominative, accusative, dative and the stem of the possessive. "it" has the
# gender of its antecedent.
PRONOUN = {
    "he": "him his er ihn ihm sein", "she": "her her sie sie ihr ihr", "they": "them their sie sie ihnen ihr",
    "it m": "it its er ihn ihm sein", "it f": "it its sie sie ihr ihr", "it n": "it its es es ihm sein",
    "I": "me my ich mich mir mein", "we": "us our wir uns uns unser", "you": "you your Sie Sie Ihnen Ihr",
}  # fmt: skip
REFLEXIVE = {"I": "mich", "we": "uns"}


def _pronoun(english: str, gender: str) -> list[str]:
    return PRONOUN[f"it {gender}" if english == "it" else english].split()


def personal(english: str, gender: str, case: str) -> tuple[str, str]:
    """The personal pronoun of both languages in a case; `english` is its subject form, `gender` its antecedent's."""
    forms = _pronoun(english, gender)
    return english if case == "nom" else forms[0], forms[2 + CASES.index(case)]


def possessive(english: str, gender: str) -> tuple[str, str]:
    """The possessive whose possessor is the pronoun `english`: English, and the German stem before endings."""
    _, en, *_, de = _pronoun(english, gender)
    return en, de


def noun_forms(nominative: str, genitive: str, plural: str | None, weak: bool) -> dict[str, str]:
    """All forms of a noun, by case + "s" or "p": {"noms": "Hund", "datp": "Hunden", …}.

    A weak noun has the form of its genitive in every case but the nominative ("den Studenten"), which covers "Herr"
    and "Nachbar" too. The dative plural adds n, unless the plural ends in n or s.
    """
    oblique = genitive if weak else nominative
    forms = {"noms": nominative, "accs": oblique, "dats": oblique, "gens": genitive}
    if plural is not None:
        dative = plural if plural[-1] in "ns" else plural + "n"
        forms.update({"nomp": plural, "accp": plural, "datp": dative, "genp": plural})
    return forms


def german_verb(parts: str) -> dict[str, str]:
    """The forms of a German verb from its principal parts.

    `parts` is "prefix+infinitive present past participle" (third person singular), or an infinitive alone if regular.
    Keys: prefix, infinitive, participle, zu ("aufzustehen"), and tense + person (present1s, past3s, …).
    """
    infinitive, *rest = parts.split()
    prefix, _, infinitive = infinitive.rpartition("+")
    stem = infinitive[:-2] if infinitive.endswith("en") else infinitive[:-1]
    soft = "e" if stem[-1] in "td" or stem.endswith(("ffn", "chn")) else ""
    present, past, participle = rest or (f"{stem}{soft}t", f"{stem}{soft}te", f"ge{stem}{soft}t")
    first = f"{stem[:-2]}le" if infinitive.endswith("eln") else f"{stem}e"  # lächeln: ich lächle
    if infinitive == "wissen":
        first = present
    forms = {
        "prefix": prefix,
        "infinitive": prefix + infinitive,
        "participle": prefix + participle,
        "zu": f"{prefix}zu{infinitive}" if prefix else f"zu {infinitive}",
    }
    finite = f"{first} {present} {infinitive} {past} {past} {past}{'n' if past.endswith('e') else 'en'}"
    return forms | {"sein": SEIN, "werden": WERDEN}.get(infinitive, _finite(finite))


def english_plural(noun: str) -> str:
    """The regular plural."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def english_verb(parts: str) -> dict[str, str]:
    """The forms of an English verb from "infinitive past participle" or the infinitive of a regular one.

    Keys: base, third, past, participle.
    """
    base, *rest = parts.split()
    if rest:
        past, participle = rest
    elif base == "be":
        past, participle = base, "been"  # the finite forms are in ENGLISH_BE
    elif base.endswith("e"):
        past = participle = base + "d"
    elif base.endswith("y") and base[-2] not in "aeiou":
        past = participle = base[:-1] + "ied"
    elif base == "stop":
        past = participle = "stopped"
    else:
        past = participle = base + "ed"
    third = {"have": "has", "go": "goes"}.get(base) or english_plural(base)
    return {"base": base, "third": third, "past": past, "participle": participle}


def article_a(following: str) -> str:
    """ "a" or "an", by the sound of the word that follows."""
    return "an" if following.startswith((*"aeiou", "hour")) else "a"


class Modal(NamedTuple):
    """A modal verb: English in the third person and in the others, German in the singular and in the plural."""

    third: str
    other: str
    singular: str
    plural: str
    negatable: bool = True  # "must not" is not "muss nicht"


MODALS = {
    "modal": [
        Modal("can", "can", "kann", "können"),
        Modal("must", "must", "muss", "müssen", negatable=False),
        Modal("wants to", "want to", "will", "wollen"),
        Modal("should", "should", "sollte", "sollten"),
    ],
    "modal_past": [
        Modal("could", "could", "konnte", "konnten"),
        Modal("had to", "had to", "musste", "mussten", negatable=False),
        Modal("wanted to", "wanted to", "wollte", "wollten"),
        Modal("was able to", "were able to", "konnte", "konnten"),  # "could" alone may be "könnte" as well
    ],
}
