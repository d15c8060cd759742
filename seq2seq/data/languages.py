"""Languages by their codes, by the names of files, and by the letters and words of a text. Knows no metric.

A code may be BCP 47 (``zh-Hans-CN``), ISO 639-1, -2 or -3 (``zh``, ``chi``, ``zho``), as in FLORES (``zho_Hans``) or in
mBART (``zh_CN``), in any case. What a text says is a guess: by its letters, or (for warnings only) its words. Imports
nothing heavy.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from pathlib import PurePath
from typing import NamedTuple

NAMES = {
    "ar": ("ara", "arabic"),
    "bg": ("bul", "bulgarian"),
    "bo": ("bod", "tib", "tibetan"),
    "cs": ("ces", "cze", "czech"),
    "da": ("dan", "danish"),
    "de": ("deu", "ger", "german", "deutsch"),
    "dz": ("dzo", "dzongkha"),
    "el": ("ell", "gre", "greek"),
    "en": ("eng", "english"),
    "es": ("spa", "spanish", "español"),
    "fa": ("fas", "per", "persian"),
    "fi": ("fin", "finnish"),
    "fr": ("fra", "fre", "french", "français"),
    "he": ("heb", "hebrew"),
    "hi": ("hin", "hindi"),
    "hu": ("hun", "hungarian"),
    "it": ("ita", "italian", "italiano"),
    "ja": ("jpn", "jp", "japanese"),
    "ka": ("kat", "geo", "georgian"),
    "km": ("khm", "khmer"),
    "ko": ("kor", "korean"),
    "lo": ("lao",),
    "my": ("mya", "bur", "burmese"),
    "nl": ("nld", "dut", "dutch", "nederlands"),
    "no": ("nob", "nor", "nb", "norwegian"),
    "pl": ("pol", "polish", "polski"),
    "pt": ("por", "portuguese", "português"),
    "ro": ("ron", "rum", "romanian"),
    "ru": ("rus", "russian"),
    "sv": ("swe", "swedish"),
    "th": ("tha", "thai"),
    "tr": ("tur", "turkish"),
    "uk": ("ukr", "ukrainian"),
    "vi": ("vie", "vietnamese"),
    "zh": ("zho", "chi", "cmn", "yue", "wuu", "nan", "hak", "hsn", "gan", "cdo", "lzh", "cn", "chinese"),
}
"""Other codes and names of each language, by its code of two letters; ``cn`` and ``jp`` are countries, but written."""
CODES = {name: code for code, names in NAMES.items() for name in (code, *names)}
SCRIPTS = {
    "ar": "Arab", "bg": "Cyrl", "bo": "Tibt", "dz": "Tibt", "el": "Grek", "fa": "Arab", "he": "Hebr", "hi": "Deva",
    "ja": "Jpan", "ka": "Geor", "khb": "Talu", "kht": "Mymr", "km": "Khmr", "ko": "Hang", "lo": "Laoo", "my": "Mymr",
    "nod": "Lana", "ru": "Cyrl", "shn": "Mymr", "th": "Thai", "uk": "Cyrl", "zh": "Hani",
}  # fmt: skip
"""The script (ISO 15924) of a language that is not written in Latin letters, where its code names none."""
CHINESE = ("Hani", "Hans", "Hant", "Bopo", "Hanb")
JAPANESE = ("Jpan", "Hira", "Kana", "Hrkt")
KOREAN = ("Hang", "Kore")
ABUGIDAS = {"Thai": "th", "Khmr": "km", "Mymr": "my", "Laoo": "lo", "Tibt": "bo", "Lana": "nod", "Talu": "khb"}
"""Further scripts without spaces between words, and a language of each."""
LANGUAGES = {"Jpan": "ja", "Hani": "zh", "Hang": "ko", **ABUGIDAS}
"""Languages that the letters of a text tell, by their script."""
LETTERS = {
    "CJK": "Hani", "BOPOMOFO": "Hani", "HIRAGANA": "Jpan", "KATAKANA": "Jpan", "HANGUL": "Hang", "THAI": "Thai",
    "KHMER": "Khmr", "MYANMAR": "Mymr", "LAO": "Laoo", "TIBETAN": "Tibt", "LATIN": "Latn", "CYRILLIC": "Cyrl",
    "ARABIC": "Arab", "GREEK": "Grek", "HEBREW": "Hebr", "DEVANAGARI": "Deva", "GEORGIAN": "Geor",
}  # fmt: skip
"""Scripts by the first word of their letters' names in Unicode."""
IN_WORDS = {code: f"{name.title()} script" for name, code in LETTERS.items()}
IN_WORDS |= {"Hani": "Chinese characters", "Jpan": "Japanese script"}
IN_WORDS |= {"Lana": "Tai Tham script", "Talu": "Tai Lue script"}
"""What a message calls a script."""
FREQUENT = {
    "en": "the of and to in is that was it for with as his on be at by this had are but from they not you have",
    "de": "der die und das ist nicht ein eine zu den mit von dem auf sich im für war auch es dass sie er als ich wird",
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
ORDINARY = ("gan", "nan", "per")
"""Codes that alone, without a script, are no languages in a file's name: GAN, not a number, and "per"."""
READ = 1_000  # lines of a text, and characters of a line, that tell its script
DENSE = 3  # letters of an alphabet that a Chinese, Japanese or Korean character stands for
KANA = 0.1  # share of kana from which on Chinese characters are Japanese
LINES, CHARACTERS = 300, 400  # of a text, whose words are looked at
EVIDENCE, SURE = 20, 4  # frequent words of another language, and how many times as many as of its own
DIFFERENT = 5  # of these words


class Language(NamedTuple):
    """A language's primary code (ISO 639-1 where there is one) and its script (ISO 15924), each "" if unknown."""

    code: str
    script: str

    @classmethod
    def of(cls, code: str) -> Language:
        """Read a code in any spelling."""
        first, *rest = re.split(r"[-_]", code.strip().casefold())
        primary = CODES.get(first, first)
        stated = next((part.title() for part in rest if len(part) == 4 and part.isalpha()), "")
        return cls(primary, stated or SCRIPTS.get(primary, ""))


def known(code: str) -> str | None:
    """The code of two letters for another spelling (``deu``, ``de-AT``, ``deu_Latn``, ``German``); None if unknown."""
    primary = Language.of(code).code
    return primary if primary in NAMES else None


def language_of_text(lines: Sequence[str]) -> Language:
    """The language that is likely from the letters, where they tell one (``LANGUAGES``); else unknown."""
    counts = _letters(line[:READ] for line in lines[:READ])
    kana, chinese = counts["Jpan"], counts["Hani"]
    if kana >= KANA * (kana + chinese):
        counts["Jpan"], counts["Hani"] = kana + chinese, 0
    for dense in ("Jpan", "Hani", "Hang"):
        counts[dense] *= DENSE
    others = sum(count for script, count in counts.items() if script not in LANGUAGES)
    script = max(LANGUAGES, key=lambda script: counts[script])
    return Language(LANGUAGES[script], script) if counts[script] > others else Language("", "")


def _letters(lines: Iterable[str]) -> Counter[str]:
    """Number of letters by script."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(map(script_of, line))
    del counts[""]
    return counts


@cache
def script_of(character: str) -> str:
    """The script of a letter or a mark; "" of other characters, and of marks that no script owns."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ")
    if name.startswith(("TAI THAM", "NEW TAI LUE")):
        return "Lana" if name.startswith("TAI THAM") else "Talu"
    first = name.split(" ")[0].split("-")[0]
    return "" if first in ("COMBINING", "MODIFIER") else LETTERS.get(first, first.title())


