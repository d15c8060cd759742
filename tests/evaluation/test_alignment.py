"""Pieces to words against SentencePiece's own decoding; AER against an example worked by hand."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seq2seq import grammar
from seq2seq.config.schema import (
    BOS,
    AttentionDecoderConfig,
    Config,
    DataConfig,
    ModelConfig,
    SubwordConfig,
    TransformerDecoderConfig,
)
from seq2seq.data import batches, subwords
from seq2seq.data.subwords import Subwords, normalise
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import (
    Gold,
    Words,
    agreement,
    agreements,
    look,
    map_names,
    most_attended,
    piece_spans,
    read_gold,
    splitter,
    word_attention,
    word_maps,
    words_of_pieces,
)
from seq2seq.models.interface import Seq2Seq

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


# --------------------------------------------------------------------------------------------- pieces and words


@pytest.mark.parametrize("lines", [HOSTILE, fuzz(100)], ids=["hostile", "random"])
def test_spans_are_where_sentencepiece_decodes_each_piece(lines: list[str], tiny_subwords: Subwords) -> None:
    for text in map(normalise, lines):
        ids = tiny_subwords.encode_src([text])[0][:-1]
        for n, (start, end) in enumerate(piece_spans(tiny_subwords.src_tokens(ids), text)):
            before, upto = tiny_subwords.decode_tgt([ids[:n], ids[: n + 1]])
            if text.startswith(before):  # else a character is not whole yet
                assert start in (len(before), end), text
            if text.startswith(upto):
                assert end in (len(upto), start), text
            if not (text.startswith(before) and text.startswith(upto)):
                assert end - start == 1, text


@pytest.mark.parametrize("vocabulary", ["tiny_subwords", "closed_subwords"])
@pytest.mark.parametrize("split", [str.split, grammar.words])
def test_every_character_is_covered_in_order_and_every_word_has_its_pieces(
    vocabulary: str, split: Callable[[str], list[str]], request: pytest.FixtureRequest
) -> None:
    chosen: Subwords = request.getfixturevalue(vocabulary)
    for line in [*HOSTILE, *fuzz(200)]:
        pieces = chosen.src_tokens(chosen.encode_src([line])[0])
        spans = [span for span in piece_spans(pieces, line) if span[0] < span[1]]
        assert sorted(spans) == spans, line
        assert {n for start, end in spans for n in range(start, end)} == set(range(len(normalise(line)))), line
        found = words_of_pieces(pieces, line, split(line))
        assert found.words == split(line)
        known = [n for n in found.of_piece if n is not None]
        assert known == sorted(known), line
        assert found.of_piece[-1] is None and pieces[-1] == "</s>"
        if vocabulary == "tiny_subwords" and split is str.split:  # no piece of it reaches from word to word
            assert set(known) == set(range(len(found.words))), line


def test_byte_pieces_belong_to_the_word_of_their_character() -> None:
    pieces = ["▁Zo", "<0xC3>", "<0xAB>", "▁", "<0xF0>", "<0x9F>", "<0x91>", "<0x8D>", "▁cat", "</s>"]
    assert piece_spans(pieces, "Zoë 👍 cat")[1:8] == [(2, 3), (2, 3), (3, 4), *[(4, 5)] * 4]
    assert words_of_pieces(pieces, "Zoe\u0308 👍 cat", ["Zoe\u0308", "👍", "cat"]).of_piece == [
        *[0, 0, 0, None, 1, 1, 1, 1, 2, None]
    ]


def test_a_piece_over_two_words_goes_to_the_one_it_shares_more_with_and_one_over_space_to_none() -> None:
    pieces = ["▁dogs", ",▁", "cat", "s.a", "▁", "b;c", "</s>"]
    text = "dogs, cats.a b;c"
    found = words_of_pieces(pieces, text, grammar.words(text))
    assert found.words == ["dogs", ",", "cats", ".", "a", "b", ";", "c"]
    assert found.of_piece == [0, 1, 2, 2, None, 5, None]  # of equal shares the first
    assert words_of_pieces(["▁ab", "cd", "e"], "abcde", ["a", "bcd", "e"]).of_piece == [0, 1, 2]


@pytest.mark.parametrize(
    ("pieces", "text", "of_piece"),
    [
        (["▁", "<unk>", "c", "at", "<unk>", "▁the"], "XYcatZ the", [None, 0, 0, 0, 0, 1]),
        (["▁", "<unk>", "c", "<unk>", "c", "<unk>"], "QcQcQ", [None, 0, 0, 0, 0, 0]),
        (["▁", "<unk>", "▁", "▁", "<unk>", "▁a"], "שלום  👍 a", [None, 0, None, None, 1, 2]),
        (["▁the", "▁", "<unk>", "▁cat"], "the  ⁇  cat", [0, None, 1, 2]),  # as SentencePiece decodes the unknown
        (["▁", "<unk>", "▁", "▁cat"], " ⁇   cat", [None, 0, None, 1]),
        (["▁a", "▁", "<unk>"], "a▁b", [0, 0, 0]),  # the character that stands for a space
    ],
)
def test_unknown_runs_reach_to_the_next_known_piece(pieces: list[str], text: str, of_piece: list[int | None]) -> None:
    assert words_of_pieces(pieces, text, text.split()).of_piece == of_piece


def test_a_translation_of_broken_bytes_and_line_ends_keeps_the_other_pieces_in_place() -> None:
    pieces = ["▁a", "<0xC3>", "▁cat", "<0x0A>", "the", "<0xFF>", "<0xFE>", "</s>"]
    text = "a\ufffd cat the\ufffd\ufffd"  # the translator writes a line end as a space
    assert words_of_pieces(pieces, text, text.split()).of_piece == [0, 0, 1, None, 2, 2, 2, None]


def test_words_that_are_not_of_the_text_are_refused() -> None:
    with pytest.raises(ValueError, match="not found"):
        words_of_pieces(["▁a"], "a b", ["b", "a"])


def test_the_grammar_counts_punctuation_and_other_text_does_not() -> None:
    assert splitter(Config(data=DataConfig(source="grammar")))("Hund, der") == ["Hund", ",", "der"]
    assert splitter(Config(data=DataConfig(source="text")))("Hund, der") == ["Hund,", "der"]


# ------------------------------------------------------------------------------------------ attention and links


def test_source_pieces_are_summed_and_target_pieces_averaged() -> None:
    attention = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.2, 0.2], [0.0, 0.0, 0.9, 0.1]])
    src, tgt = Words(["x", "y", "z"], [0, 0, 1, None]), Words(["u", "v"], [0, 0, None])
    expected = torch.tensor([[(0.3 + 0.6) / 2, (0.3 + 0.2) / 2, 0.0], [0.0, 0.0, 0.0]])  # z and v have no piece
    torch.testing.assert_close(word_attention(attention, tgt, src), expected)
    assert most_attended(word_attention(attention, tgt, src)).tolist() == [0, -1]


def test_word_rows_sum_to_one_where_nothing_lies_outside() -> None:
    attention = torch.rand(5, 7, 9).softmax(-1)
    src, tgt = Words(list("abc"), [0, 0, 0, 1, 1, 2, 2, 2, 2]), Words(list("de"), [0, 1, 1, 0, 1, 1, 0])
    torch.testing.assert_close(word_attention(attention, tgt, src).sum(-1), torch.ones(5, 2))


def test_before_is_the_row_that_predicts_a_piece_and_after_the_one_that_has_read_it() -> None:
    attention = torch.eye(4)[None].repeat(2, 1, 1)
    attention[1] = attention[1].flip(1)  # the second map looks from the other end
    src, tgt = Words(list("abcd"), [0, 1, 2, 3]), Words(list("uvw"), [0, 1, 2, None])
    maps = word_maps(attention, tgt, src)
    assert maps.shape == (2, 3, 3, 4)
    assert most_attended(maps)[:, 1].tolist() == [[0, 1, 2], [1, 2, 3]]
    assert most_attended(maps)[:, 2].tolist() == [[3, 2, 1], [2, 1, 0]]
    torch.testing.assert_close(maps[:, 0], maps[:, 1:].mean(1))
    assert word_maps(attention[:1], tgt, src).shape == (2, 1, 3, 4)  # one map is its own mean


def test_a_side_without_words_has_no_links() -> None:
    none, one = Words([], [None]), Words(["a"], [0, None])
    assert most_attended(word_maps(torch.ones(1, 2, 1), one, none)).tolist() == [[[-1]], [[-1]]]
    assert most_attended(word_maps(torch.ones(1, 1, 2) / 2, none, one)).shape == (2, 1, 0)


def test_maps_are_named_by_layer_and_head() -> None:
    assert [name["map"] for name in map_names(TransformerDecoderConfig(heads=2, layers=3).attention_maps)] == [
        "mean",
        *(f"layer {layer} head {head}" for layer in (1, 2, 3) for head in (1, 2)),
    ]
    assert map_names(AttentionDecoderConfig().attention_maps) == [{"map": "mean"}]


def test_the_options_of_a_decoder_say_what_its_model_does(
    name: str, build_tiny: Callable[..., Seq2Seq], tiny_models: dict[str, ModelConfig]
) -> None:
    model, options = build_tiny(name), tiny_models[name].decoder
    src, begin = torch.tensor([[5, 3]]), torch.tensor([[BOS]])
    with torch.inference_mode():
        vector, maps = model.decoder.bottleneck(model.encode(src)), model(src, begin, attention=True).attention
    assert len(options.attention_maps) == (0 if maps is None else maps.shape[1])
    assert options.vector_width == (0 if vector is None else vector.shape[1])
    assert options.sees == ("positions" if vector is None else "vector")


def test_forced_attention_is_that_of_one_pair_at_a_time(
    name: str,
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build_tiny(name, vocab=320)
    translator = Translator([model], tiny_subwords, torch.device("cpu"))
    src, references = ([*side, "", "Zoë 👍"] for side in zip(*pairs[:6], strict=True))
    if not tiny_models[name].decoder.attention_maps:
        return
    for positions in (1, 64, 4_000):
        monkeypatch.setattr(batches, "SCORED_POSITIONS", positions)
        found = {pair.number: pair for pair in look(translator, src, references, str.split)}
        assert sorted(found) == list(range(len(src)))
        for n, pair in found.items():
            [ids], [tgt] = tiny_subwords.encode_src([src[n]]), tiny_subwords.encode_tgt([references[n]])
            with torch.inference_mode():
                alone = model(torch.tensor([ids]), torch.tensor([[BOS, *tgt[:-1]]]), attention=True).attention[0]
            torch.testing.assert_close(pair.attention, alone, atol=1e-5, rtol=1e-4)
            assert pair.src == words_of_pieces(tiny_subwords.src_tokens(ids), src[n], src[n].split())
            assert pair.tgt.words == references[n].split()


# --------------------------------------------------------------------------------------------------- gold, AER


def test_aer_of_an_example_worked_by_hand() -> None:
    """Pair 1: A = {00, 12, 22, 33}, S = {00, 11, 23}, P = S + {12, 33}: |A∩S| = 1, |A∩P| = 3, |A| = 4, |S| = 3.
    Pair 2: A = {00, 10}, S = P = {00}: |A∩S| = 1, |A∩P| = 1, |A| = 2, |S| = 1.
    Over both: AER = 1 - (2 + 4) / (6 + 4) = 0.4, precision = 4 / 6, recall = 2 / 4.
    """
    sure = {(0, 0), (1, 1), (2, 3)}
    gold = [Gold(sure, sure | {(1, 2), (3, 3)}), Gold({(0, 0)}, {(0, 0)})]
    found = [{(0, 0), (1, 2), (2, 2), (3, 3)}, {(0, 0), (1, 0)}]
    assert agreement(found, gold) == pytest.approx({"aer": 0.4, "precision": 4 / 6, "recall": 0.5})


def test_aer_is_zero_for_all_sure_and_some_possible_links_and_one_for_none() -> None:
    gold = [Gold({(0, 0)}, {(0, 0), (1, 1), (2, 1)})]
    assert agreement([{(0, 0), (1, 1)}], gold) == {"aer": 0, "precision": 1, "recall": 1}
    assert agreement([{(5, 5)}], gold) == {"aer": 1, "precision": 0, "recall": 0}
    assert agreement([set()], gold) == {"aer": 1, "precision": 0, "recall": 0}
    assert agreement([set()], [Gold(set(), set())]) == {"aer": 0, "precision": 0, "recall": 0}


def test_target_punctuation_is_scored_apart_and_a_word_that_looks_at_punctuation_is_still_wrong() -> None:
    """Words u , v: right, no gold link for the comma, and v looks at the source's full stop."""
    choice = torch.tensor([[[0, 1, 2]], [[-1, -1, 1]]])  # (before and after, one map, words)
    gold = [Gold({(0, 0), (1, 2)}, {(0, 0), (1, 2)})]
    before, after = agreements([choice], [["u", ",", "v"]], gold, [{"map": "mean"}])
    assert before == {
        **{"map": "mean", "state": "before"},
        **{"aer": pytest.approx(1 - 2 / 5), "precision": pytest.approx(1 / 3), "recall": 0.5},
        **{"aer_words": pytest.approx(0.5), "precision_words": 0.5, "recall_words": 0.5},
    }
    assert (after["state"], after["precision"], after["recall"], after["aer_words"]) == (
        *("after", 1, 0.5),
        pytest.approx(1 - 2 / 3),
    )


