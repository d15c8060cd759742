"""Which language a file's name and a text seem to be in: a cheap guess, for warnings alone. Knows codes and words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import PurePath

NAMES = {
    "ar": ("ara", "arabic"),
    "bg": ("bul", "bulgarian"),
    "cs": ("ces", "czech"),
    "da": ("dan", "danish"),
    "de": ("deu", "german", "deutsch"),
    "el": ("ell", "greek"),
    "en": ("eng", "english"),
    "es": ("spa", "spanish", "español"),
    "fa": ("fas", "persian"),
    "fi": ("fin", "finnish"),
    "fr": ("fra", "french", "français"),
    "he": ("heb", "hebrew"),
    "hi": ("hin", "hindi"),
    "hu": ("hun", "hungarian"),
    "it": ("ita", "italian", "italiano"),
    "ja": ("jpn", "japanese"),
    "ka": ("kat", "georgian"),
    "ko": ("kor", "korean"),
    "nl": ("nld", "dutch", "nederlands"),
    "no": ("nob", "nor", "nb", "norwegian"),
    "pl": ("pol", "polish", "polski"),
    "pt": ("por", "portuguese", "português"),
    "ro": ("ron", "romanian"),
    "ru": ("rus", "russian"),
    "sv": ("swe", "swedish"),
    "th": ("tha", "thai"),
    "tr": ("tur", "turkish"),
    "uk": ("ukr", "ukrainian"),
    "vi": ("vie", "vietnamese"),
    "zh": ("zho", "cmn", "chinese"),
}
"""Other codes and names of each language, by its code of two letters."""
CODES = {name: code for code, names in NAMES.items() for name in (code, *names)}
SCRIPTS = {
    **{code: {"ARABIC"} for code in ("ar", "fa")},
    **{code: {"CYRILLIC"} for code in ("bg", "ru", "uk")},
    "el": {"GREEK"},
    "he": {"HEBREW"},
    "hi": {"DEVANAGARI"},
    "ja": {"CJK", "HIRAGANA", "KATAKANA"},
    "ka": {"GEORGIAN"},
    "ko": {"HANGUL", "CJK"},
    "th": {"THAI"},
    "zh": {"CJK", "BOPOMOFO"},
}
"""The scripts of each language that is not written in Latin letters, as Unicode calls them in a letter's name."""
FREQUENT = {
    "en": "the of and to in is that was it for with as his on be at by this had are but from they not you have",
    "de": "der die und das ist nicht ein eine zu den mit von dem auf sich im für war auch es dass sie ich wird",
    "fr": "le la les et des est un une du dans que qui pour pas il elle sur ce avec au nous vous sont aux",
    "es": "el los las y es un una que del por con no para su lo como más pero está al se sus fue son",
    "it": "il di che è un una per non del della con si gli le sono dei al nel come più anche ha lo alla",
    "pt": "o os um uma que não do da em para com é por mais dos das ao na no se como mas foi são ele",
    "nl": "de het een van en is dat niet op te zijn voor met aan er in hij ook als maar ze door bij worden",
    "sv": "och att det som en på är av för med till inte den har de ett om var jag men så han vid från",
    "da": "og at det som en på er af for med til ikke den har de et om var jeg men så han ved fra",
    "pl": "i w na z się nie do to że jest o jak po ale za od przez był są tak dla jego tym który",
    "cs": "a v na se je že to s z do o jsem i ve pro by ale jako za po které jeho tak jsou byl",
    "fi": "ja on ei se että oli hän mutta kun niin ovat myös joka tai sen ole mitä ne jos kuin",
    "hu": "a az és hogy nem is egy volt ez meg de van csak már mint el ki még azt ha vagy",
    "ro": "și de în a la cu nu este pe un o că din care mai pentru sunt ce dar fost al lui",
    "tr": "ve bir bu da de için çok ne ile var o daha gibi ama en olan değil olarak kadar sonra",
    "ru": "и в не на что с он я как это но по к из у за от так же все она его было",
    "uk": "і в не на що з він я як це але по до у за від так та все вона його було й",
    "bg": "и в не на че с той аз как това но по от за се да са е като беше ще му",
}
"""Words that are in nearly every text of a language."""
HEADINGS = {
    *("source", "target", "src", "tgt", "trg", "text", "translation", "input", "output"),
    *("original", "reference", "sentence"),
}
LINES, CHARACTERS = 300, 400  # of a text that are looked at
EVIDENCE, SURE = 20, 4  # frequent words of another language, and how many times as many as of its own
DIFFERENT = 5  # of these words


def known(code: str) -> str | None:
    """The code of two letters for another spelling (``deu``, ``de-AT``, ``deu_Latn``, ``German``); None if unknown."""
    return CODES.get(re.split(r"[-_]", code.strip().casefold())[0])


def of_name(path: str) -> str | None:
    """The language that the end of a file's name says, as in ``train.de`` and ``train.deu_Latn.txt.gz``."""
    stem = re.sub(r"\.(gz|txt|tok|raw)", "", PurePath(path).name)
    end = re.search(r"[._-](?:([a-z]{2,3})|([a-z]{3})_[A-Z][a-z]{3})$", stem)
    return known(end[1] or end[2]) if end else None


def of_text(lines: Iterable[str], said: str) -> str | None:
    """The language or script of a text, if that is surely not the language ``said``; None if it may well be."""
    code = known(said)
    if code is None:
        return None
    seen = [line[:CHARACTERS] for line in islice(lines, LINES)]
    script = _other_script(seen, SCRIPTS.get(code, {"LATIN"}))
    if script is not None:
        return "Chinese characters" if script == "CJK" else f"{script.capitalize()} script"
    if code not in FREQUENT:
        return None
    words = Counter(word for line in seen for word in re.findall(r"\w+", line.casefold()))
    counts = {language: sum(words[word] for word in frequent.split()) for language, frequent in FREQUENT.items()}
    best = max(counts, key=lambda language: counts[language])
    several = sum(word in words for word in FREQUENT[best].split()) >= DIFFERENT
    return best if several and counts[best] >= max(EVIDENCE, SURE * counts[code] + 1) else None


def _other_script(lines: Sequence[str], own: set[str]) -> str | None:
    """The most frequent script, if more than half of the letters are in none of a language's ``own`` scripts."""
    letters = (sign for line in lines for sign in line if sign.isalpha())
    counts = Counter(unicodedata.name(letter, "?").split()[0].split("-")[0] for letter in letters)
    total, others = sum(counts.values()), Counter({script: n for script, n in counts.items() if script not in own})
    return others.most_common(1)[0][0] if sum(others.values()) > max(EVIDENCE, total / 2) else None


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether all cells are names of columns: codes or names of languages, or words such as "source"."""
    return all(cell.strip().casefold() in HEADINGS or known(cell) is not None for cell in cells)
