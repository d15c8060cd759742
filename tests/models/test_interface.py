"""What every architecture promises to training and to search; each test runs for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import seq2seq
from seq2seq.config.schema import PAD, ModelConfig
from seq2seq.models.interface import Memory, Seq2Seq, Step, reorder_state
from seq2seq.models.loss import sequence_loss

Sentences = Callable[..., Tensor]
Shift = Callable[[Tensor], Tensor]

close = torch.testing.assert_close
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def steps(model: Seq2Seq, src: Tensor, tgt_in: Tensor) -> list[Step]:
    """The step path, with one hypothesis a sentence."""
    memory = model.encode(src)
    state = model.decoder.init_state(memory)
    found = []
    for token in tgt_in.unbind(1):
        found.append(model.decoder.step(token[:, None], state, memory))
        state = found[-1].state
    return found


def pad_more(ids: Tensor, columns: int) -> Tensor:
    return torch.nn.functional.pad(ids, (0, columns), value=PAD)


def test_step_gives_the_logits_of_teacher_forcing(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    stepped = torch.cat([step.hidden for step in steps(model, src, shift(tgt))], 1)
    forced = model(src, shift(tgt)).hidden
    real = tgt != PAD
    close(model.logits(stepped)[real], model.logits(forced)[real], **CLOSE)


def test_step_and_teacher_forcing_attend_alike(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    forced = model(src, shift(tgt), attention=True).attention
    stepped = [step.attention for step in steps(model, src, shift(tgt))]
    if forced is None:
        assert stepped == [None] * tgt.shape[1]
        return
    maps = torch.cat([weights for weights in stepped if weights is not None], 1).transpose(1, 2)
    assert maps.shape == forced.shape
    close(maps, forced, **CLOSE)


def test_attention_is_given_by_the_models_whose_options_say_so(
    name: str, model: Seq2Seq, src: Tensor, tgt: Tensor, tiny_models: dict[str, ModelConfig]
) -> None:
    maps = model(src, tgt, attention=True).attention
    assert (0 if maps is None else maps.shape[1]) == len(tiny_models[name].attention_maps)


def test_attention_is_kept_only_when_asked_for(model: Seq2Seq, src: Tensor, tgt: Tensor) -> None:
    assert model(src, tgt).attention is None


def test_asking_for_attention_changes_no_state(model: Seq2Seq, src: Tensor, tgt: Tensor) -> None:
    close(model(src, tgt, attention=True).hidden, model(src, tgt).hidden)


def evenly(weights: Tensor, mask: Tensor) -> Tensor:
    return (mask / mask.sum(-1, keepdim=True)).expand_as(weights)


def test_an_intervention_replaces_the_weights_on_both_paths(
    name: str, model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift
) -> None:
    tgt_in = shift(tgt)
    learned = model(src, tgt_in).hidden
    with model.overridden_attention(lambda weights, mask: weights):
        torch.testing.assert_close(model(src, tgt_in).hidden, learned)
    with model.overridden_attention(evenly):
        hidden, maps = model(src, tgt_in, attention=True)
        stepped = torch.cat([step.hidden for step in steps(model, src, tgt_in)], 1)
    torch.testing.assert_close(hidden, stepped, atol=1e-5, rtol=1e-4)
    if maps is None:
        torch.testing.assert_close(hidden, learned)
    else:
        real = (src != PAD)[:, None, None]
        torch.testing.assert_close(maps, (real / real.sum(-1, keepdim=True)).expand_as(maps))
        assert not torch.allclose(hidden, learned, atol=1e-3)


def test_interventions_nest(name: str, model: Seq2Seq, src: Tensor, tgt: Tensor) -> None:
    """An inner block, with an override or with the trained weights, gives back the outer block's weights."""
    trained = model(src, tgt).hidden
    with model.overridden_attention(evenly):
        even = model(src, tgt).hidden
        with model.overridden_attention(None):
            close(model(src, tgt).hidden, trained)
        close(model(src, tgt).hidden, even)
    close(model(src, tgt).hidden, trained)


def test_the_bottleneck_is_the_single_vector_that_is_seen(
    name: str, model: Seq2Seq, src: Tensor, tiny_models: dict[str, ModelConfig]
) -> None:
    options, vector = tiny_models[name], model.decoder.bottleneck(model.encode(src))
    if options.sees == "vector":
        assert vector is not None and vector.shape == (len(src), options.vector_width)
    else:
        assert options.vector_width == 0 and (vector is None or options.sees == "nothing")