def test_a_gold_file_has_sure_and_possible_links(tmp_path: Path) -> None:
    file = tmp_path / "gold"
    file.write_bytes("\ufeff0-0 1p0 1?1\r\n\n0-1 0-1".encode())
    words = [["a", "b"], [], ["c"]]
    found = read_gold(str(file), words, [["x", "y"], [], ["z", "w"]])
    assert found == [Gold({(0, 0)}, {(0, 0), (1, 0), (1, 1)}), Gold(set(), set()), Gold({(0, 1)}, {(0, 1)})]
    file.write_text("1-1 2p1 2?2\n\n1-2\n")
    assert read_gold(str(file), words, [["x", "y"], [], ["z", "w"]], one_based=True) == found


@pytest.mark.parametrize(
    ("text", "one_based", "message"),
    [
        ("0-0\n", False, "gold has 1 lines but there are 2 pairs: it needs a line for each"),
        ("0-0\n0_0\n", False, "gold:2: 0_0 is no link: write source-target, as 0-0, or 0p0 where it is only possible"),
        ("0-0\n0-\n", False, "gold:2: 0- is no link"),
        ("0-0\n-1-0\n", False, "gold:2: -1-0 is no link"),
        ("0-0\n٣-0\n", False, "gold:2: ٣-0 is no link"),
        ("0-0 2-0\n\n", False, "gold:1: 2-0 points beyond the 2 source and 1 target words (if the file counts from 1"),
        ("\n0-1\n", False, "gold:2: 0-1 points beyond the 1 source and 1 target words"),
        ("1-1 0-1\n\n", True, "gold:1: 0-1 points beyond .* from 0, leave out --one-based"),
        ("\n\n", False, "gold holds no link: there is nothing to compare with"),
        ("", False, "gold is an empty corpus"),
    ],
)
def test_a_gold_file_that_does_not_fit_says_where(tmp_path: Path, text: str, one_based: bool, message: str) -> None:
    file = tmp_path / "gold"
    file.write_text(text, encoding="utf-8")
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(UserError, match=pattern) as caught:
        read_gold(str(file), [["a", "b"], ["c"]], [["x"], ["y"]], one_based)
    assert "\n" not in str(caught.value)


def test_a_missing_gold_file_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_gold(str(tmp_path / "gold"), [["a"]], [["b"]])
