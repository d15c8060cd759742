"""A run that is trained longer: what it computes, what may change, and what a kill at its beginning leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.checkpoint import read
from seq2seq.runs.run import Run
from seq2seq.training import session
from seq2seq.training.longer import with_history
from seq2seq.training.progress import TrainState
from seq2seq.training.trainer import Trainer

MakeConfig = Callable[..., Config]
PRINTS: Any = {"code": "old", "versions": {"torch": "2.12"}}


@pytest.fixture
def make(toy_config: MakeConfig, tmp_path: Path) -> MakeConfig:
    """A config of a run below ``tmp_path``, of 4 updates unless told otherwise."""

    def config(name: str, model: str = "transformer", **trainer: Any) -> Config:
        made = toy_config(model, **{"max_steps": 4, "valid_every": 2, "warmup_steps": 2, **trainer})
        return replace(made, outputs=str(tmp_path / "outputs"), name=name)

    return config


def longer(config: Config, **trainer: Any) -> Config:
    return replace(config, trainer=replace(config.trainer, **{"max_steps": 8, **trainer}), extend=True)


def weights(run: Run, name: str = "last") -> dict[str, bytes]:
    return {key: tensor.numpy().tobytes() for key, tensor in load_file(run.checkpoint(name)).items()}


def curve(run: Run, tag: str) -> dict[int, float]:
    return run.curve(tag)


def dying_at(step: int) -> Callable[[Trainer], None]:
    """``Trainer._log_training`` of a process that is killed at an update."""
    log = Trainer._log_training

    def die(trainer: Trainer) -> None:
        if trainer.state.step == step:
            raise SystemExit(9)
        log(trainer)

    return die


@pytest.mark.parametrize(
    ("model", "schedule"),
    [
        ("lstm", "constant"),
        pytest.param("bahdanau", "inverse_sqrt", marks=pytest.mark.slow),
        ("transformer", "inverse_sqrt"),
    ],
)
def test_it_is_the_run_that_was_made_in_one_go(make: MakeConfig, model: str, schedule: str) -> None:
    parts, ema = make("parts", model, schedule=schedule), {"ema": 0.9}
    session.train(replace(parts, trainer=replace(parts.trainer, **ema)))
    two = session.train(longer(parts, **ema))
    one = session.train(make("one", model, max_steps=8, schedule=schedule, **ema))
    assert weights(two) == weights(one)
    assert weights(two, "best") == weights(one, "best")
    for tag in ("train/loss", "train/lr", "valid/nll", "valid/bleu"):
        assert curve(two, tag) == curve(one, tag) and len(curve(one, tag)) >= 4
    assert two.load_summary()["test"]["nll"] == one.load_summary()["test"]["nll"]


def test_a_cosine_that_has_ended_begins_anew_with_its_warmup(make: MakeConfig) -> None:
    config = make("cosine", schedule="cosine", lr=0.01, final_lr=0.1)
    measured = session.train(config).folder / "measurements" / "probe.json"
    measured.parent.mkdir()
    measured.touch()
    run = session.train(longer(config, max_steps=12, valid_every=4))
    rates = list(curve(run, "train/lr").values())
    assert len(rates) == 12
    assert rates[3] < rates[2] < rates[1] > rates[0], "the first leg"
    assert rates[3] < rates[4] < rates[5] > rates[6] > rates[11], "the second"
    assert rates[4] == pytest.approx(0.005)
    assert list(curve(run, "valid/bleu")) == [2, 4, 8, 12]
    assert list(curve(run, "test/bleu")) == [12]
    assert not measured.exists(), "it was of the weights of the first leg"
    assert run.load_fingerprint()["legs"] == [
        {"step": 4, "tokens": 0, "changed": ["trainer.max_steps: 4 -> 12", "trainer.valid_every: 2 -> 4"]}
        | {"tokens": run.load_fingerprint()["legs"][0]["tokens"]}
    ]
    assert run.load_config().trainer.max_steps == 12


def test_a_cosine_that_has_not_ended_goes_on_where_only_saving_changes(make: MakeConfig, monkeypatch: Any) -> None:
    one = session.train(make("one", schedule="cosine", max_steps=8))
    config = make("stopped", schedule="cosine", max_steps=8)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Trainer, "_log_training", dying_at(6))
        session.train(config)
    run = session.train(longer(config, save_every=3))
    assert curve(run, "train/lr") == curve(one, "train/lr") and weights(run) == weights(one)


@pytest.mark.slow
def test_validations_are_spread_over_the_leg_and_patience_begins_anew(make: MakeConfig) -> None:
    config = make("spread", valid_every=None, patience=1, lr=3.0)
    run = session.train(config)
    before = list(curve(run, "valid/bleu"))
    assert before[-1] < 4, "out of patience"
    run = session.train(longer(config, max_steps=42, patience=100))
    added = list(curve(run, "valid/bleu"))[len(before) :]
    assert len(added) == 20 and added[-1] == 42 and {b - a for a, b in pairwise(added)} <= {1, 2, 3}


def test_validations_go_on_where_their_interval_is_given_up(make: MakeConfig, monkeypatch: Any) -> None:
    config = make("interval", max_steps=30, valid_every=1)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Trainer, "_log_training", dying_at(25))
        session.train(config)
    run = session.train(longer(config, max_steps=30, valid_every=None))
    validated = list(curve(run, "valid/bleu"))
    assert 26 in validated and validated[-1] == 30


def test_the_average_is_of_the_weights_that_were_validated_since(make: MakeConfig) -> None:
    config = make("patient", max_steps=400, average=3, metric="nll", lr=1e-12, patience=3)
    first = session.train(config)
    assert (ended := first.load_summary()["steps"]) < 400, "out of patience"
    run = session.train(longer(config, max_steps=400, patience=4))
    assert (steps := run.load_summary()["steps"]) > ended and run.load_summary()["checkpoint"] == "averaged"
    assert read(run.checkpoint("averaged"))[1]["step"] == steps


@pytest.fixture(scope="module")
def expected(toy_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What comes of the killed run where nothing kills it."""
    made = toy_config("transformer", max_steps=4, valid_every=2, warmup_steps=2, schedule="cosine")
    whole = replace(made, outputs=str(tmp_path_factory.mktemp("whole")), name="whole")
    session.train(whole)
    return session.train(longer(whole, save_every=1))


