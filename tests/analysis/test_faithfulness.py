"""Masking of source words: predictions one at a time, and which words are masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from seq2seq.analysis import faithfulness
from seq2seq.analysis.faithfulness import Position, aligned, control, draw_positions, predict
from seq2seq.config.schema import BOS, ModelConfig
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


VALUES = ("bahdanau", "bahdanau-dot", "bahdanau-gru", "transformer", "transformer-rotary", "hybrid", "mingru")


@pytest.mark.parametrize("seen", VALUES)
def test_zeroed_values_are_those_of_a_memory_without_them(
    seen: str, build_tiny: Callable[..., Seq2Seq], tiny_subwords: Subwords, tiny_models: dict[str, ModelConfig]
) -> None:
    """The reference writes zeros into the values: a Transformer's projections, else the states that are summed."""
    model = build_tiny(seen, vocab=320)
    assert tiny_models[seen].sees == "positions"
    sources, targets = [[5, 6, 7, 9, 3], [9, 8, 3]], [[20, 30], [21, 22, 23, 7]]
    zeroed = [[False, True, True, False, False], [False, True, False]]
    logs, likeliest = predict(Translator([model], tiny_subwords, torch.device("cpu")), sources, targets, zeroed)
    for n in range(2):
        with torch.inference_mode():
            memory = model.encode(torch.tensor([sources[n]]))
            values: tuple[torch.Tensor, ...] = memory.precomputed[1::2]
            if len(tiny_models[seen].attention_maps) == 1:
                values = (memory.states.clone(),)  # the keys are precomputed, or these states, which they must stay
                memory = memory._replace(states=values[0])
            for value in values:
                value[..., torch.tensor(zeroed[n]), :] = 0
            hidden = model.decoder(memory, torch.tensor([[BOS, *targets[n][:-1]]])).hidden[0, -1]
            log_probs = model.logits(hidden).log_softmax(-1)
        assert logs[n] == pytest.approx(log_probs[targets[n][-1]].item(), abs=1e-4)
        assert likeliest[n] == int(log_probs.argmax())
    unchanged, _ = predict(Translator([model], tiny_subwords, torch.device("cpu")), sources, targets)
    assert all(abs(one - other) > 1e-4 for one, other in zip(logs, unchanged, strict=True))


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
