"""Recurrent cells, encoder and decoder against torch's own, and the two recurrent models against each other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq.config.schema import (
    BOS,
    PAD,
    AttentionDecoderConfig,
    FixedContextDecoderConfig,
    ModelConfig,
    RecurrentEncoderConfig,
)
from seq2seq.models.bahdanau import AttentiveContext
from seq2seq.models.build import build, build_decoder
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Memory, Seq2Seq
from seq2seq.models.kernels import plain
from seq2seq.models.recurrent import RecurrentDecoder, RecurrentEncoder, gru_cell, lstm_cell, recurrent_layer, reverse

CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}


def test_lstm_step_is_torchs() -> None:
    torch.manual_seed(0)
    reference = nn.LSTMCell(5, 4)
    x, state, cell = torch.randn(3, 5), torch.randn(3, 4), torch.randn(3, 4)
    gates = x @ reference.weight_ih.T + reference.bias_ih + state @ reference.weight_hh.T + reference.bias_hh
    torch.testing.assert_close(lstm_cell(gates, cell), reference(x, (state, cell)))


def test_gru_step_is_torchs() -> None:
    torch.manual_seed(0)
    reference = nn.GRUCell(5, 4)
    x, state = torch.randn(3, 5), torch.randn(3, 4)
    gates = x @ reference.weight_ih.T + reference.bias_ih
    recurrent = state @ reference.weight_hh.T + reference.bias_hh
    torch.testing.assert_close(gru_cell(gates, recurrent, state), reference(x, state))


def test_the_forget_gate_begins_open() -> None:
    layer = recurrent_layer("lstm", 3, 50)
    biases = layer.bias_ih_l0.view(4, 50)
    assert biases[1].mean() > 0.9
    assert biases[[0, 2, 3]].abs().max() < 0.5


def test_reverse_keeps_the_padding_behind() -> None:
    ids = torch.tensor([[5, 6, 7, 3], [8, 3, PAD, PAD]])
    expected = torch.tensor([[3, 7, 6, 5], [3, 8, PAD, PAD]])
    assert torch.equal(reverse(ids, ids != PAD), expected)
    assert torch.equal(reverse(ids[..., None].float(), ids != PAD), expected[..., None].float())


def packed_reference(encoder: RecurrentEncoder, options: RecurrentEncoderConfig) -> nn.RNNBase:
    """torch's network with the encoder's weights."""
    kind = {"lstm": nn.LSTM, "gru": nn.GRU}[options.cell]
    reference = kind(5, options.width, options.layers, batch_first=True, bidirectional=options.bidirectional)
    weights = {
        f"{name.removesuffix('_l0')}_l{n}{'_reverse' * direction}": weight
        for n, layer in enumerate(encoder.layers)
        for direction, part in enumerate(layer)
        for name, weight in part.state_dict().items()
    }
    reference.load_state_dict(weights)
    return reference


@pytest.mark.parametrize("reverse_source", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_encoder_is_torchs_packed_network(
    cell: str, layers: int, bidirectional: bool, reverse_source: bool, sentences: Callable[..., Tensor]
) -> None:
    torch.manual_seed(0)
    options = RecurrentEncoderConfig(
        cell=cell, width=4, layers=layers, bidirectional=bidirectional, reverse_source=reverse_source
    )
    encoder = RecurrentEncoder(options, Embedding(20, 5), 0.0)
    lengths = [4, 7, 1, 6]
    src = sentences(lengths)
    mask = src != PAD
    memory = encoder(src, mask)

    read = encoder.embedding(reverse(src, mask) if reverse_source else src)
    packed = pack_padded_sequence(read, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    outputs, last = packed_reference(encoder, options)(packed)
    expected, _ = pad_packed_sequence(outputs, batch_first=True)
    if reverse_source:
        expected = reverse(expected, mask)
    directions = 2 if bidirectional else 1
    final = last[0] if cell == "lstm" else last
    torch.testing.assert_close(memory.states[mask], expected[mask])
    torch.testing.assert_close(memory.sentence_vector, torch.cat(list(final[-directions:]), -1))


@pytest.mark.parametrize("reverse_source", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_final_states_are_those_of_torchs_packed_network(
    cell: str, layers: int, reverse_source: bool, sentences: Callable[..., Tensor]
) -> None:
    """Every layer's h and c after its last real input, and each decoder layer begins there, with nothing else."""
    torch.manual_seed(0)
    reader = RecurrentEncoderConfig(
        cell=cell, width=4, layers=layers, bidirectional=False, reverse_source=reverse_source
    )
    writer = FixedContextDecoderConfig(cell=cell, width=4, layers=layers, context="final_states")
    model = build(ModelConfig(name="t", embedding=5, encoder=reader, decoder=writer), 20, 20)
    assert isinstance(model.encoder, RecurrentEncoder)
    lengths = [4, 7, 1, 6]
    src = sentences(lengths)
    read = model.encoder.embedding(reverse(src, src != PAD) if reverse_source else src)
    packed = pack_padded_sequence(read, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    _, last = packed_reference(model.encoder, reader)(packed)
    finals = {"h": last[0], "c": last[1]} if cell == "lstm" else {"h": last}

    memory = model.encode(src)
    state = model.decoder.init_state(memory)
    assert state.keys() == {f"{part}{n}" for part in finals for n in range(layers)}
    for name, found in state.items():
        torch.testing.assert_close(found[:, 0], finals[name[0]][int(name[1:])])
    torch.testing.assert_close(memory.sentence_vector, torch.cat([part[:, 0] for part in state.values()], -1))
    assert model.decoder.bottleneck(memory) is memory.sentence_vector
    assert not [name for name, _ in model.decoder.named_parameters() if name.startswith(("first", "context"))]


def test_final_states_of_a_sentence_do_not_depend_on_its_batch(
    build_tiny: Callable[..., Seq2Seq], sentences: Callable[..., Tensor]
) -> None:
    for name in ("final-states", "final-states-gru"):
        model, lengths = build_tiny(name), [3, 30, 1, 11]
        src = sentences(lengths)
        together = model.encode(src).sentence_vector
        for row, length, vector in zip(src, lengths, together, strict=True):
            torch.testing.assert_close(model.encode(row[None, :length]).sentence_vector[0], vector)


def test_layers_by_kernels_are_the_loop_over_steps(
    build_tiny: Callable[..., Seq2Seq], sentences: Callable[..., Tensor]
) -> None:
    for name in ("final-states", "lstm-two-layers"):
        gradients, hidden = [], []
        for block in (plain, nullcontext):
            model = build_tiny(name).train()
            with block():
                hidden.append(model(sentences([6, 3], seed=1), sentences([5, 4], seed=2)).hidden)
                hidden[-1].square().sum().backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        torch.testing.assert_close(*hidden)
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_uniform_weights_are_attention_whose_scores_are_all_the_same(sentences: Callable[..., Tensor]) -> None:
    """The decoder of additive attention with an energy of zero, without the parameters of the choice."""
    attentive = recurrent_decoder(AttentionDecoderConfig(width=6, attention_width=3))
    uniform = recurrent_decoder(AttentionDecoderConfig(width=6, score="uniform"))
    shared = {name: w for name, w in attentive.state_dict().items() if not name.startswith("context.")}
    uniform.load_state_dict(shared)
    assert [name for name, _ in uniform.named_parameters() if name.startswith("context")] == []
    with torch.no_grad():
        attentive.get_parameter("context.energy").zero_()
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    read = Memory(torch.randn(2, 4, 6), mask, torch.randn(2, 6))
    tgt_in = sentences([5, 3])
    found = uniform(uniform.precompute(read), tgt_in, True)
    assert found.attention is None
    torch.testing.assert_close(found.hidden, attentive(attentive.precompute(read), tgt_in).hidden)
    vector = uniform.bottleneck(uniform.precompute(read))
    means = torch.stack([read.states[0].mean(0), read.states[1, :2].mean(0)])
    torch.testing.assert_close(vector, torch.cat([means, read.sentence_vector], -1))


def recurrent_decoder(decoder: Any) -> RecurrentDecoder:
    torch.manual_seed(0)
    encoder = RecurrentEncoderConfig(width=3)
    built = build_decoder(ModelConfig(name="t", embedding=5, encoder=encoder, decoder=decoder), Embedding(20, 5))
    assert isinstance(built, RecurrentDecoder)
    return built


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("attentive", [False, True])
def test_decoder_is_a_loop_over_torchs_cells(
    attentive: bool, cell: str, layers: int, sentences: Callable[..., Tensor]
) -> None:
    """The order is RNNsearch's: s_{i-1} chooses c_i, the cell makes s_i of y_{i-1} and c_i, the readout reads all."""
    options: dict[str, Any] = {"cell": cell, "width": 4, "layers": layers}
    decoder = recurrent_decoder(
        AttentionDecoderConfig(**options, attention_width=3)
        if attentive
        else FixedContextDecoderConfig(**options, context_width=7)
    )
    memory = decoder.precompute(Memory(torch.randn(2, 6, 6), torch.ones(2, 6, dtype=torch.bool), torch.randn(2, 6)))
    tgt_in = sentences([5, 5])
    cells = []
    for layer in decoder.layers:
        cells.append(CELLS[cell](layer.input_size, 4))
        cells[-1].load_state_dict({name.removesuffix("_l0"): w for name, w in layer.state_dict().items()})
    parts = decoder.init_state(memory)
    states = [tuple(parts[f"{part}{n}"][:, 0] for part in decoder.parts) for n in range(layers)]
    expected = []
    for t in range(5):
        y = decoder.embedding(tgt_in[:, t])
        context = decoder.context(states[-1][0][:, None], memory)[0][:, 0]
        x = torch.cat([y, context], -1)
        for n, reference in enumerate(cells):
            out = reference(x, states[n] if cell == "lstm" else states[n][0])
            states[n] = out if cell == "lstm" else (out,)
            x = states[n][0]
        expected.append(torch.tanh(decoder.readout(torch.cat([x, y, context], -1))))
    torch.testing.assert_close(decoder(memory, tgt_in).hidden, torch.stack(expected, 1))


def test_a_cell_sums_in_float32_under_autocast() -> None:
    """It gains the same at each step; in bf16 it would stop at the 256th part of itself."""
    decoder = recurrent_decoder(FixedContextDecoderConfig(width=4, context_width=7))
    gates = torch.cat([torch.full((4,), bias) for bias in (-3.0, 20.0, 1.0, 0.0)])  # input, forget, candidate, output
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        decoder.layers[0].bias_ih_l0.copy_(gates)
        memory = Memory(torch.randn(1, 2, 6), torch.ones(1, 2, dtype=torch.bool), torch.randn(1, 6))
        token = torch.full((1, 1), BOS)
        with torch.autocast("cpu", torch.bfloat16):
            memory = decoder.precompute(memory)
            state = decoder.init_state(memory)
            for _ in range(800):
                state = decoder.step(token, state, memory).state
    gain = torch.sigmoid(gates[0]) * torch.tanh(gates[8])
    torch.testing.assert_close(state["c0"], (800 * gain).expand(1, 1, 4), rtol=0.01, atol=0)
    assert state["h0"].dtype == torch.bfloat16


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("score", ["additive", "dot", "general"])
def test_bahdanau_with_the_attention_held_fixed_is_lstm(
    score: str, cell: str, sentences: Callable[..., Tensor]
) -> None:
    """Appendix A of Bahdanau et al.: where every annotation is c, all weights give c, and RNNsearch is RNNencdec."""
    fixed = recurrent_decoder(FixedContextDecoderConfig(width=6, context_width=6, cell=cell))
    attentive = recurrent_decoder(AttentionDecoderConfig(width=6, attention_width=3, score=score, cell=cell))
    shared = {name: w for name, w in fixed.state_dict().items() if not name.startswith("context.")}
    missing, unexpected = attentive.load_state_dict(shared, strict=False)
    assert not unexpected and all(name.startswith("context.") for name in missing)

    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    read = Memory(torch.randn(2, 4, 6), mask, torch.randn(2, 6))
    fixed_memory = fixed.precompute(read)
    c = fixed_memory.precomputed[0]
    held = attentive.precompute(Memory(c[:, None].expand(-1, 4, -1), mask, c))
    tgt_in = torch.cat([torch.full((2, 1), BOS), sentences([6, 3])], 1)
    torch.testing.assert_close(attentive(held, tgt_in).hidden, fixed(fixed_memory, tgt_in).hidden)


def test_keys_are_computed_once_a_sentence(sentences: Callable[..., Tensor]) -> None:
    decoder = recurrent_decoder(AttentionDecoderConfig(width=6, attention_width=3))
    assert isinstance(decoder.context, AttentiveContext)
    calls: list[int] = []
    decoder.context.key.register_forward_hook(lambda *_: calls.append(1))
    memory = decoder.precompute(Memory(torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool), torch.randn(2, 6)))
    decoder(memory, sentences([5, 4]))
    assert len(calls) == 1
