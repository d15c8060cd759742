"""Checkpoints: what goes in comes out, and what is no checkpoint is one line for the user."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from seq2seq.config.schema import ModelConfig, OptimizerConfig
from seq2seq.errors import UserError
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.training.optimizer import build_optimizer

Build = Callable[..., Seq2Seq]


def step(model: Seq2Seq, optimizer: torch.optim.Optimizer, src: torch.Tensor, tgt: torch.Tensor) -> None:
    model.logits(model(src, tgt).hidden).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def vector(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_weights_come_back_with_their_state(name: str, build_tiny: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    model, other = build_tiny(name, seed=1), build_tiny(name, seed=2)
    assert not torch.equal(vector(model), vector(other))
    checkpoint.save_weights(path, checkpoint.weights_of(model), {"step": 7, "wörter": [1.5, None]})
    assert checkpoint.load_weights(path, other) == {"step": 7, "wörter": [1.5, None]}
    assert torch.equal(vector(model), vector(other))


def test_training_goes_on_from_what_was_saved(build_tiny: Build, sentences: Any, shift: Any, tmp_path: Path) -> None:
    src, tgt = sentences([5, 3]), shift(sentences([4, 6]))
    path = tmp_path / "last.safetensors"
    models = [build_tiny("transformer", seed=seed) for seed in (1, 2)]
    optimizers = [build_optimizer(model, OptimizerConfig(lr=0.01)) for model in models]
    for _ in range(2):
        step(models[0], optimizers[0], src, tgt)
    checkpoint.save_training(path, {"model": models[0]}, optimizers[0], {"at": 2})
    expected = torch.rand(3)
    assert checkpoint.load_training(path, {"model": models[1]}, optimizers[1]) == {"at": 2}
    assert torch.equal(torch.rand(3), expected), "the generator goes on where it was"
    for model, optimizer in zip(models, optimizers, strict=True):
        step(model, optimizer, src, tgt)
    assert torch.equal(vector(models[0]), vector(models[1]))


def test_a_gpu_that_is_not_used_is_left_alone(
    build_tiny: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for its generator would take half a gigabyte of it, or fail where another process has it all."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: pytest.fail("the GPU was touched"))
    model = build_tiny("lstm")
    path = tmp_path / "last.safetensors"
    checkpoint.save_training(path, {"model": model}, build_optimizer(model, OptimizerConfig()), {})
    assert "random/cuda" not in load_file(path)


@pytest.mark.parametrize(("tie", "tables"), [("all", 1), ("output", 2), ("none", 3)])
def test_a_shared_table_is_stored_once(
    tie: str, tables: int, tiny_models: dict[str, ModelConfig], tmp_path: Path
) -> None:
    options = tiny_models["transformer"]
    model = build(ModelConfig("t", options.embedding, tie, 0.0, options.encoder, options.decoder), 20, 20)
    checkpoint.save_weights(tmp_path / "a.safetensors", checkpoint.weights_of(model), {})
    stored = load_file(tmp_path / "a.safetensors")
    assert sum(tensor.shape == (20, options.embedding) for tensor in stored.values()) == tables
    assert sum(tensor.numel() for tensor in stored.values()) == sum(p.numel() for p in model.parameters())


def test_a_loaded_table_is_still_shared(build_tiny: Build, tmp_path: Path) -> None:
    model = build_tiny("transformer")
    checkpoint.save_weights(tmp_path / "a.safetensors", checkpoint.weights_of(model), {})
    checkpoint.load_weights(tmp_path / "a.safetensors", model)
    assert model.output.weight is model.encoder.embedding.weight


def test_the_average_of_a_training_is_what_translates(build_tiny: Build, tmp_path: Path) -> None:
    """As validation and the test use it; to go on, a training reads both."""
    path = tmp_path / "last.safetensors"
    both = {"model": build_tiny("lstm", seed=1), "average": build_tiny("lstm", seed=2)}
    optimizer = build_optimizer(both["model"], OptimizerConfig())
    checkpoint.save_training(path, both, optimizer, {"at": 3})
    loaded = build_tiny("lstm", seed=3)
    assert checkpoint.load_weights(path, loaded) == {"at": 3}
    assert torch.equal(vector(loaded), vector(both["average"]))
    again = {kind: build_tiny("lstm", seed=4) for kind in both}
    checkpoint.load_training(path, again, build_optimizer(again["model"], OptimizerConfig()))
    assert all(torch.equal(vector(again[kind]), vector(both[kind])) for kind in both)


@pytest.mark.parametrize("kinds", [("model",), ("model", "average")])
def test_the_mean_is_of_the_weights_that_translate(kinds: tuple[str, ...], build_tiny: Build, tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.safetensors" for seed in (1, 2, 3)]
    models = [build_tiny("lstm", seed=seed) for seed in (1, 2, 3)]
    for path, model in zip(paths, models, strict=True):
        own = {kind: build_tiny("lstm", seed=9) for kind in kinds} | {kinds[-1]: model}
        checkpoint.save_training(path, own, build_optimizer(own["model"], OptimizerConfig()), {})
    mean = checkpoint.average(paths)
    assert mean.keys() == checkpoint.weights_of(models[0]).keys()
    for name, tensor in mean.items():
        by_hand = sum(dict(model.named_parameters())[name].double() for model in models) / 3
        torch.testing.assert_close(tensor, by_hand.float())


def _cut(path: Path, model: Seq2Seq) -> None:
    checkpoint.save_weights(path, checkpoint.weights_of(model), {})
    path.write_bytes(path.read_bytes()[:-100])


def _headless(path: Path, model: Seq2Seq) -> None:
    checkpoint.save_weights(path, checkpoint.weights_of(model), {})
    path.write_bytes(path.read_bytes()[:20])


def _foreign(path: Path, model: Seq2Seq) -> None:
    save_file({f"model/{name}": tensor.clone() for name, tensor in checkpoint.weights_of(model).items()}, path)


DAMAGES: dict[str, tuple[Callable[[Path, Seq2Seq], object], str]] = {
    "cut short": (_cut, "damaged or cut short"),
    "cut in its header": (_headless, "damaged or cut short"),
    "empty": (lambda path, model: path.write_bytes(b""), "damaged or cut short"),
    "text": (lambda path, model: path.write_text("these are my weights\n" * 50), "damaged or cut short"),
    "another program's": (_foreign, "not a checkpoint of this program"),
    "missing": (lambda path, model: None, "no such checkpoint"),
    "a folder": (lambda path, model: path.mkdir(), "damaged or cut short"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_checkpoint_is_one_line(damage: str, build_tiny: Build, tmp_path: Path) -> None:
    make, message = DAMAGES[damage]
    path = tmp_path / "best.safetensors"
    model = build_tiny("lstm")
    make(path, model)
    before = vector(model).clone()
    with pytest.raises(UserError, match=message) as caught:
        checkpoint.load_weights(path, model)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert torch.equal(vector(model), before)


def test_a_state_that_is_nested_too_deep_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"kind": checkpoint.KIND, "state": "[" * 100_000 + "]" * 100_000})
    with pytest.raises(UserError, match="damaged or cut short"):
        checkpoint.read(path)


def test_the_generator_of_an_apple_gpu_is_kept(
    build_tiny: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the device: what its functions give is saved and given back to them."""
    model, given = build_tiny("lstm"), []
    optimizer = build_optimizer(model, OptimizerConfig())
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.mps.get_rng_state", lambda: torch.arange(16, dtype=torch.uint8))
    monkeypatch.setattr("torch.mps.set_rng_state", given.append)
    checkpoint.save_training(tmp_path / "a.safetensors", {"model": model}, optimizer, {"step": 1})
    checkpoint.load_training(tmp_path / "a.safetensors", {"model": model}, optimizer)
    assert given[0].tolist() == list(range(16))


