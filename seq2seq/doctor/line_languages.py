"""The language of a single line: by its letters and frequent words, and by py3langid where that is installed.

Knows lines and codes. A line is in doubt only if it has few of its own language's frequent words; so most lines are
answered without py3langid, which takes 0.15 ms a line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from seq2seq.data.languages import FREQUENT, Language, of_text

LETTERS = 20  # of a line whose script is looked at
WORDS = 5  # of a line whose language is looked at
SEVERAL = 3  # different frequent words of another language that tell a line
MARGIN = 20.0  # by which py3langid's log-probability of the other language must be greater
READ = 400  # characters of a line

Identify = Callable[[str], list[tuple[str, float]]]
"""Languages and log-probabilities of a line, the likeliest first."""


def identifier() -> Identify | None:
    """py3langid's function, None if it is not installed."""
    try:
        import py3langid
    except ImportError:
        return None
    found: Identify = py3langid.rank
    return found


@cache
def _frequent(code: str) -> frozenset[str]:
    return frozenset(FREQUENT.get(code, "").split())


def other_language(line: str, code: str, found: list[str], identify: Identify | None) -> str | None:
    """The language or script that a line is in, if that is surely not the language ``code``; else None.

    Args:
        found: the words of the line.
    """
    if len(found) < WORDS:
        return None
    line = line[:READ]
    there = set(found)
    own = len(there & _frequent(code))
    if own * 8 >= len(found):
        return None
    if not line.isascii() or not _is_latin(code):
        script = of_text([line], code)
        if script is not None and script not in FREQUENT:
            return script
    if own <= 1:
        counts = {other: len(there & _frequent(other)) for other in FREQUENT if other != code}
        best = max(counts, key=lambda other: counts[other])
        if counts[best] >= max(SEVERAL, 4 * own) and code in FREQUENT:
            return best
    return None if identify is None or own else _identified(line, code, identify)


def swapped(src: list[str], tgt: list[str], codes: tuple[str | None, str | None]) -> bool:
    """Whether each side has more frequent words of the other's language than of its own, and both together several.

    Args:
        src, tgt: the words of the sides.
        codes: the languages that they should have.
    """
    leanings = [_leaning(src, *codes), _leaning(tgt, *reversed(codes))]
    return min(leanings) > 0 and sum(leanings) >= SEVERAL


def _leaning(found: list[str], code: str | None, other: str | None) -> int:
    """How many more different frequent words of the language ``other`` than of ``code`` a line has."""
    there = set(found)
    return len(there & _frequent(other or "")) - len(there & _frequent(code or ""))


def _identified(line: str, code: str, identify: Identify) -> str | None:
    ranks = identify(line)
    given = dict(ranks)
    best, score = ranks[0]
    if code not in given or Language.of(best).code == code or score - given[code] < MARGIN:
        return None
    return best


def _is_latin(code: str) -> bool:
    return Language.of(code).script in ("", "Latn")
