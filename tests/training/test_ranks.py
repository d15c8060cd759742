"""Several processes over gloo train what one trains: the same global batches, curves, scores and checkpoints."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
import torch.multiprocessing as multiprocessing

from seq2seq.config.schema import Config, DataConfig, ModelConfig
from seq2seq.data.batches import BatchStream, share_of
from seq2seq.data.encoded import prepare
from seq2seq.models.build import build
from seq2seq.models.loss import sequence_loss
from seq2seq.runs.run import Run
from seq2seq.system.devices import choose_device, multiplies_bf16
from seq2seq.system.distributed import joined
from seq2seq.system.processes import Group
from seq2seq.training import initial
from seq2seq.training.following import follow
from seq2seq.training.trainer import Stopped, Trainer
from tests.processes import SERVER
from tests.training.test_trainer import metrics, stop_after, tensors

MODELS = ["lstm", "bahdanau", "transformer", "hybrid"]
THEN_ALONE, HALF = ["bahdanau", "transformer"], ["lstm", "transformer"]
"""Those with which the ordinary suite goes on in one process, and trains in bf16."""
Job = tuple[Config, Path, int | None]
"""What to train, where, and the update after which a stop comes."""
MakeConfig = Callable[..., Config]

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")


def lead(config: Config, folder: Path, stop: int | None, group: Group) -> None:
    """As the session does it."""
    corpus = prepare(config.data)
    torch.manual_seed(config.seed)
    model = build(config.model, *corpus.subwords.sizes)
    initial.freeze(config.trainer.freeze, model)
    trainer = Trainer(config, corpus, model, Run(folder), choose_device(config.device, group.local), group)
    if stop is not None:
        stop_after(trainer, stop)
    try:
        trainer.train()
    except Stopped:
        assert stop is not None


def forbidden(*_: object) -> None:
    raise AssertionError("a functional collective: over gloo it may damage the memory of the process (torch 2.13)")


def work(rank: int, world: int, ports: Sequence[int], jobs: Sequence[Job]) -> None:
    """One of ``world`` processes, as torchrun starts them."""
    torch.set_num_threads(1)
    functional.wait_tensor = forbidden  # type: ignore[assignment]
    place = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1"}
    for (config, folder, stop), port in zip(jobs, ports, strict=True):
        os.environ.update({name: str(value) for name, value in {**place, "MASTER_PORT": port}.items()})
        if rank:
            follow()
        else:
            with joined() as group:
                lead(config, folder, stop, group)


def free_port() -> int:
    """One that nothing listens on, below those that the system gives to connections."""
    for port in random.sample(range(20_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def train(world: int, jobs: Sequence[Job]) -> None:
    if world == 1:
        for job in jobs:
            lead(*job, Group())
        return
    given = world, [free_port() for _ in jobs], jobs
    multiprocessing.start_processes(work, given, nprocs=world, start_method=SERVER)


LEFT = ("train/padding", "valid/bleu", "valid/chrf", "valid/length_ratio", "valid/token_accuracy")
NOISE = ("attention.project.bias", "cross.key_value.bias")
"""A constant on all keys changes no weight: its gradient is rounding alone, which Adam makes large."""


def assert_close(one: Path, other: Path, tolerance: float, left: Sequence[str] = LEFT[:1]) -> None:
    """The same curves and the same weights, but for rounding; ``left``: curves that are not compared.

    The share of padding differs, since a process that has no row computes on one of padding.
    """
    ours, theirs = metrics(one), metrics(other)
    assert len(ours) == len(theirs) > 3
    for mine, its in zip(ours, theirs, strict=True):
        kept = [{key: value for key, value in line.items() if key not in left} for line in (mine, its)]
        assert kept[0] == pytest.approx(kept[1], rel=tolerance, abs=tolerance)
    for name in ("best", "last"):
        weights, others = tensors(one, name), tensors(other, name)
        assert weights.keys() == others.keys()
        for key, tensor in weights.items():
            if not key.startswith(("random", "optimizer")) and not key.endswith(NOISE):
                torch.testing.assert_close(tensor, others[key], rtol=tolerance * 10, atol=tolerance * 10, msg=key)


def job(make: MakeConfig, model: str, folder: Path, stop: int | None = None, **options: Any) -> Job:
    """Six updates with everything that the processes must agree on."""
    kept = {"max_steps": 6, "valid_every": 3, "save_every": 2, "label_smoothing": 0.1, "ema": 0.5, "samples": 2}
    config = make(model, **{**kept, "lr": 0.01, "warmup_steps": 2, **options})
    config.model = replace(config.model, dropout=0.0)
    return config, folder, stop


@pytest.fixture(scope="module")
def make(toy_config: MakeConfig, toy_data: DataConfig) -> MakeConfig:
    """``toy_config``, with subword sampling by ``sampling``."""

    def made(model: str, sampling: float = 0.0, **options: Any) -> Config:
        data = replace(toy_data, subwords=replace(toy_data.subwords, sampling=sampling))
        return toy_config(model, data, **options)

    return made


def variants(make: MakeConfig, folder: Path, models: Sequence[str] = MODELS, **more: Any) -> list[Job]:
    """The models, of which each has another of the options."""
    options: list[dict[str, Any]] = [
        {},
        {"accumulate": 2},
        {"sampling": 0.2, "accumulate": 3},
        {"freeze": ["encoder.*"]},
    ]
    chosen = zip(MODELS, options, strict=True)
    return [job(make, model, folder / model, **each, **more) for model, each in chosen if model in models]


def stopped(jobs: list[Job]) -> list[Job]:
    return [(config, folder, 3) for config, folder, _ in jobs]


@pytest.fixture(scope="module")
def folder(make: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each kind of training a folder, with one for each model: the processes are started once for all kinds."""
    root = tmp_path_factory.mktemp("ranks")

    def of(name: str, **options: Any) -> list[Job]:
        return variants(make, root / name, **options)

    muon = {kind: job(make, "lstm", root / kind / "muon", name="muon") for kind in ("1", "2")}
    two = [
        *of("2"),
        muon["2"],
        *of("sharded", shard=True),
        *stopped(of("sharded, then 1", shard=True, models=THEN_ALONE)),
    ]
    in_bf16 = multiplies_bf16(torch.device("cpu"))
    half = {kind: of(f"bf16, {kind}", precision="bf16", models=HALF) if in_bf16 else [] for kind in ("1", "2")}
    train(2, [*two, *half["2"]])
    train(1, [*of("1"), muon["1"], *of("sharded, then 1", models=THEN_ALONE), *half["1"]])
    return root


