"""Which training pairs are kept, and how drops are counted."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import pytest

from seq2seq.config.schema import FilterConfig
from seq2seq.data.blank import is_blank
from seq2seq.data.filters import Pair, drop_empty_and_duplicates, key, within_limits

PAIRS = [("a", "b"), ("", "b"), ("a", " \t"), ("a", "b"), (" a", "b "), ("b", "a"), ("a", "c")]


def test_a_pair_with_an_empty_side_is_dropped_as_a_pair() -> None:
    dropped: Counter[str] = Counter()
    assert list(drop_empty_and_duplicates(PAIRS, FilterConfig(), dropped)) == [PAIRS[n] for n in (0, 3, 4, 5, 6)]
    assert dropped == {"empty": 2}


def test_of_identical_pairs_the_first_is_kept() -> None:
    dropped: Counter[str] = Counter()
    assert list(drop_empty_and_duplicates(PAIRS, FilterConfig(deduplicate=True), dropped)) == [
        ("a", "b"),
        ("b", "a"),
        ("a", "c"),
    ]
    assert dropped == {"empty": 2, "duplicate": 2}


@pytest.mark.parametrize(
    ("one", "other"), [(("a b", "c"), ("a", "b c")), (("ab", ""), ("a", "b")), (("a", "b"), ("b", "a"))]
)
def test_pairs_that_differ_have_keys_that_differ(one: Pair, other: Pair) -> None:
    assert key(one) != key(other)


def test_spaces_around_do_not_make_another_pair() -> None:
    assert key((" a ", "b\u3000")) == key(("a", "b"))


@pytest.mark.parametrize(
    ("src", "tgt", "reason"),
    [
        (5, 5, None),
        (6, 5, "too long"),
        (5, 6, "too long"),
        (4, 2, None),
        (2, 4, None),
        (5, 2, "length ratio"),
        (2, 5, "length ratio"),
        (9, 1, "too long"),
    ],
)
def test_lengths_at_and_beyond_the_limits(src: int, tgt: int, reason: str | None) -> None:
    dropped: Counter[str] = Counter()
    kept = within_limits(np.array([src]), np.array([tgt]), FilterConfig(max_length=5, max_ratio=2.0), dropped)
    assert kept.tolist() == [reason is None]
    assert dropped == ({reason: 1} if reason else {})


def test_without_a_ratio_any_ratio_fits() -> None:
    assert within_limits(np.array([100]), np.array([1]), FilterConfig(), Counter())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "  ",
        "\u200b",
        "\ufeff \u200d",
        "\u00ad\u2060",
        "\u3164",
        "\u2800\u2800",
        "\ufe0f",
        "\x00\x1f",
        "\u2028",
        "\U000e0101",
    ],
)
def test_a_line_of_invisible_characters_is_blank(line: str) -> None:
    assert is_blank(line)
    dropped: Counter[str] = Counter()
    assert list(drop_empty_and_duplicates([("a", line), (line, "a"), ("a", "b")], FilterConfig(), dropped)) == [
        ("a", "b")
    ]
    assert dropped == {"empty": 2}


@pytest.mark.parametrize("line", ["a", "\u200b.", "\u0301", "‿", "한", "☃\ufe0f", "\u200f\u05d0"])
def test_what_can_be_seen_is_not_blank(line: str) -> None:
    assert not is_blank(line)


def test_composed_and_decomposed_text_is_the_same_pair() -> None:
    dropped: Counter[str] = Counter()
    pairs = [("for", unicodedata.normalize(form, "für")) for form in ("NFC", "NFD")]
    assert len(list(drop_empty_and_duplicates(pairs, FilterConfig(deduplicate=True), dropped))) == 1
    assert dropped == {"duplicate": 1}
