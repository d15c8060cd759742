"""Muon against the singular value decomposition, block by block, and a whole update against one written out plainly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seq2seq.config.schema import Config, DataConfig, OptimizerConfig
from seq2seq.config.validation import validate
from seq2seq.errors import UserError
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.matrices import hidden_matrices
from seq2seq.training.muon import BAND, LEAST, STEPS, Muon, orthogonalised
from seq2seq.training.optimizer import build_optimizer
from seq2seq.training.trainer import Trainer

Build = Callable[..., Seq2Seq]
MUON = OptimizerConfig(name="muon", lr=0.01, weight_decay=0.1)
SHAPES = [(16, 16), (16, 50), (1, 7), (32, 33)]


def stack(rows: int, columns: int, least: float = LEAST, number: int = 3) -> tuple[Tensor, Tensor]:
    """Matrices (N, R, C) of very different sizes with singular values between ``least`` and 1 times it; their U Vᵀ."""
    torch.manual_seed(rows + columns)
    u, _, v = torch.linalg.svd(torch.randn(number, rows, columns, dtype=torch.float64), full_matrices=False)
    values = torch.logspace(math.log10(least), 0, rows, dtype=torch.float64) if rows > 1 else torch.ones(1)
    sizes = torch.tensor([1e-6, 1.0, 1e3], dtype=torch.float64)[:number, None, None]
    return (u * values @ v * sizes).float(), u @ v


def polynomial(values: Tensor) -> Tensor:
    """What the steps make of singular values between 0 and 1."""
    for a, b, c in STEPS:
        values = a * values + b * values**3 + c * values**5
    return values


def plainly(matrix: Tensor) -> Tensor:
    """One matrix orthogonalised by way of its singular values, in float64."""
    u, values, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    bound = (values**8).sum() ** (1 / 8)
    return u * polynomial(values / bound) @ v


def test_the_steps_bring_every_singular_value_near_one() -> None:
    values = polynomial(torch.logspace(math.log10(LEAST), 0, 10_000, dtype=torch.float64))
    assert 1 - BAND < values.min() < values.max() < 1 + BAND
    below = torch.linspace(0, LEAST, 100, dtype=torch.float64)
    assert (polynomial(below).diff() > 0).all(), "smaller ones are raised, none is turned around"


@pytest.mark.parametrize("shape", SHAPES)
def test_each_matrix_becomes_orthogonal(shape: tuple[int, int]) -> None:
    """Of the spectrum that it can flatten: the bound by which it divides is a little above the largest value."""
    given, exact = stack(*shape, least=2 * LEAST)
    found = orthogonalised(given)
    assert torch.linalg.matrix_norm(found.double() - exact, 2).max() < BAND + 1e-3
    for each, matrix in zip(found, given, strict=True):
        torch.testing.assert_close(each.double(), plainly(matrix), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_matrix_becomes_orthogonal_in_bf16(shape: tuple[int, int]) -> None:
    given, exact = stack(*shape, least=0.1)
    found = orthogonalised(given.bfloat16())
    assert torch.linalg.matrix_norm(found.double() - exact, 2).max() < BAND + 0.1


def test_a_gradient_of_zeros_moves_nothing() -> None:
    assert torch.equal(orthogonalised(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


# ------------------------------------------------------------------------------------------- what is a hidden matrix


def parts_of(model: nn.Module) -> dict[str, tuple[int, int]]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter]: parts for parameter, parts in hidden_matrices(model).items()}


ONE = (0, 1)


def test_the_matrices_of_each_architecture(build_tiny: Build) -> None:
    """Each head and each gate has matrices of its own; of two heads here."""
    out, feed_forward = (1, 2), {"feed_forward.0": ONE, "feed_forward.3": ONE}
    layer = {"attention.project": (0, 3 * 2), "attention.out": out, **feed_forward}
    cross = {"cross.query": (0, 2), "cross.key_value": (0, 2 * 2), "cross.out": out}
    assert parts_of(build_tiny("transformer-learned")) == {
        **{f"encoder.layers.{n}.{name}.weight": parts for n in (0, 1) for name, parts in layer.items()},
        **{f"decoder.layers.0.{name}.weight": parts for name, parts in {**layer, **cross}.items()},
    }
    gates = (0, 4)
    reader = {f"encoder.layers.0.{n}.weight_{kind}_l0": gates for n in (0, 1) for kind in ("ih", "hh")}
    decoder = {"layers.0.weight_ih_l0": gates, "layers.0.weight_hh_l0": gates, "first": (0, 2), "readout": ONE}
    contexts = {"lstm": {"context.compress": ONE}, "bahdanau": {"context.query": ONE, "context.key": ONE}}
    for name, context in contexts.items():
        found = {key.removesuffix(".weight"): parts for key, parts in parts_of(build_tiny(name)).items()}
        assert found == reader | {f"decoder.{key}": parts for key, parts in {**decoder, **context}.items()}
    gru = {parts for key, parts in parts_of(build_tiny("gru")).items() if "weight_" in key}
    assert gru == {(0, 3)}


class Own(nn.Module):
    """A module that knows nothing of Muon."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(5, 4), nn.LayerNorm(4)
        self.convolution, self.product = nn.Conv1d(4, 6, 3), nn.Linear(4, 9)
        self.rnn, self.scale = nn.GRU(4, 6), nn.Parameter(torch.ones(4))


