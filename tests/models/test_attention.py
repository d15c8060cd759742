"""Attention against plain loops over the equations, and against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from seq2seq.config.schema import AttentionDecoderConfig
from seq2seq.models.attention import (
    CrossAttention,
    SelfAttention,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from seq2seq.models.bahdanau import AttentiveContext
from seq2seq.models.interface import Memory

MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])


def softmax(energies: list[float]) -> list[float]:
    exponents = [math.exp(energy - max(energies)) for energy in energies]
    return [exponent / sum(exponents) for exponent in exponents]


def plain_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Equation 1 of Vaswani et al. for matrices (T, W), (S, W), (S, W) and a mask (T, S), number by number."""
    mixed, weights = torch.zeros(len(query), value.shape[1]).double(), torch.zeros(len(query), len(key)).double()
    for t, q in enumerate(query.tolist()):
        allowed = [s for s in range(len(key)) if mask[t, s]]
        energies = [sum(a * b for a, b in zip(q, key[s].tolist(), strict=True)) / math.sqrt(len(q)) for s in allowed]
        for s, weight in zip(allowed, softmax(energies), strict=True):
            weights[t, s] = weight
            for d in range(value.shape[1]):
                mixed[t, d] += weight * value[s, d].item()
    return mixed, weights


def test_attend_is_the_equation() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(4, 3).double(), torch.randn(5, 3).double(), torch.randn(5, 2).double()
    mask = torch.rand(4, 5) > 0.4
    mask[:, 0] = True
    mixed, weights = scaled_dot_product_attention(query, key, value, mask, weights=True)
    expected, expected_weights = plain_attention(query, key, value, mask)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(weights, expected_weights)


def test_attend_without_a_mask_looks_everywhere() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3), torch.randn(4, 3), torch.randn(4, 3)
    everywhere = scaled_dot_product_attention(query, key, value, torch.ones(2, 4, dtype=torch.bool))[0]
    torch.testing.assert_close(scaled_dot_product_attention(query, key, value, None)[0], everywhere)


def test_attend_gives_weights_only_when_asked() -> None:
    x = torch.randn(2, 3)
    assert scaled_dot_product_attention(x, x, x, None)[1] is None
    assert scaled_dot_product_attention(x, x, x, None, weights=True)[1] is not None


def test_heads_are_slices_of_the_width() -> None:
    x = torch.arange(2 * 3 * 6.0).view(2, 3, 6)
    heads = split_heads(x, 2)
    assert torch.equal(heads[:, 1], x[..., 3:])
    assert torch.equal(merge_heads(heads), x)


def test_self_attention_is_the_equation_in_each_head() -> None:
    torch.manual_seed(0)
    module = SelfAttention(6, 2).double()
    x = torch.randn(2, 5, 6).double()
    query, key, value = module.project(x).chunk(3, -1)
    rows = []
    for b in range(2):
        heads = [slice(0, 3), slice(3, 6)]
        mask = MASK[b].expand(5, 5)
        rows.append(
            torch.cat([plain_attention(query[b, :, h], key[b, :, h], value[b, :, h], mask)[0] for h in heads], 1)
        )
    expected = torch.stack(rows) @ module.out.weight.T + module.out.bias
    torch.testing.assert_close(module(x, MASK[:, None, None]), expected)


def test_self_attention_is_torchs() -> None:
    torch.manual_seed(0)
    module, reference = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": module.project.weight,
            "in_proj_bias": module.project.bias,
            "out_proj.weight": module.out.weight,
            "out_proj.bias": module.out.bias,
        }
    )
    x = torch.randn(2, 5, 8)
    expected, _ = reference(x, x, x, key_padding_mask=~MASK)
    torch.testing.assert_close(module(x, MASK[:, None, None]), expected)


def test_self_attention_step_by_step_is_causal_attention() -> None:
    torch.manual_seed(0)
    module = SelfAttention(8, 2)
    x = torch.randn(3, 5, 8)
    cache = torch.zeros(3, 1, 2, 0, 4), torch.zeros(3, 1, 2, 0, 4)
    outputs = []
    for t in range(5):
        y, *cache = module.step(x[:, t : t + 1], *cache, t)
        outputs.append(y)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    torch.testing.assert_close(torch.cat(outputs, 1), module(x, causal))


def test_cross_attention_and_its_maps_are_torchs() -> None:
    torch.manual_seed(0)
    module = CrossAttention(8, 2, memory_width=6)
    reference = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
    key_weight, value_weight = module.key_value.weight.chunk(2)
    reference.load_state_dict(
        {
            "q_proj_weight": module.query.weight,
            "k_proj_weight": key_weight,
            "v_proj_weight": value_weight,
            "in_proj_bias": torch.cat([module.query.bias, module.key_value.bias]),
            "out_proj.weight": module.out.weight,
            "out_proj.bias": module.out.bias,
        }
    )
    x, states = torch.randn(2, 4, 8), torch.randn(2, 5, 6)
    mixed, maps = module(x, *module.precompute(states), MASK, weights=True)
    expected, expected_maps = reference(x, states, states, key_padding_mask=~MASK, average_attn_weights=False)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(maps, expected_maps)


def plain_energy(context: AttentiveContext, state: list[float], annotation: list[float]) -> float:
    """e_ij of Bahdanau et al., appendix A.1.2, number by number; dot and general after Luong et al., equation 8."""
    if context.score == "dot":
        return sum(s * h for s, h in zip(state, annotation, strict=True))
    if context.score == "general":
        key = [sum(u * h for u, h in zip(row, annotation, strict=True)) for row in context.key.weight.tolist()]
        return sum(s * k for s, k in zip(state, key, strict=True))
    energy = 0.0
    for a, v in enumerate(context.energy.tolist()):
        inside = context.key.bias[a].item()
        inside += sum(w * s for w, s in zip(context.query.weight[a].tolist(), state, strict=True))
        inside += sum(u * h for u, h in zip(context.key.weight[a].tolist(), annotation, strict=True))
        energy += v * math.tanh(inside)
    return energy


@pytest.mark.parametrize("score", ["additive", "dot", "general"])
def test_attentive_context_is_the_equation(score: str) -> None:
    torch.manual_seed(0)
    context = AttentiveContext(AttentionDecoderConfig(width=6, attention_width=4, score=score), 6).double()
    annotations, states = torch.randn(2, 5, 6).double(), torch.randn(2, 3, 6).double()
    memory = context.precompute(Memory(annotations, MASK, annotations[:, 0]))
    mixed, weights = context(states, memory)
    for b in range(2):
        length = int(MASK[b].sum())
        for k in range(3):
            row = annotations[b, :length].tolist()
            expected = softmax([plain_energy(context, states[b, k].tolist(), h) for h in row])
            assert weights[b, k].tolist() == pytest.approx([*expected, *[0.0] * (5 - length)], abs=1e-12)
            blend = [sum(w * h[d] for w, h in zip(expected, row, strict=True)) for d in range(6)]
            assert mixed[b, k].tolist() == pytest.approx(blend, abs=1e-12)