def of_name(path: str) -> str | None:
    """The language that the end of a file's name says, as in ``train.de`` and ``train.deu_Latn.txt.gz``."""
    stem = re.sub(r"\.(gz|bz2|xz|zst|txt|tok|raw)", "", PurePath(path).name)
    end = re.search(r"[._-](?:([a-z]{2,3})|([a-z]{3})_[A-Z][a-z]{3})$", stem)
    return None if end is None or end[1] in ORDINARY else known(end[1] or end[2])


def of_text(lines: Iterable[str], said: str) -> str | None:
    """The language or script of a text, if that is surely not the language ``said``; None if it may well be."""
    code = known(said)
    if code is None:
        return None
    seen = [line[:CHARACTERS] for line in islice(lines, LINES)]
    script = _other_script(seen, SCRIPTS.get(code, "Latn"))
    if script is not None:
        return IN_WORDS.get(script, f"{script} script")
    if code not in FREQUENT:
        return None
    words = Counter(word for line in seen for word in re.findall(r"\w+", line.casefold()))
    counts = {language: sum(words[word] for word in frequent.split()) for language, frequent in FREQUENT.items()}
    best = max(counts, key=lambda language: counts[language])
    several = sum(word in words for word in FREQUENT[best].split()) >= DIFFERENT
    return best if several and counts[best] >= max(EVIDENCE, SURE * counts[code] + 1) else None


def _other_script(lines: Sequence[str], own: str) -> str | None:
    """The most frequent script, if more than half of the letters are not in a language's ``own``."""
    counts = _letters(lines)
    total = sum(counts.values())
    for script in {"Jpan": ("Jpan", "Hani"), "Hang": ("Hang", "Hani")}.get(own, (own,)):
        del counts[script]
    return counts.most_common(1)[0][0] if sum(counts.values()) > max(EVIDENCE, total / 2) else None


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether all cells are names of columns: codes or names of languages, or words such as "source"."""
    return all(cell.strip().casefold() in HEADINGS or known(cell) is not None for cell in cells)
