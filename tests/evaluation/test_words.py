"""Tokens to words against SentencePiece's own decoding."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from seq2seq import grammar
from seq2seq.config.schema import Config, DataConfig, SubwordConfig
from seq2seq.data import subwords
from seq2seq.data.subwords import Subwords, normalise
from seq2seq.evaluation.words import encode_pairs, splitter, token_spans, words_of_tokens

HOSTILE = [
    "the cat sees a dog",
    "",
    "   ",
    "  the  cat ",
    "Zoe\u0308 cat Zoë",  # combining and composed
    "q\u0323\u0301 a\u0301\u0323 \u0301x",  # combining characters in two orders, and one on its own
    "👍🏽 the 👩‍👩‍👧cat 🇩🇪",
    "שלום the עולם, مرحبا!",
    "\u202bthe\u202c cat",  # marks of direction
    "a\u00a0b\tc\u2028d\u3000e",
    "</s> <0x41> <unk> cat",
    "\ufeffcat\x00 \u200d",
    "der Hund, der; ,. läuft heim.",
    "한국어 각 日本語 カ\u3099",
    "\u037e \u1fef \u2126",  # characters that NFC replaces
]


@pytest.fixture(scope="module")
def closed_subwords(pairs: list[tuple[str, str]]) -> Subwords:
    """A vocabulary without bytes: what it has not seen is unknown."""
    text = [line for pair in pairs for line in pair]
    return subwords.train(text, text, SubwordConfig(vocab_size=60, byte_fallback=False))


def fuzz(count: int) -> list[str]:
    rng = random.Random(1)
    alphabet = [
        "the",
        "cat",
        "e",
        "c",
        " ",
        " ",
        "  ",
        ",",
        ".",
        "ö",
        "o\u0308",
        "\u0301",
        "👍🏽",
        "ש",
        "日",
        "\t",
        "\u00a0",
    ]
    return ["".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(count)]


# --------------------------------------------------------------------------------------------- tokens and words


@pytest.mark.parametrize("lines", [HOSTILE, fuzz(100)], ids=["hostile", "random"])
def test_spans_are_where_sentencetoken_decodes_each_token(lines: list[str], tiny_subwords: Subwords) -> None:
    for text in map(normalise, lines):
        ids = tiny_subwords.encode_src([text])[0][:-1]
        for n, (start, end) in enumerate(token_spans(tiny_subwords.src_tokens(ids), text)):
            before, upto = tiny_subwords.decode_tgt([ids[:n], ids[: n + 1]])
            if text.startswith(before):  # else a character is not whole yet
                assert start in (len(before), end), text
            if text.startswith(upto):
                assert end in (len(upto), start), text
            if not (text.startswith(before) and text.startswith(upto)):
                assert end - start == 1, text


@pytest.mark.parametrize("vocabulary", ["tiny_subwords", "closed_subwords"])
@pytest.mark.parametrize("split", [str.split, grammar.words])
def test_every_character_is_covered_in_order_and_every_word_has_its_tokens(
    vocabulary: str, split: Callable[[str], list[str]], request: pytest.FixtureRequest
) -> None:
    chosen: Subwords = request.getfixturevalue(vocabulary)
    for line in [*HOSTILE, *fuzz(200)]:
        tokens = chosen.src_tokens(chosen.encode_src([line])[0])
        spans = [span for span in token_spans(tokens, line) if span[0] < span[1]]
        assert sorted(spans) == spans, line
        assert {n for start, end in spans for n in range(start, end)} == set(range(len(normalise(line)))), line
        found = words_of_tokens(tokens, line, split(line))
        assert found.words == split(line)
        known = [n for n in found.of_token if n is not None]
        assert known == sorted(known), line
        assert found.of_token[-1] is None and tokens[-1] == "</s>"
        if vocabulary == "tiny_subwords" and split is str.split:  # no token of it reaches from word to word
            assert set(known) == set(range(len(found.words))), line


def test_byte_tokens_belong_to_the_word_of_their_character() -> None:
    tokens = ["▁Zo", "<0xC3>", "<0xAB>", "▁", "<0xF0>", "<0x9F>", "<0x91>", "<0x8D>", "▁cat", "</s>"]
    assert token_spans(tokens, "Zoë 👍 cat")[1:8] == [(2, 3), (2, 3), (3, 4), *[(4, 5)] * 4]
    assert words_of_tokens(tokens, "Zoe\u0308 👍 cat", ["Zoe\u0308", "👍", "cat"]).of_token == [
        *[0, 0, 0, None, 1, 1, 1, 1, 2, None]
    ]


def test_a_token_over_two_words_goes_to_the_one_it_shares_more_with_and_one_over_space_to_none() -> None:
    tokens = ["▁dogs", ",▁", "cat", "s.a", "▁", "b;c", "</s>"]
    text = "dogs, cats.a b;c"
    found = words_of_tokens(tokens, text, grammar.words(text))
    assert found.words == ["dogs", ",", "cats", ".", "a", "b", ";", "c"]
    assert found.of_token == [0, 1, 2, 2, None, 5, None]  # of equal shares the first
    assert words_of_tokens(["▁ab", "cd", "e"], "abcde", ["a", "bcd", "e"]).of_token == [0, 1, 2]


@pytest.mark.parametrize(
    ("tokens", "text", "of_token"),
    [
        (["▁", "<unk>", "c", "at", "<unk>", "▁the"], "XYcatZ the", [None, 0, 0, 0, 0, 1]),
        (["▁", "<unk>", "c", "<unk>", "c", "<unk>"], "QcQcQ", [None, 0, 0, 0, 0, 0]),
        (["▁", "<unk>", "▁", "▁", "<unk>", "▁a"], "שלום  👍 a", [None, 0, None, None, 1, 2]),
        (["▁the", "▁", "<unk>", "▁cat"], "the  ⁇  cat", [0, None, 1, 2]),  # as SentencePiece decodes the unknown
        (["▁", "<unk>", "▁", "▁cat"], " ⁇   cat", [None, 0, None, 1]),
        (["▁a", "▁", "<unk>"], "a▁b", [0, 0, 0]),  # the character that stands for a space
    ],
)
def test_unknown_runs_reach_to_the_next_known_token(tokens: list[str], text: str, of_token: list[int | None]) -> None:
    assert words_of_tokens(tokens, text, text.split()).of_token == of_token


def test_a_translation_of_broken_bytes_and_line_ends_keeps_the_other_tokens_in_place() -> None:
    tokens = ["▁a", "<0xC3>", "▁cat", "<0x0A>", "the", "<0xFF>", "<0xFE>", "</s>"]
    text = "a\ufffd cat the\ufffd\ufffd"  # the translator writes a line end as a space
    assert words_of_tokens(tokens, text, text.split()).of_token == [0, 0, 1, None, 2, 2, 2, None]


def test_words_that_are_not_of_the_text_are_refused() -> None:
    with pytest.raises(ValueError, match="not found"):
        words_of_tokens(["▁a"], "a b", ["b", "a"])


def test_the_grammar_counts_punctuation_and_other_text_does_not() -> None:
    assert splitter(Config(data=DataConfig(source="grammar")), ["今天天气很好。"])("Hund, der") == ["Hund", ",", "der"]
    assert splitter(Config(data=DataConfig(source="text")), ["Hund, der"])("Hund, der") == ["Hund,", "der"]
    assert splitter(Config(data=DataConfig(source="text")), ["今天天气很好。"])("Hund 上") == ["Hund", "上"]


def test_of_a_line_of_any_length_the_first_tokens_and_their_words_are_taken(tiny_subwords: Subwords) -> None:
    long, short = "the dog sees a cat " * 5_000, "the dog"
    [cut, whole] = encode_pairs(tiny_subwords, [long, short], [short, long], str.split, longest=40)
    for side, ids in ((cut.src, cut.src_ids), (whole.tgt, whole.tgt_ids)):
        assert len(ids) == len(side.of_token) == 40
        assert side.words == long.split()[: len(side.words)]
        assert {n for n in side.of_token if n is not None} == set(range(len(side.words)))
    assert (cut.tgt.words, whole.src.words) == (["the", "dog"], ["the", "dog"])
    [exact] = encode_pairs(tiny_subwords, [short], [short], str.split, longest=len(cut.tgt_ids))
    assert exact.tgt == cut.tgt