def test_an_own_architecture_need_not_know_of_it() -> None:
    gates = {"rnn.weight_ih_l0": (0, 3), "rnn.weight_hh_l0": (0, 3)}
    assert parts_of(Own()) == {"convolution.weight": ONE, "product.weight": ONE, **gates}


# ---------------------------------------------------------------------------------------------------- whole updates


def update(optimizer: torch.optim.Optimizer, step: int) -> None:
    for group in optimizer.param_groups:
        group["step"] = step
    optimizer.step()


def plain_updates(
    model: nn.Module, gradients: list[dict[str, Tensor]], matrices: dict[str, tuple[int, int]]
) -> dict[str, Tensor]:
    """The weights after an update for each of ``gradients``, with a loop over matrices, in float64."""
    own = {name: p.detach().double() for name, p in model.named_parameters()}
    momenta = {name: torch.zeros_like(own[name]) for name in matrices}
    for step, given in enumerate(gradients, start=1):
        for name, (dimension, number) in matrices.items():
            gradient = given[name].double()
            momenta[name] = 0.95 * momenta[name] + 0.05 * gradient
            if step % 2:
                continue
            direction = (0.05 * gradient + 0.95 * momenta[name]).flatten(1)
            longest = max(size // (number if n == dimension else 1) for n, size in enumerate(direction.shape))
            pieces = [0.2 * longest**0.5 * plainly(piece) for piece in direction.chunk(number, dimension)]
            move = torch.cat(pieces, dimension).reshape(gradient.shape)
            own[name] = own[name] * (1 - 2 * 0.01 * 0.1) - 2 * 0.01 * move
    return {name: own[name] for name in matrices}


def given_gradients(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    for _ in range(5):
        yield {name: torch.randn_like(p) for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["transformer", "lstm", "bahdanau", "own"])
def test_updates_are_those_that_a_loop_over_matrices_makes(name: str, build_tiny: Build) -> None:
    """All vectors and tables move as AdamW alone moves them."""
    torch.manual_seed(0)
    model, other = ((Own() if name == "own" else build_tiny(name)) for _ in range(2))
    other.load_state_dict(model.state_dict())
    gradients = list(given_gradients(model))
    expected = plain_updates(model, gradients, parts_of(model))
    optimizer, adamw = build_optimizer(model, MUON), build_optimizer(other, replace(MUON, name="adamw"))
    for step, given in enumerate(gradients):
        for each, learner in ((model, optimizer), (other, adamw)):
            for key, parameter in each.named_parameters():
                parameter.grad = given[key].clone()
            update(learner, step)
    by_adamw = dict(other.named_parameters())
    for key, parameter in model.named_parameters():
        if key in expected:
            torch.testing.assert_close(parameter.detach().double(), expected[key], rtol=0, atol=2e-5, msg=key)
        else:
            assert torch.equal(parameter, by_adamw[key]), key


def test_groups_and_states_are_one(build_tiny: Build) -> None:
    """So a schedule sets every rate, a scaler sees every gradient, and a checkpoint holds every state."""
    model = build_tiny("bahdanau")
    optimizer = build_optimizer(model, MUON)
    assert isinstance(optimizer, Muon)
    assert {p for group in optimizer.param_groups for p in group["params"]} == set(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    update(optimizer, 1)
    keys = {name: set(optimizer.state[p]) for name, p in model.named_parameters()}
    matrices = parts_of(model)
    for name, found in keys.items():
        assert found == ({"momentum_buffer"} if name in matrices else {"step", "exp_avg", "exp_avg_sq"})
    before = [p.detach().clone() for p in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    update(optimizer, 3)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def test_a_matrix_without_a_gradient_stays(build_tiny: Build) -> None:
    model = build_tiny("transformer")
    frozen = model.encoder.layers[0].feed_forward[0].weight  # type: ignore[union-attr, index]
    frozen.requires_grad_(False)
    before, optimizer = frozen.clone(), build_optimizer(model, MUON)
    assert all(frozen is not p for group in optimizer.param_groups for p in group["params"])
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.encoder.layers[0].feed_forward[3].weight.grad = None  # type: ignore[union-attr, index]
    update(optimizer, 1)
    assert torch.equal(frozen, before)


def test_ten_sentences_are_learned(
    ten: DataConfig, toy_config: Callable[..., Config], start: Callable[..., Trainer], tmp_path: Path
) -> None:
    rate = {"name": "muon", "lr": 0.01, "warmup_steps": 10, "schedule": "constant"}
    learner = start(toy_config("bahdanau", ten, batch_tokens=512, max_steps=150, valid_every=150, **rate), tmp_path)
    learner.train()
    first, *_, last = learner.run.curve("train/nll").values()
    assert first > 4
    assert last < 1


def test_sharded_matrices_are_refused() -> None:
    config = Config()
    config.trainer.optimizer.name, config.trainer.shard = "muon", True
    with pytest.raises(UserError, match=r"trainer\.shard=true .* trainer\.optimizer\.name=muon"):
        validate(config)
