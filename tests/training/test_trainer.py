"""The loop: it learns, it repeats itself to the bit, it goes on where it stopped, and it ends where it should."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seq2seq.config.schema import (
    AttentionDecoderConfig,
    Config,
    DataConfig,
    DecodeConfig,
    FixedContextDecoderConfig,
    ModelConfig,
    RecurrentEncoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import evaluate
from seq2seq.runs import checkpoint
from seq2seq.system import devices
from seq2seq.terminal.progress import Display
from seq2seq.training import validation
from seq2seq.training.logging import RunLog
from seq2seq.training.progress import RunningMetrics, TrainState
from seq2seq.training.trainer import Stopped, Trainer

MakeConfig = Callable[..., Config]
Start = Callable[[Config, Path], Trainer]

READER = RecurrentEncoderConfig(width=32)
SELF = TransformerEncoderConfig(width=32, heads=2, layers=1, feed_forward=64)
CROSS = TransformerDecoderConfig(width=32, heads=2, layers=1, feed_forward=64)
FIXED = FixedContextDecoderConfig(width=48, context_width=48)
ATTENTION = AttentionDecoderConfig(width=48, attention_width=32)
MODELS = {
    "lstm": (READER, FIXED),
    "lstm-initial": (READER, replace(FIXED, context="initial")),
    "bahdanau": (READER, ATTENTION),
    "transformer": (SELF, CROSS),
    "hybrid": (SELF, ATTENTION),
}


def metrics(folder: Path) -> list[dict[str, Any]]:
    """What was logged, the figures that hang on the clock aside."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in ("train/tokens_per_s", "train/seconds")}
        for line in lines
    ]


def tensors(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"{name}.safetensors")


def state(folder: Path, name: str = "last") -> dict[str, Any]:
    """The plain state, what hangs on the clock aside."""
    _, plain = checkpoint.read(folder / "checkpoints" / f"{name}.safetensors")
    return json.loads(json.dumps(plain), object_hook=lambda o: {k: v for k, v in o.items() if k != "seconds"})


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        ours, theirs = tensors(one, name), tensors(other, name)
        assert ours.keys() == theirs.keys()
        assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
        assert state(one, name) == state(other, name)
    assert metrics(one) == metrics(other)


def stop_after(trainer: Trainer, updates: int) -> None:
    """Ask for a stop in the middle of update number ``updates``, as a signal would."""
    update = trainer._update

    def counted(batches: list[Any]) -> None:
        update(batches)
        if trainer.state.step == updates:
            trainer.stop.asked = True

    trainer._update = counted  # type: ignore[method-assign]


def train_with_stops(start: Start, config: Config, folder: Path, stops: list[int]) -> Trainer:
    for updates in stops:
        stopped = start(config, folder)
        stop_after(stopped, updates)
        with pytest.raises(Stopped):
            stopped.train()
        assert stopped.state.step == updates
    last = start(config, folder)
    last.train()
    return last