@pytest.mark.parametrize(
    "moment",
    [
        "leg saved",
        pytest.param("summary gone", marks=pytest.mark.slow),
        "mid-leg",
        pytest.param("before the new summary", marks=pytest.mark.slow),
    ],
)
def test_a_kill_changes_nothing(make: MakeConfig, monkeypatch: Any, expected: Run, moment: str) -> None:
    config = make("killed", schedule="cosine")
    session.train(config)

    def die(*_: object) -> None:
        raise SystemExit(9)

    target: dict[str, tuple[Any, str, Any]] = {
        "leg saved": (session, "fingerprint", None),
        "summary gone": (Run, "save_config", die),
        "mid-leg": (Trainer, "_log_training", dying_at(6)),
        "before the new summary": (Run, "save_summary", die),
    }
    place, name, instead = target[moment]
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        if moment == "leg saved":
            begin = Trainer.begin_leg
            patched.setattr(Trainer, "begin_leg", lambda trainer: (begin(trainer), die()))
        else:
            patched.setattr(place, name, instead)
        session.train(longer(config, save_every=1))
    run = session.train(longer(config, save_every=1))
    assert weights(run) == weights(expected)
    assert curve(run, "train/lr") == curve(expected, "train/lr")
    assert [leg["step"] for leg in run.load_fingerprint()["legs"]] == [4]
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert len([line for line in lines if "test/bleu" in line]) == 1


def test_what_may_not_change_is_refused_and_the_run_stays(make: MakeConfig) -> None:
    config = make("kept")
    run = session.train(config)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"max_steps: 4 -> 8\): to train it longer, add extend=true"):
        session.train(replace(longer(config), extend=False))
    muon = replace(config.trainer.optimizer, name="muon")
    with pytest.raises(UserError, match=r"trainer.optimizer.name: adamw -> muon\): choose another name"):
        session.train(longer(config, optimizer=muon))
    with pytest.raises(UserError, match=r"seed: 1 -> 2; trainer.max_steps: 4 -> 8\): choose another name"):
        session.train(replace(longer(config), seed=2))
    with pytest.raises(UserError, match=r"has been trained for 4 updates.*give larger limits \(trainer.max_steps=3\)"):
        session.train(longer(config, max_steps=3))
    session.train(replace(config, extend=True))  # nothing is asked for
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    run.checkpoint("last").unlink()
    with pytest.raises(UserError, match=r"last.safetensors is gone.*init="):
        session.train(longer(config))


def test_an_unfinished_run_is_extended_too_and_goes_on_by_the_same_command(make: MakeConfig, monkeypatch: Any) -> None:
    config = make("unfinished", max_steps=6, save_every=1)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Trainer, "_log_training", dying_at(3))
        session.train(config)
    run = session.train(longer(config))
    assert list(curve(run, "train/lr")) == list(range(1, 9))
    assert session.train(longer(config)).finished


def test_the_weights_that_were_loaded_last_are_those_it_began_from() -> None:
    """A fine-tuning that was killed before its first checkpoint loads them again, and they may be others by then."""
    assert with_history(PRINTS | {"initial": "new"}, PRINTS | {"initial": "old"}, TrainState(), [])["initial"] == "new"  # type: ignore
    assert with_history({**PRINTS}, PRINTS | {"initial": "old"}, TrainState(), [])["initial"] == "old"  # type: ignore


def test_a_run_that_goes_on_by_other_code_or_versions_says_so() -> None:
    """Its scores are neither program's: a comparison must not take it for a run of the newer one."""
    now: Any = {"code": "new", "versions": {"torch": "2.13"}}
    stopped = TrainState(step=900, tokens=5)
    [leg] = with_history({**now}, PRINTS, stopped, [])["legs"]  # type: ignore
    assert leg == {"step": 900, "tokens": 5, "changed": ["code: old -> new", "torch: 2.12 -> 2.13"]}
    extended = {**PRINTS, "legs": [{"step": 900, "tokens": 5, "changed": ["trainer.max_steps: 900 -> 2000"]}]}
    [leg] = with_history({**now}, extended, stopped, [])["legs"]  # killed before an update of the further leg
    assert leg["changed"] == ["trainer.max_steps: 900 -> 2000", "code: old -> new", "torch: 2.12 -> 2.13"]
    assert "legs" not in with_history(
        {**PRINTS}, {**now, "legs": [{**leg, "changed": leg["changed"][1:]}]}, stopped, []
    )
    assert "legs" not in with_history({**now}, PRINTS, TrainState(), [])  # type: ignore  # it has made no update yet
    assert "legs" not in with_history({**PRINTS}, PRINTS, stopped, [])  # type: ignore
