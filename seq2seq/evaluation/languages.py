"""Languages by their codes and by their letters: how words are told apart, and what is to be said of it.

A code may be BCP 47 (``zh-Hans-CN``), ISO 639-1, -2 or -3 (``zh``, ``chi``, ``zho``), as in FLORES (``zho_Hans``) or in
mBART (``zh_CN``), in any case. Knows codes and characters; knows no metric. Imports nothing heavy.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from seq2seq.data.subwords import normalise

SPELLINGS = {
    "zh": "zho chi cmn yue wuu nan hak hsn gan cdo lzh cn", "ja": "jpn jp", "ko": "kor", "th": "tha", "km": "khm",
    "my": "mya bur", "lo": "lao", "bo": "bod tib", "dz": "dzo",
}  # fmt: skip
"""Codes with the same treatment as a primary one; ``cn`` and ``jp`` are countries, but often written."""
PRIMARY = {code: language for language, codes in SPELLINGS.items() for code in codes.split()}
SCRIPTS = {
    "zh": "Hani", "ja": "Jpan", "ko": "Hang", "th": "Thai", "km": "Khmr", "my": "Mymr", "lo": "Laoo", "bo": "Tibt",
    "dz": "Tibt", "shn": "Mymr", "kht": "Mymr", "khb": "Talu", "nod": "Lana",
}  # fmt: skip
"""The script (ISO 15924) of a language where its code names none; of other languages it does not matter here."""
CHINESE = ("Hani", "Hans", "Hant", "Bopo", "Hanb")
JAPANESE = ("Jpan", "Hira", "Kana", "Hrkt")
KOREAN = ("Hang", "Kore")
ABUGIDAS = {"Thai": "th", "Khmr": "km", "Mymr": "my", "Laoo": "lo", "Tibt": "bo", "Lana": "nod", "Talu": "khb"}
"""Scripts without spaces between words for which sacreBLEU has no tokeniser, and a language of each."""
BY_NAME = {
    "CJK": "Hani", "BOPOMOFO": "Hani", "HIRAGANA": "Jpan", "KATAKANA": "Jpan", "HANGUL": "Hang", "THAI": "Thai",
    "KHMER": "Khmr", "MYANMAR": "Mymr", "LAO": "Laoo", "TIBETAN": "Tibt",
}  # fmt: skip
"""Scripts by the first word of their characters' names in Unicode."""
LOOKED_AT = 1_000  # lines of a text, and characters of a line, that tell its script
DENSE = 3  # letters of an alphabet that a Chinese, Japanese or Korean character stands for
KANA = 0.1  # share of kana from which on Chinese characters are Japanese
LONG_WORD = 15  # characters a word, on average: more than in any language with spaces


class Language(NamedTuple):
    """A language's primary code (ISO 639-1 where there is one) and its script (ISO 15924), each "" if unknown."""

    code: str
    script: str

    @classmethod
    def of(cls, code: str) -> Language:
        """Read a code in any spelling."""
        first, *rest = code.strip().lower().replace("_", "-").split("-")
        primary = PRIMARY.get(first, first)
        stated = next((part.title() for part in rest if len(part) == 4 and part.isalpha()), "")
        return cls(primary, stated or SCRIPTS.get(primary, ""))

    @property
    def tokenizer(self) -> str:
        """sacreBLEU's tokeniser; ``char`` for a script without spaces for which it has none."""
        if self.script in KOREAN:
            return "ko-mecab"
        if self.script in JAPANESE:
            return "ja-mecab"
        if self.script in CHINESE:
            return "zh"
        return "char" if self.script in ABUGIDAS else "13a"


def language_of_text(lines: Sequence[str]) -> Language:
    """The language that is likely from the letters, where it is one with a tokeniser of its own; else unknown."""
    counts: Counter[str] = Counter()
    for line in lines[:LOOKED_AT]:
        counts.update(map(_script, line[:LOOKED_AT]))
    del counts[""]
    kana, chinese = counts["Jpan"], counts["Hani"]
    if kana >= KANA * (kana + chinese):
        counts["Jpan"], counts["Hani"] = kana + chinese, 0
    for dense in ("Jpan", "Hani", "Hang"):
        counts[dense] *= DENSE
    script, count = counts.most_common(1)[0]
    if not count or script == "other":
        return Language("", "")
    return Language({"Jpan": "ja", "Hani": "zh", "Hang": "ko", **ABUGIDAS}[script], script)


@cache
def _script(character: str) -> str:
    if unicodedata.category(character)[0] not in "LM":
        return ""
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ")
    if name.startswith(("TAI THAM", "NEW TAI LUE")):
        return "Lana" if name.startswith("TAI THAM") else "Talu"
    return BY_NAME.get(name.split(" ")[0].split("-")[0], "other")


def word_notices(code: str, references: Sequence[str], option: str) -> Iterator[str]:
    """What a user should know of how BLEU tells the references' words apart, a line each.

    Args:
        code: of their language, as given.
        option: that sets it, such as ``data.tgt``.
    """
    language, likely = Language.of(code), language_of_text(references)
    if language.script in ABUGIDAS:
        yield f"{code}: no spaces, and no tokeniser in sacreBLEU: BLEU is of characters (tokenize=char)"
    if language.tokenizer != "13a":
        return
    words = sum(len(line.split()) for line in references)
    characters = sum(len("".join(line.split())) for line in references)
    if likely.code:
        script = {"Hani": "Chinese characters", "Jpan": "Japanese", "Hang": "Hangul"}.get(likely.script, likely.script)
        yield f"warning: {option}={code}, but the references are in {script}: set {option}={likely.code}, if they are"
    elif characters > LONG_WORD * words:
        yield (
            f"warning: the references' words have {characters / max(words, 1):.0f} characters, so BLEU compares nearly "
            f"whole lines: set {option} to their language, or look at chrF (in training: trainer.metric=chrf)"
        )


def form_notices(texts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line for each text, by its name, that has lines in another Unicode form than the one that is scored."""
    for name, lines in texts.items():
        changed = sum(line != normalise(line) for line in lines)
        if changed:
            yield f"{name}: {changed:,} of {len(lines):,} lines are not in Unicode's form NFC; they are scored in it"
