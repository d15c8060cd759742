"""The learning rate against its formulas, AdamW and the average of weights against both by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from seq2seq.config.schema import OptimizerConfig
from seq2seq.training.optimizer import Plateau, build_optimizer, learning_rate, update_ema


def rate(options: OptimizerConfig, step: int, progress: float = 0.0, plateau: Plateau | None = None) -> float:
    return learning_rate(options, step, progress, plateau or Plateau())


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "plateau", "constant"])
def test_warm_up_is_linear_and_ends_at_the_peak(schedule: str) -> None:
    options = OptimizerConfig(lr=0.8, warmup_steps=4, schedule=schedule)
    assert [rate(options, step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "plateau", "constant"])
def test_without_warm_up_the_first_rate_is_the_peak(schedule: str) -> None:
    assert rate(OptimizerConfig(lr=0.8, warmup_steps=0, schedule=schedule), 0) == pytest.approx(0.8)


def test_inverse_square_root_falls_from_its_peak() -> None:
    options = OptimizerConfig(lr=1.0, warmup_steps=4, schedule="inverse_sqrt")
    assert [rate(options, step - 1) for step in (4, 16, 64, 400)] == pytest.approx([1.0, 0.5, 0.25, 0.1])


def test_inverse_square_root_is_the_formula_of_the_paper_but_for_its_peak() -> None:
    """Vaswani et al. 2017, equation 3: d^-0.5 · min(step^-0.5, step · warmup^-1.5)."""
    options = OptimizerConfig(lr=1.0, warmup_steps=10, schedule="inverse_sqrt")
    for step in (1, 5, 10, 11, 50):
        assert rate(options, step - 1) == pytest.approx(math.sqrt(10) * min(step**-0.5, step * 10**-1.5))


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 1.0), (1 / 3, 0.775), (0.5, 0.55), (1.0, 0.1), (1.5, 0.1)])
def test_cosine_ends_at_its_last_rate(progress: float, expected: float) -> None:
    options = OptimizerConfig(lr=1.0, warmup_steps=0, schedule="cosine", final_lr=0.1)
    assert rate(options, 7, progress) == pytest.approx(expected)


def test_plateau_halves_after_validations_that_are_no_better() -> None:
    options = OptimizerConfig(lr=1.0, warmup_steps=0, schedule="plateau", plateau_factor=0.5, plateau_patience=2)
    plateau = Plateau()
    rates = []
    for nll in (3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5):
        plateau.observe(nll, options)
        rates.append(rate(options, 100, plateau=plateau))
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_constant_stays() -> None:
    options = OptimizerConfig(lr=0.3, warmup_steps=2, schedule="constant")
    assert {rate(options, step, step / 100) for step in (2, 50, 100)} == {0.3}


def test_adamw_is_adamw_by_hand() -> None:
    """Loshchilov and Hutter 2019, algorithm 2."""
    options = OptimizerConfig(lr=0.1, beta1=0.8, beta2=0.9, eps=1e-6, weight_decay=0.05)
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    own = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in own.items()}
    second = {name: torch.zeros_like(p) for name, p in own.items()}
    optimizer = build_optimizer(model, options)
    for t in (1, 2, 3):
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            gradient = parameter.grad.double()
            first[name] = 0.8 * first[name] + 0.2 * gradient
            second[name] = 0.9 * second[name] + 0.1 * gradient**2
            decay = 0.05 if name == "weight" else 0.0
            own[name] = own[name] * (1 - 0.1 * decay)
            unbiased = (first[name] / (1 - 0.8**t)) / ((second[name] / (1 - 0.9**t)).sqrt() + 1e-6)
            own[name] = own[name] - 0.1 * unbiased
        optimizer.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.double(), own[name], rtol=1e-5, atol=1e-6)


def test_only_matrices_are_decayed() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Embedding(5, 4))
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 0.1,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "2.weight": 0.1,
    }


def test_the_fused_kernel_is_used() -> None:
    assert build_optimizer(nn.Linear(2, 2), OptimizerConfig()).defaults["fused"]


def test_the_average_is_the_weighted_sum_of_all_that_was() -> None:
    """Unrolled: weight k counts (1 - d_k) times the product of the decays after it."""
    model, average = nn.Linear(3, 2), nn.Linear(3, 2)
    decays = [min(0.35, (1 + step) / (10 + step)) for step in range(6)]
    assert decays[0] == 0.1
    assert decays[-1] == 0.35
    history = [average.weight.detach().clone()]
    for step in range(6):
        nn.init.normal_(model.weight)
        history.append(model.weight.detach().clone())
        update_ema(average, model, 0.35, step)
    shares = [1.0, *(1 - decay for decay in decays)]
    expected = sum(
        share * math.prod(decays[k:]) * weight for k, (share, weight) in enumerate(zip(shares, history, strict=True))
    )
    torch.testing.assert_close(average.weight.detach(), expected)
    assert torch.equal(model.weight, history[-1])
