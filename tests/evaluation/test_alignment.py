"""Attention to links by hand; AER against an example worked by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from seq2seq.config.schema import AttentionDecoderConfig, TransformerDecoderConfig
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import (
    Gold,
    agreement,
    agreements,
    map_names,
    most_attended,
    read_gold,
    word_attention,
    word_maps,
)
from seq2seq.evaluation.words import Words

# ------------------------------------------------------------------------------------------ attention and links


def test_source_tokens_are_summed_and_target_tokens_averaged() -> None:
    attention = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.2, 0.2], [0.0, 0.0, 0.9, 0.1]])
    src, tgt = Words(["x", "y", "z"], [0, 0, 1, None]), Words(["u", "v"], [0, 0, None])
    expected = torch.tensor([[(0.3 + 0.6) / 2, (0.3 + 0.2) / 2, 0.0], [0.0, 0.0, 0.0]])  # z and v have no token
    torch.testing.assert_close(word_attention(attention, tgt, src), expected)
    assert most_attended(word_attention(attention, tgt, src)).tolist() == [0, -1]


def test_word_rows_sum_to_one_where_nothing_lies_outside() -> None:
    attention = torch.rand(5, 7, 9).softmax(-1)
    src, tgt = Words(list("abc"), [0, 0, 0, 1, 1, 2, 2, 2, 2]), Words(list("de"), [0, 1, 1, 0, 1, 1, 0])
    torch.testing.assert_close(word_attention(attention, tgt, src).sum(-1), torch.ones(5, 2))


def test_before_is_the_row_that_predicts_a_token_and_after_the_one_that_has_read_it() -> None:
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