# ------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("lstm-initial", "hybrid"))) for name in MODELS]
)
def test_ten_sentences_are_learned_by_heart(
    name: str, ten: DataConfig, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    encoder, decoder = MODELS[name]
    options = {"batch_tokens": 512, "max_steps": 120, "valid_every": 120, "lr": 0.01, "warmup_steps": 10}
    config = toy_config(data=ten, schedule="constant", **options)
    config.model = ModelConfig(name=name, embedding=32, encoder=encoder, decoder=decoder)
    learner = start(config, tmp_path)
    learner.train()
    assert metrics(tmp_path)[-2]["train/loss"] < 0.05
    split = learner.corpus.splits["train"]
    src, references = ((Path(path).read_text().splitlines()) for path in (ten.train.src or "", ten.train.tgt or ""))
    found = evaluate(learner.translator, src, references, "de", DecodeConfig())
    assert len(split) == 10
    assert [best[0].text for best in found.translations] == references
    assert found.scores["bleu"] == pytest.approx(100)


# ------------------------------------------------------------------------------------------------ the same bits


def awkward(toy_config: MakeConfig, toy_data: DataConfig, model: str, sampling: float = 0.0, **options: Any) -> Config:
    """Everything that a resume could forget: dropout, accumulation, sampled pieces, a plateau, patience, averages."""
    data = replace(toy_data, subwords=replace(toy_data.subwords, sampling=sampling))
    kept = {"accumulate": 2, "max_steps": 11, "valid_every": 4, "save_every": 3, "log_every": 3, "average": 2}
    kept["ema"] = 0.5
    rate = {"lr": 0.02, "warmup_steps": 2, "schedule": "plateau", "plateau_patience": 1, "patience": 50}
    config = toy_config(model, data, **{**kept, **rate, **options})
    config.model = replace(config.model, dropout=0.2)
    return config


@pytest.mark.parametrize(
    ("model", "sampling", "optimizer"),
    [("bahdanau", 0.0, "adamw"), ("transformer", 0.2, "adamw"), ("lstm", 0.0, "muon")],
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    model: str,
    sampling: float,
    optimizer: str,
    toy_config: MakeConfig,
    toy_data: DataConfig,
    start: Start,
    tmp_path: Path,
) -> None:
    config = awkward(toy_config, toy_data, model, sampling)
    config.trainer.optimizer.name = optimizer
    straight = start(config, tmp_path / "straight")
    assert len(straight.batches.shard(0)) > 2 * 2, "step 2 must lie inside the first epoch"
    straight.train()
    train_with_stops(start, config, tmp_path / "stopped", [2, 7])
    assert straight.batches.shard_number > 0
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    for step in straight.state.recent:
        ours, theirs = (tensors(tmp_path / name, f"recent-{step}") for name in ("straight", "stopped"))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("phase", ["forced", "translate"])
def test_a_stop_inside_a_validation_repeats_the_validation(
    phase: str, toy_config: MakeConfig, toy_data: DataConfig, start: Start, tmp_path: Path, monkeypatch: Any
) -> None:
    config = awkward(toy_config, toy_data, "lstm")
    start(config, tmp_path / "straight").train()
    stopped = start(config, tmp_path / "stopped")
    real, calls = validation.evaluate_together, 0

    def interrupted(*arguments: Any, done: Callable[[int], None], **options: Any) -> Any:
        def told(count: int) -> None:
            nonlocal calls
            calls += 1
            stopped.stop.asked = calls == {"forced": 1, "translate": 2}[phase]
            done(count)

        return real(*arguments, done=told, **options)

    monkeypatch.setattr(validation, "evaluate_together", interrupted)
    with pytest.raises(Stopped):
        stopped.train()
    assert stopped.state.step == 4
    assert stopped.state.validations == 0
    monkeypatch.setattr(validation, "evaluate_together", real)
    start(config, tmp_path / "stopped").train()
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_a_resume_keeps_the_plateau_and_the_patience(
    toy_config: MakeConfig, toy_data: DataConfig, start: Start, tmp_path: Path
) -> None:
    """A rate of nearly nothing improves neither BLEU nor NLL: the counters alone decide where both runs end."""
    config = awkward(toy_config, toy_data, "lstm", lr=1e-12, valid_every=1, patience=4, metric="bleu", max_steps=50)
    straight = start(config, tmp_path / "straight")
    straight.train()
    stopped = train_with_stops(start, config, tmp_path / "stopped", [2, 3])
    assert straight.state.step == stopped.state.step == 5  # the first validation is the best, four more wait
    assert straight.state.plateau == stopped.state.plateau
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_from_the_cpu_goes_on_where_gradients_are_scaled(
    optimizer: str, toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the same config scales them; the CPU's checkpoint says nothing of a scale. A step is one as before."""
    config = toy_config(max_steps=2, valid_every=4, name=optimizer)
    start(config, tmp_path).train()
    real = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: real(device, enabled=True))
    config.trainer.max_steps = 4
    scaled = start(config, tmp_path)
    assert scaled.state.step == 2 and scaled.updater.scaler.is_enabled()
    scaled.train()
    assert scaled.state.step == 4 and scaled.state.skipped == 0
    plain = toy_config(max_steps=4, valid_every=4, name=optimizer)
    monkeypatch.undo()
    straight = start(plain, tmp_path / "straight")
    straight.train()
    for one, other in zip(straight.model.parameters(), scaled.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_lengths_are_padded_for_recurring_shapes_but_in_float32(
    toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: True)
    padded = {name: start(toy_config(precision=name), tmp_path).batches.multiple for name in ("fp32", "bf16", "auto")}
    assert padded == {"fp32": 1, "bf16": 4, "auto": 4}


@pytest.mark.parametrize(("first", "then"), [("fp32", "bf16"), ("bf16", "fp32")])
def test_a_run_that_goes_on_in_another_precision_keeps_its_batches(
    first: str, then: str, toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with precision=auto on another machine. Else a place in the one plan would be another's in the other."""
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: True)
    begun = start(toy_config(precision=first), tmp_path)
    next(begun.batches)
    begun._save()
    resumed = start(toy_config(precision=then), tmp_path)
    assert resumed.batches.state() == begun.batches.state()
    plans = [learner.batches.shard(0) for learner in (begun, resumed)]
    assert [rows.tolist() for rows in plans[0]] == [rows.tolist() for rows in plans[1]]
    for one, other in zip(*(next(learner.batches)[:3] for learner in (begun, resumed)), strict=True):
        assert torch.equal(one, other)


def test_a_run_from_before_lengths_could_be_exact_keeps_its_fours(
    toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(toy_config(max_steps=1), tmp_path).train()
    load = checkpoint.load_training

    def older(*given: Any) -> dict[str, Any]:
        state = load(*given)
        place = state.pop("data")
        del place["multiple"]
        state["position"] |= place  # the counters held the place in the data then
        return state

    monkeypatch.setattr(checkpoint, "load_training", older)
    again = start(toy_config(), tmp_path)
    assert again.batches.state() == {"part": 0, "batch": 1, "multiple": 4} and again.state.step == 1


def test_one_seed_repeats_itself_and_another_does_not(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    config = toy_config(max_steps=3, valid_every=3)
    config.model = replace(config.model, dropout=0.1)
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        start(replace(config, seed=seed), tmp_path / name).train()
    assert_same_run(tmp_path / "one", tmp_path / "again")
    assert not torch.equal(*(tensors(tmp_path / name)["model/encoder.embedding.weight"] for name in ("one", "other")))


def test_the_seed_decides_the_initial_weights(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    config = toy_config(max_steps=1)
    vectors = [
        nn.utils.parameters_to_vector(start(replace(config, seed=seed), tmp_path / str(n)).model.parameters())
        for n, seed in enumerate((1, 1, 2))
    ]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])


# ------------------------------------------------------------------------------------------------------ one update


def vector(learner: Trainer) -> torch.Tensor:
    return nn.utils.parameters_to_vector(learner.model.parameters()).detach().clone()


@pytest.mark.parametrize("model", ["lstm", "bahdanau", "transformer"])
def test_two_half_batches_make_the_update_of_one(
    model: str, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    config = toy_config(model, max_steps=10, batch_tokens=256, eps=1e-3, warmup_steps=0)
    whole, halves = (start(config, tmp_path / name) for name in ("whole", "halves"))
    rows = max(whole.batches.planned, key=len)
    half = len(rows) // 3  # of different numbers of tokens, so that a mean of means would show
    for learner, parts in ((whole, [rows]), (halves, [rows[:half], rows[half:]])):
        batches = [learner.batches.load(part, 0, 0) for part in parts]
        learner.updater.update(batches, config.trainer.optimizer.lr, learner.state, learner.metrics)
    assert halves.state.tokens == whole.state.tokens
    torch.testing.assert_close(vector(halves), vector(whole), rtol=0, atol=1e-6)


def test_the_gradient_is_clipped_to_its_bound(
    toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: Any
) -> None:
    norms = {}
    for bound in (0.01, 0.0):
        learner = start(toy_config(max_steps=10, clip_norm=bound), tmp_path)
        step = learner.updater.optimizer.step

        def seen(bound: float = bound, learner: Trainer = learner, step: Any = step) -> None:
            norms[bound] = nn.utils.get_total_norm([p.grad for p in learner.model.parameters() if p.grad is not None])
            step()

        monkeypatch.setattr(learner.updater.optimizer, "step", seen)
        learner._update(learner._next_batches())
        norms[f"logged {bound}"] = learner.metrics.norm
    assert norms[0.01] == pytest.approx(0.01, rel=1e-3)
    assert norms[0.0] == pytest.approx(float(norms["logged 0.0"]), rel=1e-5)
    assert norms["logged 0.01"] == norms["logged 0.0"]  # what is logged is the norm before clipping


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_update_without_a_finite_gradient_changes_no_weight(
    optimizer: str, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=10, max_skipped=3, name=optimizer), tmp_path)
    learner._update(learner._next_batches())
    before = vector(learner)
    bias = learner.model.output.bias
    hook = bias.register_hook(lambda grad: grad * math.nan)
    learner._update(learner._next_batches())
    assert torch.equal(vector(learner), before)
    assert learner.state.skipped == 1 and learner.metrics.skipped == 1
    assert math.isfinite(learner.metrics.norm), "one update that was skipped leaves the curve's other norms"
    hook.remove()
    learner._update(learner._next_batches())
    assert not torch.equal(vector(learner), before)
    assert learner.state.skipped == 0


def test_the_norm_of_a_point_is_the_mean_over_updates_that_were_made(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=6, log_every=3, valid_every=50), tmp_path)
    learner.metrics = RunningMetrics(norm=4.0, tokens=1, positions=1, updates=3, seconds=1.0, skipped=1)
    learner.log = RunLog(learner.run, 0, learner.config)
    learner.display = Display()
    learner._log_training()
    learner.metrics = RunningMetrics(norm=0.0, tokens=1, positions=1, updates=2, seconds=1.0, skipped=2)
    learner._log_training()
    learner.log.close()
    assert [line["train/grad_norm"] for line in metrics(tmp_path)] == [2.0, None]


def test_many_skipped_updates_in_a_row_end_the_training(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    learner = start(toy_config(max_steps=50, max_skipped=3, valid_every=50), tmp_path)
    learner.model.output.bias.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(UserError, match=r"not finite in 3 updates.*trainer\.optimizer\.lr") as caught:
        learner.train()
    assert "\n" not in str(caught.value)
    assert learner.state.skipped == 3


def test_smoothing_changes_the_loss_and_not_what_is_called_nll(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    """Before the first update both runs have the same weights, so one window compares what is reported."""
    windows = {}
    for smoothing in (0.0, 0.2):
        learner = start(toy_config(max_steps=10, label_smoothing=smoothing), tmp_path)
        learner._update(learner._next_batches())
        windows[smoothing] = learner.metrics
    assert windows[0.0].nll == windows[0.2].nll == windows[0.0].loss
    assert windows[0.2].loss != windows[0.2].nll


# ---------------------------------------------------------------------------------------------------------- limits


def test_the_rate_of_a_training_does_not_depend_on_what_limits_it(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    """Eight updates are one pass: the cosine reaches its end after the last of them, not with it."""
    rates: dict[str, list[float]] = {}
    for limit, value in (("max_steps", 8), ("max_epochs", 1)):
        options = {limit: value, "schedule": "cosine", "final_lr": 0.0, "warmup_steps": 0}
        learner = start(toy_config(**options, valid_every=1_000), tmp_path / limit)
        assert len(learner.batches.shard(0)) == 8
        update = learner.updater.update

        def watched(batches: Any, rate: float, *rest: Any, update: Any = update, limit: str = limit) -> None:
            rates.setdefault(limit, []).append(rate)
            update(batches, rate, *rest)

        learner.updater.update = watched  # type: ignore[method-assign]
        learner.train()
    assert rates["max_epochs"] == pytest.approx(rates["max_steps"])
    assert min(rates["max_steps"]) > 0


@pytest.mark.parametrize(
    ("limit", "value", "reached"),
    [
        ("max_steps", 3, lambda at, epoch: at.step == 3),
        ("max_epochs", 1, lambda at, epoch: at.step == epoch),
        ("max_tokens", 300, lambda at, epoch: at.tokens >= 300 > at.tokens - 128),
        ("max_hours", 1e-9, lambda at, epoch: at.step == 1),
    ],
)
def test_training_ends_at_each_limit(
    limit: str,
    value: float,
    reached: Callable[[Any, int], bool],
    toy_config: MakeConfig,
    start: Start,
    tmp_path: Path,
) -> None:
    learner = start(toy_config(**{limit: value}, valid_every=1_000), tmp_path)
    learner.train()
    assert reached(learner.state, len(learner.batches.shard(0))), learner.state
    assert learner.state.validated == learner.state.step, "the last weights are validated"
    assert learner.run.checkpoint("best").exists()


def test_the_first_limit_that_is_reached_ends_the_training(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=2, max_epochs=50, max_tokens=10**6, valid_every=1_000), tmp_path)
    learner.train()
    assert learner.state.step == 2


def test_patience_ends_a_training_that_no_longer_gets_better(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=40, valid_every=1, patience=2, lr=1e-9, metric="bleu"), tmp_path)
    learner.train()
    assert learner.state.step == 3
    assert learner.state.best_step == 1


def test_a_first_validation_that_is_no_number_is_not_the_best_for_ever(
    toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = start(toy_config(max_steps=3, valid_every=1, metric="nll"), tmp_path)
    keep = learner.validation._keep_if_best
    values = iter([math.nan, 3.0, 4.0])
    monkeypatch.setattr(learner.validation, "_keep_if_best", lambda _, nll, state: keep(next(values), nll, state))
    learner.train()
    assert (learner.state.best, learner.state.best_step) == (3.0, 2)


SCORES = [(0.0, 5.0), (0.0, 4.0), (2.0, 9.0), (2.0, 8.0), (2.0, 8.5), (1.0, 3.0)]
"""BLEU and NLL of successive validations."""


def scored(learner: Trainer, scores: list[tuple[float, float]]) -> None:
    """Give the learner's validations made-up scores."""
    keep, left = learner.validation._keep_if_best, iter(scores)
    learner.validation._keep_if_best = lambda *_: keep(*next(left), learner.state)  # type: ignore[method-assign]


def test_of_equal_scores_the_likelier_weights_are_the_best(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    best = []
    for steps in range(1, 7):
        learner = start(toy_config(max_steps=steps, valid_every=1), tmp_path / str(steps))
        scored(learner, SCORES)
        learner.train()
        best.append(learner.state.best_step)
        assert state(tmp_path / str(steps), "best")["step"] == learner.state.best_step
    assert best == [1, 2, 3, 4, 4, 4]


def test_patience_waits_while_equal_scores_get_likelier(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    learner = start(toy_config(max_steps=40, valid_every=1, patience=2), tmp_path)
    scored(learner, [(0.0, nll) for nll in (5.0, 4.0, 3.0, 2.0, 2.0, 2.5)])
    learner.train()
    assert (learner.state.step, learner.state.best_step) == (6, 4)


def test_ties_are_broken_the_same_after_a_stop_and_from_an_older_checkpoint(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=2, valid_every=1), tmp_path)
    scored(learner, [(0.0, 4.0), (0.0, 3.0)])
    learner.train()
    plain = asdict(learner.state)
    assert start(toy_config(max_steps=4, valid_every=1), tmp_path).state.best_nll == 3.0
    older = TrainState.restore({key: plain[key] for key in plain if key not in ("best_nll", "warned", "pictured")})
    start(toy_config(max_steps=4, valid_every=1), tmp_path).validation._keep_if_best(0.0, 9.0, older)
    assert (older.best_nll, older.waited) == (9.0, 0), "how likely the older best was is not known"


def test_a_metric_that_stays_at_zero_is_said_once(
    toy_config: MakeConfig, start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = start(toy_config(max_steps=40), tmp_path)  # twenty validations
    scored(learner, [(0.0, 5.0)] * 20)
    learner.train()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: BLEU is 0")]
    assert "step 4:" in line
    assert "data.tgt is not given" in line
    again = start(toy_config(max_steps=60), tmp_path)
    scored(again, [(0.0, 5.0)] * 20)
    again.train()
    assert "warning: BLEU" not in capsys.readouterr().err


def test_validations_are_spread_over_the_whole_training(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    learner = start(toy_config("lstm", max_steps=40), tmp_path)
    learner.train()
    steps = [line["step"] for line in metrics(tmp_path) if "valid/nll" in line]
    assert steps == list(range(2, 41, 2))


@pytest.mark.parametrize(("metric", "pick"), [("nll", min), ("chrf", max)])
def test_the_best_checkpoint_is_that_of_the_best_validation(
    metric: str, pick: Callable[..., Any], toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=8, valid_every=1, lr=0.05, warmup_steps=0, metric=metric), tmp_path)
    learner.train()
    values = {line["step"]: line[f"valid/{metric}"] for line in metrics(tmp_path) if f"valid/{metric}" in line}
    assert len(values) == 8
    assert learner.state.best == pick(values.values())
    assert values[learner.state.best_step] == learner.state.best
    assert state(tmp_path, "best")["step"] == learner.state.best_step


def test_only_the_last_k_validations_are_kept_for_averaging(
    toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    learner = start(toy_config(max_steps=5, valid_every=1, average=3, lr=0.01), tmp_path)
    learner.train()
    assert learner.state.recent == [3, 4, 5]
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("recent-*"))
    assert kept == [f"recent-{step}.safetensors" for step in (3, 4, 5)]
    mean = checkpoint.average([learner.run.checkpoint(f"recent-{step}") for step in learner.state.recent])
    parts = [tensors(tmp_path, f"recent-{step}") for step in (3, 4, 5)]
    for name, tensor in mean.items():
        by_hand = (parts[0][f"model/{name}"] + parts[1][f"model/{name}"] + parts[2][f"model/{name}"]) / 3
        torch.testing.assert_close(tensor, by_hand, rtol=1e-5, atol=1e-7)
        assert tensor.dtype == torch.float32


def test_the_moving_average_is_what_is_validated_and_kept(
    toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = start(toy_config(max_steps=6, valid_every=3, ema=0.3, lr=0.05, warmup_steps=0, average=2), tmp_path)
    mean, means, update, real = vector(learner).double(), {}, learner._update, validation.evaluate_together

    def followed(batches: list[Any]) -> None:
        nonlocal mean
        decay = min(0.3, (1 + learner.state.step) / (10 + learner.state.step))
        update(batches)
        means[learner.state.step] = mean = decay * mean + (1 - decay) * vector(learner).double()

    def watched(translator: Any, *arguments: Any, **options: Any) -> Any:
        (evaluated,) = translator.models
        weights = nn.utils.parameters_to_vector(evaluated.parameters())
        torch.testing.assert_close(weights.double(), means[learner.state.step], rtol=1e-4, atol=1e-6)
        return real(translator, *arguments, **options)

    learner._update = followed  # type: ignore[method-assign]
    monkeypatch.setattr(validation, "evaluate_together", watched)
    learner.train()
    assert learner.state.validations == 2
    order = checkpoint.weights_of(learner.model)
    for name, step in (("best", learner.state.best_step), ("recent-3", 3), ("recent-6", 6)):
        kept = torch.cat([tensors(tmp_path, name)[f"model/{key}"].flatten() for key in order])
        torch.testing.assert_close(kept.double(), means[step], rtol=1e-4, atol=1e-6)
    last = torch.cat([tensors(tmp_path)[f"model/{key}"].flatten() for key in order])
    assert torch.equal(last, vector(learner)), "training goes on from its own weights"


def test_a_moving_average_changes_nothing_in_training(toy_config: MakeConfig, start: Start, tmp_path: Path) -> None:
    learners = [start(toy_config(max_steps=4, valid_every=2, ema=ema), tmp_path / str(ema)) for ema in (0.0, 0.9)]
    for learner in learners:
        learner.train()
    assert torch.equal(*map(vector, learners))


def test_a_run_begun_by_another_version_is_refused_in_a_line(
    toy_config: MakeConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config("lstm", max_steps=1)
    start(config, tmp_path).train()
    load = checkpoint.load_training

    def older(*given: Any) -> dict[str, Any]:
        state = load(*given)
        state["position"]["epochs"] = state["position"].pop("step")
        return state

    monkeypatch.setattr(checkpoint, "load_training", older)
    with pytest.raises(UserError, match=r"last.* was saved by another version.*overwrite=true"):
        start(config, tmp_path)
    monkeypatch.setattr(
        checkpoint, "load_training", lambda *given: {k: v for k, v in load(*given).items() if k != "scaler"}
    )
    with pytest.raises(UserError, match=r"another version of this program \('scaler' is missing\)"):
        start(config, tmp_path)
