"""Masking of source words: predictions one at a time, and which words are masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from seq2seq.analysis import faithfulness
from seq2seq.analysis.faithfulness import Position, aligned, control, draw_positions, predict
from seq2seq.config.schema import BOS
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.words import Pair, Words
from seq2seq.models.interface import Seq2Seq


def test_predictions_are_those_of_one_sequence_at_a_time(
    name: str, build_tiny: Callable[..., Seq2Seq], tiny_subwords: Subwords
) -> None:
    model = build_tiny(name, vocab=320)
    translator = Translator([model], tiny_subwords, torch.device("cpu"))
    sources, targets = [[5, 6, 7, 3], [9, 3], [8] * 11 + [3]], [[20], [21, 22, 23], [24] * 9]
    logs, likeliest = predict(translator, sources, targets)
    for src, tgt, log, best in zip(sources, targets, logs, likeliest, strict=True):
        with torch.inference_mode():
            hidden = model(torch.tensor([src]), torch.tensor([[BOS, *tgt[:-1]]])).hidden[0, -1]
            alone = model.logits(hidden).log_softmax(-1)
        assert log == pytest.approx(alone[tgt[-1]].item(), abs=1e-4)
        assert best == int(alone.argmax())


# ----------------------------------------------------------------------------------------------------- choices


def words(line: str, tokens: Sequence[int | None]) -> Words:
    return Words(line.split(), list(tokens))


def test_the_control_is_another_real_word_of_as_many_tokens() -> None:
    side = words("a bb cc . dddd e f", [0, 1, 1, 2, 2, 3, 4, 4, 4, 4, 6, None])  # e has no token of its own
    drawn = {masked: {control(side, masked, Position(0, n)) for n in range(40)} for masked in (0, 1, 2, 3, 4)}
    assert drawn == {0: {6}, 1: {2}, 2: {1}, 3: {0, 6}, 4: {1, 2}}
    assert control(side, 3, Position(7, 1)) == control(side, 3, Position(7, 1))


def test_only_tokens_of_real_words_in_sentences_with_two_real_words_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    tgt = words("u , v", [0, 0, 1, None, 2, None])
    pairs = [Pair([], [], words("a .", [0, 1]), tgt), Pair([], [], words("a . b", [0, 1, 2]), tgt)]
    assert draw_positions(pairs) == [Position(1, 0), Position(1, 1), Position(1, 4)]
    monkeypatch.setattr(faithfulness, "POSITIONS", 2)
    drawn = draw_positions(pairs)
    assert len(drawn) == 2 and drawn == draw_positions(pairs) == sorted(drawn)


def test_gold_words_are_those_that_one_link_names() -> None:
    pair = Pair([], [], words("a b . c", [0, 1, 2, None]), words("u v w x y", [0, 1, 2, 3, 4, None]))
    links = [{(0, 0), (0, 1), (1, 1), (2, 2), (3, 3)}]  # two for v, punctuation for w, no token for x, none for y
    assert aligned([pair], [Position(0, n) for n in range(5)], links) == {Position(0, 0): 0}
