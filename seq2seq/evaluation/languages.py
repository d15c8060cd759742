"""What BLEU makes of a language: its tokeniser, and what a user should know of it. Knows metrics; no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from seq2seq.data.languages import ABUGIDAS, CHINESE, IN_WORDS, JAPANESE, KOREAN, Language, language_of_text
from seq2seq.data.subwords import normalise

LONG_WORD = 15  # characters a word, on average: more than in any language with spaces


def tokenizer_of(code: str) -> str:
    """sacreBLEU's tokeniser of a language; ``char`` for a script without spaces for which it has none."""
    script = Language.of(code).script
    if script in KOREAN:
        return "ko-mecab"
    if script in JAPANESE:
        return "ja-mecab"
    if script in CHINESE:
        return "zh"
    return "char" if script in ABUGIDAS else "13a"


def read_language(
    code: str | None, lines: Sequence[str], option: str, likely: str | None = None
) -> tuple[str | None, str]:
    """The code of a text's language, read off its letters where it is not given, and a line that says so.

    Args:
        code: as given; then nothing is said.
        option: that sets it, such as ``data.tgt``.
        likely: the code that ``init`` has; it is taken where the letters do not tell the language of either.

    Returns:
        The code, None where the script does not tell it; and the line, "" for a code that is given.
    """
    if code is not None:
        return code, ""
    found = language_of_text(lines)
    cure = f"to set it: {option}=CODE"
    if found.code:
        return (
            found.code,
            f"{option} is not given: text in {IN_WORDS[found.script]} is taken as {found.code}; {cure}",
        )
    if likely and not Language.of(likely).script:
        return likely, f"{option} is not given: {likely}, as in the run of init; {cure}"
    return None, f"{option} is not given, and the script does not tell it: BLEU uses sacreBLEU's tokeniser 13a; {cure}"


def word_notices(code: str, references: Sequence[str], option: str) -> Iterator[str]:
    """What a user should know of how BLEU tells the references' words apart, a line each.

    Args:
        code: of their language; "" if it is not known.
        option: that sets it, such as ``data.tgt``.
    """
    tokenizer, likely = tokenizer_of(code), language_of_text(references)
    if tokenizer == "char":
        yield f"{code}: no spaces, and no tokeniser in sacreBLEU: BLEU is of characters (tokenize=char)"
    if tokenizer != "13a":
        return
    words = sum(len(line.split()) for line in references)
    characters = sum(len("".join(line.split())) for line in references)
    if likely.code:
        script = IN_WORDS[likely.script]
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
