"""Slots: what passes through them, what does not, and maps over them as maps over source positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from seq2seq.config.schema import PAD, DecodeConfig, ModelConfig
from seq2seq.decoding.search import search
from seq2seq.models.build import build
from seq2seq.models.interface import Memory, Seq2Seq
from seq2seq.models.recurrent import RecurrentDecoder
from seq2seq.models.slots import SlotEncoder

POOLED = ["bahdanau-slots", "transformer-slots", "hybrid-one-slot", "transformer-one-slot"]
Build = Callable[..., Seq2Seq]
Sentences = Callable[..., Tensor]

close = torch.testing.assert_close


def slots_of(model: Seq2Seq) -> SlotEncoder:
    assert isinstance(model.encoder, SlotEncoder)
    return model.encoder


@pytest.fixture(params=POOLED)
def name(request: pytest.FixtureRequest) -> str:
    """Each model with slots in turn."""
    return str(request.param)


def test_pooling_is_torchs_attention_of_the_queries(model: Seq2Seq, src: Tensor) -> None:
    pooled = slots_of(model)
    states, mask, *_ = pooled.encoder(src, src != PAD)
    attention, width = pooled.attention, states.shape[2]
    reference = nn.MultiheadAttention(width, attention.heads, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([attention.query.bias, attention.key_value.bias]))
        reference.out_proj.load_state_dict(attention.out.state_dict())
    queries = pooled.queries.weight.expand(len(src), -1, -1)
    mixed, weights = reference(queries, states, states, key_padding_mask=~mask)
    memory = model.encoder(src, src != PAD)
    close(memory.states, pooled.norm(queries + mixed))
    close(memory.pooling[0], weights)


def test_the_decoder_gets_k_vectors_and_nothing_else(
    name: str, model: Seq2Seq, src: Tensor, tiny_models: dict[str, ModelConfig]
) -> None:
    k = tiny_models[name].encoder.slots
    memory = model.encode(src)
    assert memory.states.shape[1] == memory.mask.shape[1] == k == tiny_models[name].vectors
    assert memory.mask.all()
    close(memory.sentence_vector, memory.states.mean(1))


def test_another_source_with_the_same_slots_is_the_same_to_the_decoder(
    model: Seq2Seq, src: Tensor, tgt: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source of other words and another length, whose slots are put in place of its own."""
    encoder, hidden = slots_of(model), model(src, tgt).hidden
    theirs = encoder(src, src != PAD)
    other = torch.cat([src.flip(0), src], 1)
    other[other == PAD] = 5
    assert not torch.allclose(model(other, tgt).hidden, hidden, atol=1e-4)
    read = encoder.norm.forward
    monkeypatch.setattr(encoder.norm, "forward", lambda x: read(x) * 0 + theirs.states)
    assert torch.equal(model(other, tgt).hidden, hidden)
    assert model(other, tgt, attention=True).attention.shape[-1] == other.shape[1]


def test_a_slot_that_ignores_the_source_lets_nothing_through(model: Seq2Seq, src: Tensor, tgt: Tensor) -> None:
    encoder = slots_of(model)
    with torch.no_grad():
        encoder.attention.out.weight.zero_()
    assert torch.equal(model(src, tgt).hidden, model(src.flip(0), tgt).hidden)


def test_one_slot_is_one_vector_without_rank_to_spare(build_tiny: Build, sentences: Sentences) -> None:
    """Everything that any step reads is a function of the bottleneck: equal vectors, equal predictions."""
    for name in ("hybrid-one-slot", "transformer-one-slot"):
        model = build_tiny(name)
        src, tgt = sentences([9, 4], seed=5), sentences([6, 6], seed=6)
        memory = model.encoder(src, src != PAD)
        vector = model.decoder.bottleneck(model.decoder.precompute(memory))
        assert vector is not None
        made = Memory(vector[:, None], torch.ones(2, 1, dtype=torch.bool), vector, pooling=memory.pooling)
        close(model.decoder(model.decoder.precompute(made), tgt).hidden, model(src, tgt).hidden)


def test_maps_over_slots_are_composed_with_the_slots_own(model: Seq2Seq, src: Tensor, tgt: Tensor) -> None:
    memory = model.encode(src)
    over_slots = model.decoder(memory._replace(pooling=()), tgt, True).attention
    assert over_slots is not None
    maps = model(src, tgt, attention=True).attention
    close(maps, torch.einsum("bhtk,bks->bhts", over_slots, memory.pooling[0]))
    close(maps.mean(1), over_slots.mean(1) @ memory.pooling[0])


def test_a_beam_finds_what_it_finds_for_a_sentence_alone(model: Seq2Seq, src: Tensor) -> None:
    options = DecodeConfig(beam=3, nbest=2)
    together = search([model], src, options, attention=True)
    for n, row in enumerate(src):
        length = int((row != PAD).sum())
        [alone] = search([model], row[None, :length], options, attention=True)
        for one, other in zip(together[n], alone, strict=True):
            assert one.ids == other.ids
            assert one.attention is not None and other.attention is not None
            assert one.attention.shape[-1] == src.shape[1]
            close(one.attention[..., :length], other.attention, rtol=1e-4, atol=1e-5)
            close(one.attention.sum(-1), torch.ones(one.attention.shape[:-1]))


def test_the_kernels_still_run_over_slots(
    build_tiny: Build, src: Tensor, tgt: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("a loop over steps, where there is a kernel")

    monkeypatch.setattr(RecurrentDecoder, "_forward_loop", fails)
    build_tiny("bahdanau-slots").train()(src, tgt)


@pytest.mark.parametrize("decoder", ["bahdanau", "transformer", "lstm"])
@pytest.mark.parametrize("encoder", ["bahdanau", "transformer"])
def test_any_encoder_has_slots_for_any_decoder(
    encoder: str, decoder: str, src: Tensor, tgt: Tensor, tiny_models: dict[str, ModelConfig]
) -> None:
    options = replace(
        tiny_models[decoder],
        encoder=replace(tiny_models[encoder].encoder, slots=4),
        decoder=tiny_models[decoder].decoder,
    )
    model = build(options, 20, 20)
    assert model(src, tgt).hidden.shape == (3, 7, 8)
    assert options.sees == ("vector" if decoder == "lstm" else "slots")