@pytest.fixture(scope="module")
def more(folder: Path, make: MakeConfig) -> Path:
    """The folder, with what the slow tests compare as well."""

    def of(name: str, models: Sequence[str] = MODELS, **options: Any) -> list[Job]:
        return variants(make, folder / name, models, **options)

    alone, half = ([model for model in MODELS if model not in few] for few in (THEN_ALONE, HALF))
    in_bf16 = multiplies_bf16(torch.device("cpu"))
    bf16 = {kind: of(f"bf16, {kind}", half, precision="bf16") if in_bf16 else [] for kind in ("1", "2")}
    train(2, [*stopped(of("sharded, then 1", alone, shard=True)), *stopped(of("2, then 4")), *bf16["2"]])
    train(1, [*of("sharded, then 1", alone), *bf16["1"]])
    return folder


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["2", "sharded"])
def test_several_processes_train_what_one_trains(kind: str, model: str, folder: Path) -> None:
    assert_close(folder / kind / model, folder / "1" / model, 2e-5)


@pytest.mark.parametrize("model", THEN_ALONE)
def test_one_process_goes_on_with_what_several_began(model: str, folder: Path) -> None:
    """A checkpoint is one file, from which any number of processes goes on."""
    assert_close(folder / "sharded, then 1" / model, folder / "1" / model, 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in MODELS if model not in THEN_ALONE])
def test_one_process_goes_on_with_what_several_began_of_every_model(model: str, more: Path) -> None:
    assert_close(more / "sharded, then 1" / model, more / "1" / model, 2e-5)


def test_two_processes_train_by_muon_what_one_trains(folder: Path) -> None:
    assert_close(folder / "2" / "muon", folder / "1" / "muon", 1e-4)


@pytest.mark.slow
def test_four_processes_train_what_one_trains(more: Path, make: MakeConfig) -> None:
    folder = more
    train(4, [*variants(make, folder / "4"), *variants(make, folder / "2, then 4")])
    for kind in ("4", "2, then 4"):
        for model in MODELS:
            assert_close(folder / kind / model, folder / "1" / model, 2e-5)


@pytest.mark.parametrize("model", HALF)
def test_two_processes_in_bf16(model: str, folder: Path, bf16: torch.dtype) -> None:
    assert_close(folder / "bf16, 2" / model, folder / "bf16, 1" / model, 2e-2, LEFT)


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in MODELS if model not in HALF])
def test_two_processes_in_bf16_with_every_model(model: str, more: Path, bf16: torch.dtype) -> None:
    assert_close(more / "bf16, 2" / model, more / "bf16, 1" / model, 2e-2, LEFT)


class Place(Group):
    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_the_parts_of_all_processes_are_the_global_batch(number: int, world: int, toy_data: DataConfig) -> None:
    """Each target token is in one part, and every process has the same number of batches, so that none waits."""
    split = prepare(toy_data).splits["train"]
    whole = BatchStream(split, 64, 1).take(number)
    parts = [BatchStream(split, 64, 1).take(number, Place(rank, world)) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    assert sum(batch.tokens for part in parts for batch in part) == sum(batch.tokens for batch in whole)
    rows = sorted(tuple(row.tolist()) for batch in whole for row in batch.tgt_out)
    found = [tuple(row.tolist()) for part in parts for batch in part if batch.tokens for row in batch.tgt_out]
    assert sorted(found) == rows


def test_a_process_without_a_row_computes_on_one_that_weighs_nothing(toy_data: DataConfig) -> None:
    batch = next(BatchStream(prepare(toy_data).splits["train"], 32, 1))
    part = share_of(batch, Place(len(batch.src), len(batch.src) + 1))
    assert part.tokens == 0
    assert len(part.src) == 1


@pytest.mark.parametrize("weighs", [True, False])
def test_every_parameter_gets_a_gradient_in_every_step(
    weighs: bool, toy_data: DataConfig, tiny_models: dict[str, ModelConfig]
) -> None:
    """From a batch of padding too: without one, DDP would leave the gradients of that step unaveraged, in silence."""
    corpus = prepare(toy_data)
    batch = share_of(next(BatchStream(corpus.splits["train"], 64, 1)), Place(0 if weighs else 10_000, 10_001))
    for name, options in tiny_models.items():
        model = build(options, *corpus.subwords.sizes)
        hidden = model(batch.src, batch.tgt_in).hidden
        sequence_loss(model, hidden, batch.tgt_out, 0.1).loss.backward()
        without = [parameter for parameter, value in model.named_parameters() if value.grad is None]
        assert not without, f"{name}: {without}"
