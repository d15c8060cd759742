"""Positions against formulations of their own: complex numbers, a bias written out, torch's table."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch import Tensor, nn

from seq2seq.config.schema import TransformerOptions
from seq2seq.models import kernels
from seq2seq.models.attention import SelfAttention, split_heads
from seq2seq.models.positions import Positions, distance_bias, rotate, sinusoids

CAUSAL = torch.ones(6, 6, dtype=torch.bool).tril()


def test_sinusoids_are_sines_then_cosines_of_falling_rates() -> None:
    signal = sinusoids(torch.arange(7), 6)
    for place in range(7):
        rates = [10_000 ** (-n / 2) for n in range(3)]
        expected = [f(place * rate) for f in (math.sin, math.cos) for rate in rates]
        assert signal[place].tolist() == pytest.approx(expected, abs=1e-6)


def test_sinusoids_of_an_odd_width_end_with_zero() -> None:
    signal = sinusoids(torch.arange(3), 5)
    assert signal.shape == (3, 5)
    assert torch.equal(signal[:, 4], torch.zeros(3))


def test_learned_positions_repeat_the_last_beyond_the_table() -> None:
    positions = Positions(TransformerOptions(width=4, positions="learned", max_positions=3))
    places = positions(torch.zeros(1, 6, 4), torch.arange(6))[0]
    assert torch.equal(places[3:], places[2].expand(3, 4))
    assert not torch.equal(places[1], places[2])


def test_learned_positions_are_torchs_table() -> None:
    positions = Positions(TransformerOptions(width=4, positions="learned", max_positions=9))
    assert positions.learned is not None
    table = nn.Embedding(9, 4, _weight=positions.learned.weight.detach())
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(positions(x, torch.arange(5)), x + table(torch.arange(5)))


@pytest.mark.parametrize("kind", ["rotary", "alibi", "none"])
def test_nothing_is_added_where_positions_are_no_matter_of_embeddings(kind: str) -> None:
    positions, x = Positions(TransformerOptions(width=4, positions=kind)), torch.randn(2, 5, 4)
    assert torch.equal(positions(x, torch.arange(5)), x) and not [*positions.parameters()]


def complex_rotation(x: Tensor, place: int) -> list[float]:
    """Pairs of units as complex numbers, times e^(imθ)."""
    units, turned = x.tolist(), list[float]()
    for n in range(0, len(units), 2):
        z = complex(units[n], units[n + 1]) * cmath.exp(1j * place * 10_000 ** (-n / len(units)))
        turned += [z.real, z.imag]
    return turned


def test_rotation_is_multiplication_of_complex_numbers() -> None:
    x = torch.randn(2, 5, 6)
    turned = rotate(x, torch.arange(3, 8))
    for b in range(2):
        for t in range(5):
            assert turned[b, t].tolist() == pytest.approx(complex_rotation(x[b, t], 3 + t), abs=1e-5)


def test_products_of_turned_vectors_depend_on_their_distance_alone() -> None:
    query, key = torch.randn(1, 8), torch.randn(1, 8)
    products = [
        (rotate(query, torch.tensor([m])) * rotate(key, torch.tensor([n]))).sum().item()
        for m, n in ((9, 4), (5, 0), (105, 100))
    ]
    assert products == pytest.approx([products[0]] * 3, abs=1e-4)


def dense(module: SelfAttention, x: Tensor, causal: bool) -> Tensor:
    """Self-attention with ALiBi's bias written out, number by number."""
    query, key, value = (split_heads(part, module.heads) for part in module.project(x).chunk(3, -1))
    energies = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    for h in range(module.heads):
        for i in range(x.shape[1]):
            for j in range(x.shape[1]):
                energies[:, h, i, j] -= 2 ** (-8 * (h + 1) / module.heads) * abs(i - j)
                if causal and j > i:
                    energies[:, h, i, j] = float("-inf")
    mixed = energies.softmax(-1) @ value
    out: Tensor = module.out(mixed.transpose(1, 2).flatten(2))
    return out


@pytest.mark.parametrize("causal", [True, False])
def test_alibi_is_a_bias_by_distance(causal: bool) -> None:
    module, x = SelfAttention(8, 4, "alibi"), torch.randn(2, 6, 8)
    with torch.no_grad():
        expected = dense(module, x, causal)
        torch.testing.assert_close(module(x, CAUSAL if causal else torch.ones(6, 6, dtype=torch.bool)), expected)


def test_the_slopes_are_those_of_the_paper() -> None:
    """Section 3: for eight heads 1/2, 1/4 … 1/256."""
    bias = distance_bias(torch.tensor([1]), torch.arange(2), 8)
    assert bias[:, 0, 0].tolist() == pytest.approx([-(2**-n) for n in range(1, 9)])
    assert not bias[:, 0, 1].any()


@pytest.mark.parametrize("kind", ["rotary", "alibi"])
@pytest.mark.parametrize("plain", [False, True])
def test_self_attention_step_by_step_is_causal_attention(kind: str, plain: bool) -> None:
    torch.manual_seed(0)
    module, x = SelfAttention(8, 2, kind), torch.randn(3, 12, 8)
    cache, outputs = [torch.zeros(3, 1, 2, 0, 4)] * 2, []
    with kernels.plain() if plain else torch.no_grad():
        for t in range(12):  # beyond a block of the cache
            y, *cache = module.step(x[:, t : t + 1], *cache, None if plain else t)
            outputs.append(y)
    causal = torch.ones(12, 12, dtype=torch.bool).tril()
    torch.testing.assert_close(torch.cat(outputs, 1), module(x, causal), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["rotary", "alibi", "none"])
def test_the_order_of_words_matters_to_attention_with_positions_alone(kind: str) -> None:
    torch.manual_seed(0)
    module, x = SelfAttention(8, 2, kind), torch.randn(1, 6, 8)
    everywhere, shuffled = torch.ones(6, 6, dtype=torch.bool), torch.tensor([3, 1, 0, 5, 4, 2])
    same = torch.allclose(module(x[:, shuffled], everywhere), module(x, everywhere)[:, shuffled], atol=1e-5)
    assert same == (kind == "none")