@pytest.mark.parametrize("other", ["bahdanau", "gru", "transformer"])
def test_the_weights_of_another_model_are_refused(other: str, build_tiny: Build, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint.save_weights(path, checkpoint.weights_of(build_tiny("lstm")), {})
    with pytest.raises(UserError, match=r"weights of another model \(.* does not fit"):
        checkpoint.load_weights(path, build_tiny(other))


def test_the_weights_of_another_vocabulary_are_refused(build_tiny: Build, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint.save_weights(path, checkpoint.weights_of(build_tiny("lstm", vocab=21)), {})
    with pytest.raises(UserError, match="another model"):
        checkpoint.load_weights(path, build_tiny("lstm", vocab=20))


def test_a_folder_whose_name_is_not_utf8_is_no_damage(build_tiny: Build, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"r\xff")
    folder.mkdir()
    checkpoint.save_weights(tmp_path / "best.safetensors", checkpoint.weights_of(build_tiny("lstm")), {})
    (tmp_path / "best.safetensors").rename(folder / "best.safetensors")
    with pytest.raises(UserError, match="the path is not UTF-8: rename the folder"):
        checkpoint.read(folder / "best.safetensors")


def test_too_many_open_files_are_no_matter_of_the_checkpoint(build_tiny: Build, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint.save_weights(path, checkpoint.weights_of(build_tiny("lstm")), {})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(UserError, match="files"):
            checkpoint.read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert checkpoint.read(path)
