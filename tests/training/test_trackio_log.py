"""Trackio beside TensorBoard: the same points under the same tags, once each after a kill; failures end no training."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, run_of
from seq2seq.training.logging import RunLog
from seq2seq.training.trackio_log import check_installed


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return compose(["model=lstm", f"outputs={tmp_path}", "trainer.track=[tensorboard,trackio]"])


def test_an_unknown_tracker_is_refused_and_one_that_is_not_installed(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="did you mean trackio"):
        compose(["model=lstm", "trainer.track=[tensorboard,trackoi]"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        check_installed(config)
    check_installed(replace(config, trainer=replace(config.trainer, track=["tensorboard"])))


def test_a_run_has_each_point_once_after_a_kill_and_no_network_is_used(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio = pytest.importorskip("trackio")
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/elsewhere")
    monkeypatch.setattr(trackio.sqlite_storage, "TRACKIO_DIR", tmp_path / "trackio")
    run = run_of(config)
    run.folder.mkdir(parents=True)
    killed = RunLog(run, 0, config)
    for step in (1, 2, 3):
        killed.scalars(step, {"train/loss": float(step)})
    killed.close()
    log = RunLog(run, 2, config)  # the last checkpoint was of step 2
    log.scalars(3, {"train/loss": 30.0, "test/bleu": 7.0})
    log.close()
    assert points(tmp_path, "train/loss") == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert points(tmp_path, "whole test/bleu") == [(3, 7.0)]


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    with sqlite3.connect(folder / "trackio/seq2seq.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    assert {name for name, *_ in rows} == {"embedded/lstm/seed1"}
    return [(step, metrics[tag]) for _, step, text in rows if tag in (metrics := json.loads(text))]


def refuse(*_: object) -> None:
    raise AssertionError("a connection was tried")


def test_a_tracker_that_fails_is_said_once_and_the_curves_go_on(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trackio = pytest.importorskip("trackio")
    monkeypatch.setattr(trackio, "init", fail)
    run = run_of(config)
    run.folder.mkdir(parents=True)
    log = RunLog(run, 0, config)
    for step in (1, 2):
        log.scalars(step, {"train/loss": 1.0})
    log.close()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "goes on without it (OSError: full)" in told
    assert [point["step"] for point in run.points("train/loss")] == [1, 2]


def fail(*_: object, **__: object) -> None:
    raise OSError("full")


def test_without_trackers_the_curves_are_in_the_run_folder_alone(
    tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    config = toy_config("lstm")
    config = replace(config, trainer=replace(config.trainer, track=[]))
    log = RunLog(Run(tmp_path), 0, config)
    log.scalars(1, {"train/loss": 1.0})
    log.hyperparameters({"model": "lstm"}, {"test/bleu": 1.0})
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
