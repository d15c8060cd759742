"""Where in the source a model forgets: sums by place of the aligned word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from seq2seq.analysis import cost, explorer, forgetting
from seq2seq.analysis.forgetting import measure
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Links
from seq2seq.evaluation.evaluate import reference_likelihood

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]


@pytest.fixture
def make(make: Make, pairs: Pairs) -> Make:
    """Runs whose test split are the forty pairs, or others."""
    return lambda name, test=pairs, gold=None, **data: make(name, test, gold, **data)


def diagonal(pairs: Pairs) -> list[Links]:
    return [{(n, n) for n in range(len(src.split()))} for src, _ in pairs]


def test_rows_sum_to_what_the_evaluation_counts(make: Make, pairs: Pairs, name: str) -> None:
    run = make(name)
    figures, _ = reference_likelihood(run.translator, run.src, run.references, lambda count: None)
    rows = measure(replace(run, links=diagonal(pairs)))["rows"]
    tokens, nll, correct = (sum(row[n] for row in rows) for n in (2, 3, 4))
    assert tokens == figures["target_tokens"]
    assert nll / tokens == pytest.approx(figures["nll"], rel=1e-5)
    assert correct / tokens == pytest.approx(figures["token_accuracy"])


def test_of_long_lines_as_many_tokens_count_as_the_evaluation_reads(make: Make, pairs: Pairs) -> None:
    run = make("lstm")
    short = replace(run, config=replace(run.config, decode=replace(run.config.decode, max_input=4)))
    figures, _ = reference_likelihood(run.translator, run.src, run.references, longest=4)
    rows = measure(replace(short, links=diagonal(pairs)))["rows"]
    assert sum(row[2] for row in rows) == figures["target_tokens"] == 4 * len(pairs)


def test_the_order_of_the_sentences_changes_nothing(make: Make, pairs: Pairs) -> None:
    forwards = measure(make("bahdanau", gold=diagonal(pairs)))["rows"]
    backwards = measure(make("bahdanau", pairs[::-1], diagonal(pairs)[::-1]))["rows"]
    assert [row[:3] + row[4:] for row in forwards] == [row[:3] + row[4:] for row in backwards]
    assert [row[3] for row in forwards] == pytest.approx([row[3] for row in backwards], rel=1e-4)


def test_a_worked_example(make: Make, tiny_subwords: Subwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each token counts at its word's counterpart; of two counterparts, in the middle; of none, apart."""
    run = make("lstm", [("the cat sees home", "die Katze sieht heim")], [{(3, 0), (0, 1), (1, 1), (2, 2)}])
    pieces = tiny_subwords.tgt_tokens(tiny_subwords.encode_tgt(run.references)[0])
    assert pieces == ["▁d", "ie", "▁", "K", "at", "z", "e", "▁s", "ie", "h", "t", "▁", "he", "i", "m", "</s>"]
    nll = [1.0] * 2 + [10.0] * 5 + [100.0] * 4 + [1000.0] * 4 + [0.5]
    scored = [([-value for value in nll], [int(value == 10) for value in nll])]
    monkeypatch.setattr(forgetting, "token_log_probs", lambda *_: scored)
    assert measure(run)["rows"] == [
        (4, None, 6, 4010.5, 1),  # heim, which has no link; EOS; the space alone before Katze
        (4, 1, 4, 40.0, 4),  # Katze: words 0 and 1, rounded up
        (4, 2, 4, 400.0, 0),
        (4, 3, 2, 2.0, 0),
    ]


def test_the_grammar_counts_punctuation_as_words_but_places_do_not(make: Make) -> None:
    pair = ("the cat, the dog", "die Katze, der Hund")  # cut into five words on either side
    run = make("lstm", [pair], [{(n, n) for n in range(5)}], source="grammar")
    assert [row[:2] for row in measure(run)["rows"]] == [(4, None), (4, 0), (4, 1), (4, 2), (4, 3)]
    words = [{(n, n) for n in range(4)}]
    assert [row[:2] for row in measure(make("lstm", [pair], words))["rows"]] == [
        (4, None),
        *((4, place) for place in range(4)),
    ]


def test_without_an_alignment_there_are_no_rows(make: Make) -> None:
    assert measure(make("lstm")) == {"rows": []}


def test_given_links_take_the_place_of_the_gold_ones(make: Make, pairs: Pairs) -> None:
    nothing: list[Links] = [set() for _ in pairs]
    rows = measure(replace(make("lstm", gold=diagonal(pairs)), links=nothing))["rows"]
    assert {row[1] for row in rows} == {None}


def test_a_missing_alignment_is_told(make: Make) -> None:
    with pytest.raises(UserError, match="2 alignments but 40 test sentences"):
        measure(make("lstm", gold=[set(), set()]))


def test_a_side_without_spaces_is_measured_by_characters(
    make: Make, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a Chinese source: lengths and places in the record, the explorer's elements, and the tokens of a latency."""
    src = ["今天下雨。", "我们去公园散步，那里有300棵树。", "他昨天买了三本书。"]
    test = [(line, reference) for line, (_, reference) in zip(src, pairs, strict=False)]
    run = make("bahdanau", test, [{(n, 0) for n in (3, 4)}] * 3)
    assert {row[:2] for row in measure(run)["rows"]} >= {(5, 4), (15, 4), (9, 4)}
    explored = explorer.measure(run)["sentences"]
    assert ["|".join(sentence["src"]) for sentence in explored][::2] == ["今|天|下|雨|。", "他|昨|天|买|了|三|本|书|。"]
    assert len(explored[1]["src"]) == 15
    assert all(len(row) == 15 for matrix in explored[1]["attention"] for row in matrix)
    monkeypatch.setattr(cost, "LENGTHS", cost.LENGTHS[:1])
    monkeypatch.setattr(cost, "REPEATS", 1)
    tokens = sum(len(ids) - 1 for ids in run.translator.subwords.encode_src(src))
    assert cost.measure(run)["rows"][0]["pieces"] == round(10 * 2 * tokens / 29)