def test_attention_rows_sum_to_one_and_are_zero_on_padding(model: Seq2Seq, src: Tensor, tgt: Tensor) -> None:
    attention = model(src, tgt, attention=True).attention
    if attention is None:
        return
    assert attention.shape[0] == 3 and attention.shape[2:] == (tgt.shape[1], src.shape[1])
    close(attention.sum(-1), torch.ones(attention.shape[:-1]))
    padding = (src == PAD)[:, None, None].expand_as(attention)
    assert padding.any() and torch.equal(attention[padding], torch.zeros(int(padding.sum())))


def test_source_padding_changes_nothing(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    wide = model(pad_more(src, 5), shift(tgt)).hidden
    close(wide, model(src, shift(tgt)).hidden, **CLOSE)


def test_target_padding_changes_nothing(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    wide = model(src, shift(pad_more(tgt, 4))).hidden
    close(wide[:, : tgt.shape[1]], model(src, shift(tgt)).hidden, **CLOSE)


def test_padding_changes_no_loss(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    wide_src, wide_tgt = pad_more(src, 3), pad_more(tgt, 4)
    wide = sequence_loss(model, model(wide_src, shift(wide_tgt)).hidden, wide_tgt, 0.1)
    close(wide, sequence_loss(model, model(src, shift(tgt)).hidden, tgt, 0.1), **CLOSE)


def test_sentences_do_not_see_each_other(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    together = model(src, shift(tgt)).hidden
    for b in range(3):
        s, t = src[b : b + 1, : int((src[b] != PAD).sum())], tgt[b : b + 1, : int((tgt[b] != PAD).sum())]
        close(together[b, : t.shape[1]], model(s, shift(t)).hidden[0], **CLOSE)


def test_order_in_the_batch_does_not_matter(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    order = torch.tensor([2, 0, 1])
    hidden, permuted = model(src, shift(tgt)).hidden, model(src[order], shift(tgt[order])).hidden
    close(permuted, hidden[order], **CLOSE)
    losses = [sequence_loss(model, h, t, 0.1) for h, t in ((hidden, tgt), (permuted, tgt[order]))]
    close(losses[0], losses[1], **CLOSE)


def test_no_position_sees_a_later_target(model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift) -> None:
    changed = shift(tgt)
    changed[:, 3:] = 9
    close(model(src, changed).hidden[:, :3], model(src, shift(tgt)).hidden[:, :3], **CLOSE)


def test_every_source_position_matters(
    name: str, model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift, tiny_models: dict[str, ModelConfig]
) -> None:
    hidden = model(src, shift(tgt)).hidden
    if tiny_models[name].sees == "nothing":
        assert torch.equal(model(src.flip(0), shift(tgt)).hidden, hidden)
        return
    for position in range(5):
        changed = src.clone()
        changed[0, position] = 4 + (changed[0, position] - 3) % 16
        assert not torch.allclose(model(changed, shift(tgt)).hidden[0], hidden[0], atol=1e-6)


CHOICE = re.compile(r"context\.(query|key|energy)|cross\.query|around_cross\.norm")
"""Parameters of a decoder's choice among the states, which has no consequence where there is but one."""


def test_every_parameter_gets_a_gradient(
    name: str, model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift, tiny_models: dict[str, ModelConfig]
) -> None:
    sequence_loss(model.train(), model(src, shift(tgt)).hidden, tgt, 0.1).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    if tiny_models[name].vectors in (0, 1):
        without = [name for name in without if not CHOICE.search(name)]
    assert without == []


def test_hypotheses_are_queries_against_one_memory(model: Seq2Seq, src: Tensor, sentences: Sentences) -> None:
    """K hypotheses of a sentence in one step give what each gives alone, also after they were forked and reordered."""
    memory = model.encode(src)
    tokens = sentences([4] * 6, seed=3).view(3, 2, 4)
    state = reorder_state(model.decoder.init_state(memory), torch.arange(3), torch.zeros(3, 2, dtype=torch.long))
    for t in range(2):
        state = model.decoder.step(tokens[:, :, t], state, memory).state
    swapped = reorder_state(state, torch.arange(3), torch.tensor([[1, 0]] * 3))
    together = model.decoder.step(tokens[:, :, 2], swapped, memory)
    for k in range(2):
        prefix = torch.cat([tokens[:, 1 - k, :2], tokens[:, k, 2:3]], 1)
        close(together.hidden[:, k], model(src, prefix).hidden[:, -1], **CLOSE)


def test_states_begin_with_sentence_and_hypothesis(model: Seq2Seq, src: Tensor) -> None:
    memory = model.encode(src)
    state = model.decoder.step(src[:, :1], model.decoder.init_state(memory), memory).state
    assert {tuple(tensor.shape[:2]) for tensor in state.values()} == {(3, 1)}


def test_memory_select_keeps_whole_sentences() -> None:
    states, rows = torch.randn(3, 4, 2), torch.tensor([2, 0])
    memory = Memory(states, states[..., 0] > 0, states[:, 0], (states[:, 1],)).select(rows)
    assert torch.equal(memory.states, states[rows])
    assert torch.equal(memory.mask, states[rows][..., 0] > 0)
    assert torch.equal(memory.sentence_vector, states[rows][:, 0])
    assert torch.equal(memory.precomputed[0], states[rows][:, 1])
    assert memory.pooling == ()
    assert torch.equal(memory._replace(pooling=(states,)).select(torch.tensor([1])).pooling[0], states[1:2])


def test_select_takes_sentences_and_forks_hypotheses() -> None:
    state = {"h": torch.arange(6).view(3, 2)}
    assert reorder_state(state, torch.tensor([2, 0]))["h"].tolist() == [[4, 5], [0, 1]]
    forked = reorder_state(state, torch.tensor([2, 0]), torch.tensor([[1, 1, 0], [0, 0, 1]]))
    assert forked["h"].tolist() == [[5, 5, 4], [0, 0, 1]]


def test_bf16_autocast_is_close_to_float32_on_both_paths(
    model: Seq2Seq, src: Tensor, tgt: Tensor, shift: Shift, bf16: torch.dtype
) -> None:
    real = tgt != PAD
    with torch.inference_mode():
        exact = model.logits(model(src, shift(tgt)).hidden)[real]
        with torch.autocast("cpu", bf16):
            forced = model.logits(model(src, shift(tgt), attention=True).hidden)[real]
            stepped = model.logits(torch.cat([step.hidden for step in steps(model, src, shift(tgt))], 1))[real]
    for rounded in (forced, stepped):
        close(rounded.float(), exact, atol=0.15, rtol=0.1)


def test_training_under_bf16_autocast_gives_every_parameter_a_finite_gradient(
    name: str, build_tiny: Callable[..., Seq2Seq], src: Tensor, tgt: Tensor, shift: Shift, bf16: torch.dtype
) -> None:
    model = build_tiny(name, dropout=0.1).train()
    with torch.autocast("cpu", bf16):
        sequence_loss(model, model(src, shift(tgt)).hidden, tgt, 0.1).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


# ------------------------------------------------------------------------------------------------------ dropout


def test_models_drop_in_training_alone(name: str, build_tiny: Callable[..., Seq2Seq], src: Tensor, tgt: Tensor) -> None:
    model = build_tiny(name, dropout=0.3)
    without = build_tiny(name)(src, tgt).hidden
    assert torch.equal(model(src, tgt).hidden, without)
    model.train()
    torch.manual_seed(0)
    first, second = model(src, tgt).hidden, model(src, tgt).hidden
    torch.manual_seed(0)
    assert torch.equal(model(src, tgt).hidden, first)
    assert not torch.allclose(first, second)


# --------------------------------------------------------------------------------------------------- the house


def test_only_build_names_architectures() -> None:
    """Search, training and evaluation never ask which architecture they hold."""
    root = Path(seq2seq.__file__).parent
    asks = re.compile(r"\b(transformer|bahdanau|lstm|gru|isinstance\(.*(Encoder|Decoder))\b", re.IGNORECASE)
    for folder in ("decoding", "training", "evaluation", "data"):
        for path in (root / folder).rglob("*.py"):
            code = re.sub(r'""".*?"""|#.*', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert not asks.search(code), path
