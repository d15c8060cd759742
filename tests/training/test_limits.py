"""Limits that follow the corpus, warm-ups that fit into the training, and what is said about both."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config, OptimizerConfig, TrainerConfig
from seq2seq.data.encoded import Split
from seq2seq.data.ragged import RaggedArray, RaggedWriter
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.training import session
from seq2seq.training.limits import Pace, Size, choose_limits, notices, updates_of
from seq2seq.training.progress import TrainState
from seq2seq.training.trainer import Trainer

OWN = TrainerConfig(batch_tokens=4_000, optimizer=OptimizerConfig(schedule="cosine"))
SMALL = Size(tokens=45_000, updates=15.0)  # 3,000 pairs


@pytest.mark.parametrize(
    ("size", "tokens", "warmup"),
    [
        (SMALL, 1_500_000, 50),  # 500 updates
        (Size(400_000, 110.0), 9_600_000, 264),  # 24 passes
        (Size(20_000_000, 5_500.0), 100_000_000, 2_750),  # 5 passes
        (Size(300, 1.0), 150_000, 50),  # 500 updates, too
    ],
)
def test_the_budget_follows_the_corpus(size: Size, tokens: int, warmup: int) -> None:
    chosen = choose_limits(OWN, size)
    assert (chosen.max_tokens, chosen.optimizer.warmup_steps) == (tokens, warmup)
    assert choose_limits(chosen, Size(1, 1.0)) == chosen, "what was chosen stays"


def test_a_limit_and_a_warmup_of_the_users_stay() -> None:
    given = replace(OWN, max_steps=100, optimizer=OptimizerConfig(warmup_steps=30))
    assert choose_limits(given, SMALL) == given
    assert choose_limits(replace(OWN, max_epochs=20), SMALL).optimizer.warmup_steps == 30
    hours = replace(OWN, max_hours=1.0)
    assert choose_limits(hours, SMALL).max_tokens == 1_500_000, "a cosine must have an end"
    constant = choose_limits(replace(hours, optimizer=OptimizerConfig(schedule="constant")), SMALL)
    assert (constant.max_tokens, constant.optimizer.warmup_steps) == (None, 400)


def test_updates_are_those_of_the_first_limit() -> None:
    assert updates_of(replace(OWN, max_steps=100, max_epochs=2, max_tokens=10**9), SMALL) == 30
    assert updates_of(replace(OWN, max_tokens=90_000, max_steps=100), SMALL) == 30
    assert updates_of(replace(OWN, max_hours=1.0), SMALL) is None


def test_epochs_of_a_stream_are_not_those_of_its_first_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    given = compose(["experiment=text/lstm", "data.source=hub", "data.hub.repo=owner/name", "data.hub.streaming=true"])
    given.trainer = replace(given.trainer, max_steps=100_000, max_epochs=1)
    side = RaggedArray.of(np.full(50, 20, np.uint32), np.zeros(1_000, np.uint16))
    corpus: Any = SimpleNamespace(splits={"train": Split(side, side, None)})
    assert session._with_limits(given, corpus, False).trainer.optimizer.warmup_steps == 10_000
    given.trainer.optimizer = replace(given.trainer.optimizer, warmup_steps=4_000)
    capsys.readouterr()
    session._with_limits(given, corpus, False)
    assert capsys.readouterr().err == ""
    hours = replace(OWN, max_epochs=1, max_hours=1.0)
    chosen = choose_limits(hours, replace(SMALL, whole=False))
    assert (chosen.max_tokens, chosen.optimizer.warmup_steps) == (None, 400)


@pytest.mark.parametrize(("steps", "warned"), [(100, True), (800, True), (801, False)])
def test_a_training_that_ends_inside_its_warmup_is_warned(steps: int, warned: bool) -> None:
    given = replace(OWN, max_steps=steps, optimizer=OptimizerConfig(warmup_steps=800))
    said = list(notices(given, given, SMALL))
    assert [f"trainer.optimizer.warmup_steps={steps // 10}," in line for line in said] == [True] * warned


@pytest.mark.parametrize("model", ["lstm", "bahdanau", "transformer"])
def test_own_text_has_no_budget_of_its_own_before_it_is_read(model: str) -> None:
    trainer = compose([f"experiment=text/{model}", "data.train.src=a", "data.train.tgt=b"]).trainer
    assert trainer.needs_budget
    assert trainer.optimizer.warmup_steps is None
    limited = compose([f"experiment=text/{model}", "data.train.src=a", "data.train.tgt=b", "trainer.max_steps=9"])
    assert not limited.trainer.needs_budget


@pytest.fixture
def unlimited(toy_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A config without limits on the toy corpus, for which few updates are enough."""
    monkeypatch.setattr("seq2seq.training.limits.LEAST_UPDATES", 2)
    monkeypatch.setattr("seq2seq.training.limits.PASSES", 1)
    config = toy_config("lstm", warmup_steps=None, schedule="cosine")
    return replace(config, outputs=str(tmp_path), decode=replace(config.decode, beam=1))


