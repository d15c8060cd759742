"""A whole session: what it makes of a folder that is there, of a kill at its end, and of a damaged checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs import checkpoint
from seq2seq.runs.run import LOCK, Run, run_of
from seq2seq.system.files import UNFINISHED
from seq2seq.training import session
from seq2seq.training.trainer import Trainer

MakeConfig = Callable[..., Config]


@pytest.fixture
def config(toy_config: MakeConfig, tmp_path: Path) -> Config:
    config = toy_config("lstm", max_steps=6, valid_every=3, save_every=2, average=2)
    config.outputs, config.name = str(tmp_path / "outputs"), "project"
    return config


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("config_file", ["config.toml", "config.yaml"])
def test_a_folder_of_somebodys_is_refused_and_stays_as_it_is(config: Config, config_file: str, overwrite: bool) -> None:
    folder = run_of(config).folder
    for name in ("checkpoints/thesis.tex", "tensorboard/notes", config_file):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("model: precious\n")
    before = tree(folder)
    config.overwrite = overwrite
    with pytest.raises(UserError, match=r"project is no run of this program \(it holds checkpoints and 2 more\)"):
        session.train(config)
    assert tree(folder) == before


def test_overwriting_leaves_what_is_not_the_runs(config: Config) -> None:
    folder = session.train(config).folder
    (folder / "notes.md").write_text("precious")
    (folder / "evaluations/mine").mkdir()
    config.overwrite, config.seed = True, 2
    session.train(config)
    assert (folder / "notes.md").read_text() == "precious"
    assert not (folder / "evaluations/mine").exists()
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize("kind", ["new", "init", pytest.param("overwrite", marks=pytest.mark.slow)])
def test_a_beginning_that_is_cut_short_anywhere_is_made_again_by_the_same_command(
    config: Config, kind: str, monkeypatch: Any
) -> None:
    config.init = str(session.train(replace(config, name="source")).folder) if kind == "init" else None
    straight = session.train(replace(config, name="straight"))
    folder, begin, replaced = run_of(config).folder, Trainer.__init__, Path.replace
    if kind == "overwrite":
        (session.train(replace(config, seed=2)).folder / "notes.md").write_text("precious")
        config.overwrite = True

    def no_memory(trainer: Trainer, *given: Any) -> None:
        begin(trainer, *given)
        raise MemoryError

    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(Trainer, "__init__", no_memory)
        session.train(config)
    assert kind == "overwrite" or not folder.exists()
    for cut in range(10):  # so many files have been written
        written = iter(range(cut))

        def kill(path: Path, target: Path, written: Iterator[int] = written) -> Path:
            if folder in target.parents and next(written, None) is None:
                raise SystemExit(9)
            return replaced(path, target)

        with monkeypatch.context() as patched, pytest.raises(SystemExit):
            patched.setattr(Path, "replace", kill)
            session.train(config)
    run = session.train(config)
    ours, theirs = (load_file(each.checkpoint("last")) for each in (run, straight))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert run.checkpoint("initial").exists() == (kind == "init")
    assert run.load_fingerprint() == straight.load_fingerprint()


def test_a_kill_before_the_summary_does_not_double_the_test(config: Config, monkeypatch: Any) -> None:
    def killed(run: Run, summary: object) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Run, "save_summary", killed)
        session.train(config)
    run = session.train(config)
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert len([line for line in lines if "test/bleu" in line]) == 1
    assert len([line for line in lines if "valid/bleu" in line]) == 2
    events = EventAccumulator(str(run.tensorboard)).Reload()
    assert len(events.Scalars("whole test/bleu")) == 1
    assert len(events.Scalars("valid/bleu")) == 2
    assert not run.checkpoint(checkpoint.PREVIOUS).exists()


def test_what_a_kill_after_the_summary_leaves_is_removed_by_the_next_start(config: Config) -> None:
    folder = session.train(config).folder
    left = [folder / LOCK, folder / "checkpoints" / f".last{UNFINISHED}"]
    left += [folder / "checkpoints" / f"{name}.safetensors" for name in (checkpoint.PREVIOUS, "recent-2", "recent-4")]
    for path in left:
        path.write_text("")
    session.train(config)
    assert not any(path.exists() for path in left)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's writer
def test_a_run_that_is_removed_while_it_trains_leaves_no_stub(config: Config, monkeypatch: Any) -> None:
    update = Trainer._update

    def removing(trainer: Trainer, batches: Any) -> None:
        update(trainer, batches)
        if trainer.state.step == 3:
            shutil.rmtree(trainer.run.folder)

    monkeypatch.setattr(Trainer, "_update", removing)
    with pytest.raises(UserError, match="project was removed while it was being trained"):
        session.train(config)
    assert not run_of(config).folder.exists()


def interrupted(config: Config, monkeypatch: Any, step: int) -> Run:
    update = Trainer._update

    def stopping(trainer: Trainer, batches: Any) -> None:
        if trainer.state.step == step:
            raise KeyboardInterrupt
        update(trainer, batches)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Trainer, "_update", stopping)
        session.train(config)
    return run_of(config)


@pytest.mark.parametrize("share", [0.001, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.3, 0.6)), 0.99])
def test_a_flipped_byte_is_found_and_the_checkpoint_before_goes_on(
    config: Config, share: float, monkeypatch: Any, tmp_path: Path
) -> None:
    run = interrupted(config, monkeypatch, step=5)
    last = run.checkpoint("last")
    content = bytearray(last.read_bytes())
    content[max(8, int(len(content) * share))] ^= 0x10
    last.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.safetensors: .*copy previous\.safetensors over it") as caught:
        session.train(config)
    assert str(last) in str(caught.value)
    shutil.copy(run.checkpoint(checkpoint.PREVIOUS), last)
    session.train(config)
    config.name = "straight"
    straight = session.train(config)
    ours, theirs = load_file(last), load_file(straight.checkpoint("last"))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda weights: weights | {"encoder.bias": torch.zeros(3)}, "the weights of another model"),
        (lambda weights: {name: tensor.double() for name, tensor in weights.items()}, "the weights of another model"),
        (lambda weights: {name: tensor / 0 for name, tensor in weights.items()}, "numbers that are not finite"),
    ],
)
def test_weights_that_are_not_the_models_are_refused(config: Config, change: Any, complaint: str) -> None:
    run = session.train(config)
    path = run.checkpoint("best")
    tensors, state = checkpoint.read(path)
    checkpoint.save_weights(path, change(checkpoint.part(tensors, "model")), state)
    from seq2seq.runs.loading import load

    with pytest.raises(UserError, match=complaint):
        load([(run, "best")], run.load_config())


def test_a_checkpoint_without_a_checksum_is_read(config: Config, monkeypatch: Any) -> None:
    """Those of earlier versions have none."""
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda tensors, metadata: save(tensors, {k: v for k, v in metadata.items() if k != "crc32"})
    )
    path = session.train(config).checkpoint("best")
    assert checkpoint.read(path)[0]


@pytest.mark.parametrize("model", ["language-model", "hybrid-one-slot", "final-states", "bahdanau-uniform"])
def test_a_model_that_sees_less_trains_and_is_tested_like_any_other(
    model: str, toy_config: MakeConfig, tmp_path: Path
) -> None:
    config = toy_config(model, max_steps=8, valid_every=4, lr=0.02, warmup_steps=0)
    config.outputs = str(tmp_path / "outputs")
    run = session.train(config)
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    nll = [line["train/nll"] for line in lines if "train/nll" in line]
    assert nll[-1] < nll[0]
    assert run.load_summary()["test"]["nll"] > 0
