"""What the signs of a pair tell: words, numbers, odd characters, copies. Knows two strings, no corpus."""

from __future__ import annotations

import re
import unicodedata

import regex

CJK = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
WORD = regex.compile(rf"(?V1){CJK}|[[\w\p{{M}}\u200c\u200d]--[_]--{CJK}]+")
"""A word, with its marks and joiners, which `re` does not know; of Chinese and Japanese, a character."""
ASCII_WORD = re.compile(r"[^\W_]+")
NOT_WORD = regex.compile(r"(?V1)[[^\w\p{M}]||[_]]+")
NUMBER = re.compile(r"\d+")
IN_NUMBER = re.compile(r"(?<=\d)[.,:'’\u00a0\u202f](?=\d)")  # separators of thousands, decimals, hours
ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff\ue000-\uf8ff]")
"""Controls, the replacement character, and characters of private use."""
ROUND = re.compile(r"(?<=\d)[.,]0{1,2}(?!\d)")  # 2.00 is 2
LONG_COPY = 12  # letters and digits; shorter lines may be the same in two languages


def _moved(first: int, last: int) -> str:
    """The characters that bytes become where UTF-8 is read as Windows-1252 or Latin-1."""
    signs = {bytes([byte]).decode(codec, "ignore") for byte in range(first, last) for codec in ("cp1252", "latin-1")}
    return "".join(re.escape(sign) for sign in sorted(signs - {""}))


NEXT = f"[{_moved(0x80, 0xC0)}]"
TWO, THREE = f"[{_moved(0xC4, 0xE0)}]{NEXT}", f"[{_moved(0xE1, 0xF0)}]{NEXT}{{2}}"
MOJIBAKE = re.compile(f"[ÂÃ]{NEXT}|â{NEXT}{{2}}|(?:{TWO}){{2}}|(?:{THREE}){{2}}")
"""UTF-8 that was read in another encoding: ``Ã¼`` for ``ü``, ``â€œ`` for a quotation mark."""


def words(text: str) -> list[str]:
    """The words in small letters, their marks composed."""
    if text.isascii():
        return ASCII_WORD.findall(text.casefold())
    found: list[str] = WORD.findall(unicodedata.normalize("NFC", text).casefold())
    return found


def folded(text: str) -> str:
    """The letters and digits alone, in small letters, every number as 0: what near-duplicates have in common."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return NUMBER.sub("0", NOT_WORD.sub("", text.casefold()))


def near(src: str, tgt: str) -> tuple[str, str]:
    """Both sides ``folded``: alike for pairs that are near-duplicates; empty for a pair without letters and digits."""
    return folded(src), folded(tgt)


def numbers(text: str) -> set[str]:
    """The numbers, without separators and zeros at their beginning."""
    if not any(map(str.isdecimal, text)):
        return set()
    found = NUMBER.findall(IN_NUMBER.sub("", ROUND.sub("", text)))
    return {"".join(str(unicodedata.decimal(digit)) for digit in number).lstrip("0") for number in found}


def is_copy(src: str, tgt: str) -> bool:
    """Whether both sides are the same text, and long enough for that to be no chance."""
    return src.strip().casefold() == tgt.strip().casefold() and len(NOT_WORD.sub("", src)) >= LONG_COPY


def numbers_disagree(src: str, tgt: str) -> bool:
    """Whether each side has a number that the other lacks; a number may also be written as a word."""
    one, other = numbers(src), numbers(tgt)
    return bool(one - other and other - one)


def is_odd(text: str) -> bool:
    """Whether there are controls, replacement characters, or characters of a wrong encoding."""
    return bool(ODD.search(text) or (not text.isascii() and MOJIBAKE.search(text)))
