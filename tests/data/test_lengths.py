"""The unit of length of a text: on real text of eleven scripts, and on what has been segmented."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.data.lengths import CHARACTERS, WORDS, characters, unit_of
from seq2seq.evaluation.evaluate import by_thirds, figures_by_length
from seq2seq.evaluation.statistics import by_bucket


def text_of(language: str) -> list[str]:
    return (Path(__file__).parents[1] / f"text/{language}.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("line", "units"),
    [
        ("这本书有300页。", ["这", "本", "书", "有", "300", "页", "。"]),
        ("ที่นี่ CD ดี", ["ที่", "นี่", "CD", "ดี"]),
        ("か\u3099く", ["\u304c", "く"]),
        ("ก \u0e34 a\u0e34", ["ก", "\u0e34", "a\u0e34"]),
        ("\u1112\u1161\u11ab", ["한"]),
        ("ក\u200bខ", ["ក\u200b", "ខ"]),
        ("", []),
    ],
)
def test_characters_keep_their_marks(line: str, units: list[str]) -> None:
    assert characters(line) == units


@pytest.mark.parametrize("language", ["ar", "el", "en", "he", "hi", "ja", "ko", "ru", "th", "vi", "zh"])
def test_text_without_spaces_is_known_unless_it_is_segmented(language: str) -> None:
    text = text_of(language)
    assert (unit_of(text) is CHARACTERS) == (language in ("ja", "th", "zh"))
    assert unit_of([" ".join(characters(line)) for line in text]) is WORDS


@pytest.mark.parametrize("language", ["en", "hi", "ja", "th", "zh"])
def test_thirds_are_of_different_lengths_in_the_unit_of_the_source(language: str) -> None:
    src, references = text_of(language), text_of("en")
    rows = by_thirds(src, references, references, "en")
    unit = "words" if language in ("en", "hi") else "characters"
    assert [row["unit"] for row in rows] == [unit] * 3
    lengths = sorted(len(line.split()) if unit == "words" else len(characters(line)) for line in src)
    assert [row["from_words"] for row in rows] == [lengths[0], lengths[33], lengths[66]]
    assert rows[2]["to_words"] == lengths[-1] > rows[0]["to_words"]
    assert all(label.endswith(f" {unit})") for label in figures_by_length({"by_length": rows}))  # type: ignore[typeddict-item]
    for row in rows:
        del row["unit"]  # as older runs wrote it
    assert all(label.endswith(" words)") for label in figures_by_length({"by_length": rows}))  # type: ignore[typeddict-item]


def test_the_default_buckets_part_a_text_as_they_part_its_translation() -> None:
    for text, space in ((text_of("en"), " "), (text_of("zh"), "")):
        lines = [space.join(text[n : n + 1 + n % 6]) for n in range(100)]
        unit = unit_of(lines)
        assert len(by_bucket(unit.counts(lines), unit.edges(None))) >= 3
    assert (WORDS.edges(None), CHARACTERS.edges(None)) == ([10, 20, 30, 40], [20, 40, 60, 80])
    assert CHARACTERS.edges([10, 20, 30, 40]) == [10, 20, 30, 40]  # what is given is in the text's own unit