def test_what_is_chosen_is_said_and_saved_and_the_same_after_a_stop(
    unlimited: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(trainer: Trainer) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Trainer, "train", killed)
        session.train(unlimited)
    said = capsys.readouterr().err
    (tokens,), (warmup,) = re.findall(r"max_tokens=(\d+)", said), re.findall(r"warmup_steps=(\d+)", said)
    monkeypatch.setattr("seq2seq.training.limits.PASSES", 50)  # as another version might choose
    run = session.train(unlimited)
    saved = run.load_config().trainer
    assert (saved.max_tokens, saved.optimizer.warmup_steps) == (int(tokens), int(warmup))
    assert run.load_summary()["tokens"] < 2 * int(tokens)
    assert "no limit given" not in capsys.readouterr().err
    session.train(unlimited)  # finished: it is only reported
    with pytest.raises(UserError, match="max_tokens"):
        session.train(replace(unlimited, trainer=replace(unlimited.trainer, max_tokens=5)))


def test_a_run_that_was_begun_with_a_fixed_budget_goes_on_with_it(unlimited: Config, tmp_path: Path) -> None:
    from seq2seq.runs.run import differences, with_choices_of

    older = replace(unlimited, trainer=replace(unlimited.trainer, max_tokens=25_000_000))
    older.trainer.optimizer = replace(older.trainer.optimizer, warmup_steps=800)
    Run(tmp_path / "older").save_config(older)
    saved = Run(tmp_path / "older").load_config()
    assert differences(saved, unlimited) == []
    assert with_choices_of(saved, unlimited).trainer == saved.trainer


def test_the_time_to_go_is_said_once_from_what_was_measured() -> None:
    pace, said = Pace(100), []
    for n in range(1, 200):  # the first five updates take ten times as long
        line = pace.line(TrainState(step=100 + n, seconds=10.0 * min(n, 5) + max(n - 5, 0)), n / 1_000)
        said += [line] if line else []
    (line,) = said
    assert line.startswith("about 16 min 15 s ")  # 975 updates of a second
    assert "20 updates" in line
    assert len(line) <= 80


@pytest.mark.parametrize("weights", [(), (1.0, 2.5, 0.3)])
def test_sums_in_pieces_are_the_sums(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: tuple[float, ...]
) -> None:
    sides = []
    for name, step in (("src", 7), ("tgt", 5)):
        writer = RaggedWriter(tmp_path, name, "uint16")
        writer.extend([[1] * (1 + n * step % 11) for n in range(60)])
        writer.close()
        sides.append(RaggedArray(tmp_path, name, "uint16"))
    split = Split(sides[0], sides[1], None, (10, 27, 23) if weights else ())
    lengths = [np.array([len(side[row]) for row in range(60)]) for side in sides]
    times = np.repeat(weights, split.files) if weights else np.ones(1)
    wanted = ((np.maximum(*lengths) * times).sum(), (lengths[1] * times).sum())
    for pieces in (8, 1_000):
        monkeypatch.setattr(session, "SUMMED", pieces)
        assert session._sums(split, weights) == pytest.approx(wanted, rel=1e-12)


def test_a_stream_needs_a_limit(tmp_path: Path) -> None:
    config = compose(["experiment=text/lstm", "data.source=hub", "data.hub.repo=owner/name", f"outputs={tmp_path}"])
    config.data.hub.streaming = True
    config.trainer.max_tokens = config.trainer.max_steps = config.trainer.max_epochs = config.trainer.max_hours = None
    with pytest.raises(UserError, match="a stream has no size to choose a limit by"):
        session.train(config)
    config.trainer.max_epochs = 1  # no part of a pass could be told, so no learning rate and no validation
    with pytest.raises(
        UserError, match=r"a stream cannot tell how much of trainer.max_epochs is done: give trainer.max_steps"
    ):
        session.train(config)


def test_a_weighted_epoch_of_less_than_a_token_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_sums", lambda *given: (0.3, 0.2))
    config = compose(["experiment=text/lstm", "data.train.src=a", "data.train.tgt=b"])
    chosen = session._with_limits(config, SimpleNamespace(splits={"train": None}), True).trainer  # type: ignore[arg-type]
    assert chosen.max_tokens and chosen.optimizer.warmup_steps
