"""Interventions on the attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from seq2seq.analysis.interventions import INTERVENTIONS, cycle, last, measure, shuffled, uniform
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import DecodeConfig
from seq2seq.models.interface import Seq2Seq, SourceAttention

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]
GREEDY = DecodeConfig(max_ratio=1.0, max_extra=3)


@pytest.fixture
def options() -> DecodeConfig:
    """A search whose beam and sampling an intervention must not follow."""
    return replace(GREEDY, beam=3, sample=True)


@pytest.fixture
def make(make: Make, pairs: Pairs) -> Make:
    """Runs whose test split are the forty pairs, or others."""
    return lambda name, test=pairs, gold=None, **data: make(name, test, gold, **data)


MASK = torch.tensor([[True] * 5, [True, True, True, False, False], [True, False, False, False, False]])
SHAPES = [(3, 2, 5), (3, 4, 2, 5)]  # of a recurrent decoder (B, K, S), and of a Transformer (B, H, K, S)


def weights_and_mask(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = MASK.view(3, *[1] * (len(shape) - 2), 5)
    torch.manual_seed(0)
    return torch.randn(shape).masked_fill(~mask, float("-inf")).softmax(-1), mask


@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_weights_are_equal_at_real_positions(shape: tuple[int, ...]) -> None:
    weights, mask = weights_and_mask(shape)
    found = uniform(weights, mask)
    assert found.shape == weights.shape
    for row, share in enumerate(([0.2] * 5, [1 / 3, 1 / 3, 1 / 3, 0, 0], [1.0, 0, 0, 0, 0])):
        assert torch.allclose(found[row], torch.tensor(share).expand_as(found[row]))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_last_real_state_gets_all_weight(shape: tuple[int, ...]) -> None:
    found = last(*weights_and_mask(shape))
    assert found.shape == shape
    for row, place in enumerate((4, 2, 0)):
        assert (found[row].argmax(-1) == place).all()
    assert (found.sum(-1) == 1).all() and (found.max(-1).values == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_shuffled_weights_are_a_permutation_of_the_real_positions(shape: tuple[int, ...]) -> None:
    weights, mask = weights_and_mask(shape)
    found = shuffled(weights, mask)
    assert torch.equal(found.sort(-1).values, weights.sort(-1).values)
    assert (found[~mask.expand_as(found)] == 0).all()
    moved = found != weights
    assert moved[0].all() and moved[1, ..., :3].all()  # none stays in its place
    assert torch.equal(found[2], weights[2])  # where there is but one
    positions = torch.arange(5.0).expand(shape)
    order = shuffled(positions, mask)
    assert torch.equal(order, order[:, :1].expand(shape) if len(shape) == 3 else order[:, :1, :1].expand(shape))


def test_shuffling_does_not_depend_on_the_batch() -> None:
    weights, mask = weights_and_mask(SHAPES[0])
    whole = shuffled(weights, mask)
    alone = shuffled(weights[1:2, :, :3], mask[1:2, :, :3])
    assert torch.equal(whole[1:2, :, :3], alone)


def test_a_cycle_visits_every_position() -> None:
    for length in (1, 2, 7, 30):
        place, seen = 0, []
        for _ in range(length):
            place = cycle(length)[place]
            seen.append(place)
        assert sorted(seen) == list(range(length))


def overridden(model: Seq2Seq) -> list[SourceAttention]:
    modules = [module for module in model.modules() if isinstance(module, SourceAttention)]
    return [module for module in modules if module.attention_override is not None]


def test_trained_is_what_greedy_search_gives(make: Make, telling: str) -> None:
    run = make(telling)
    rows = {row["attention"]: row["hypotheses"] for row in measure(run)["rows"]}
    plain = [best.text for (best,) in run.translator.translate(run.src, GREEDY)]
    assert rows["trained"] == plain
    ids = torch.tensor([[5, 3]])
    attends = run.model(ids, ids, attention=True).attention is not None
    assert list(rows) == (list(INTERVENTIONS) if attends else ["trained"])
    assert not overridden(run.model)


@pytest.mark.parametrize("name", ["bahdanau", "transformer"])
def test_each_intervention_reaches_the_search_whatever_the_batch(make: Make, name: str) -> None:
    run = make(name)
    rows = {row["attention"]: row["hypotheses"] for row in measure(run)["rows"]}
    assert len({tuple(hypotheses) for hypotheses in rows.values()}) == len(INTERVENTIONS)
    for name_, override in INTERVENTIONS.items():
        with run.model.overridden_attention(override):
            alone = [run.translator.translate([line], GREEDY)[0][0].text for line in run.src[:6]]
        assert rows[name_][:6] == alone, name_


def test_an_intervention_ends_with_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make("bahdanau")

    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError), run.model.overridden_attention(fails):  # type: ignore[arg-type]
        run.translator.translate(run.src, GREEDY)
    assert not overridden(run.model)
