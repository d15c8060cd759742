"""The training loop. It reads in the order in which training happens, and asks no model what it is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch

from seq2seq.config.schema import Config
from seq2seq.data.batches import MULTIPLE, Batch, multiple_for
from seq2seq.data.encoded import Corpus
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import USUAL
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run
from seq2seq.system.devices import choose_precision, gpu_load
from seq2seq.system.processes import ALONE, Group
from seq2seq.system.signals import stop_flag
from seq2seq.system.typed_json import mismatch
from seq2seq.terminal.progress import Display
from seq2seq.training import following
from seq2seq.training.limits import Pace
from seq2seq.training.logging import RunLog
from seq2seq.training.optimizer import learning_rate
from seq2seq.training.progress import RunningMetrics, TrainState, progress, schedule_progress
from seq2seq.training.update import Updater, guided_map_of
from seq2seq.training.validation import Validation, validation_due

PLACE = {"part": 0, "batch": 0, "multiple": MULTIPLE}
"""The batch stream's state as older checkpoints kept it, among the counters; the oldest had no multiple."""


class Stopped(Exception):
    """Training was asked to stop and has saved its state."""


class Trainer:
    """Trains one model on one corpus into one run folder, and goes on where the folder's last checkpoint stands."""

    def __init__(
        self, config: Config, corpus: Corpus, model: Seq2Seq, run: Run, device: torch.device, group: Group = ALONE
    ) -> None:
        self.config, self.options, self.corpus = config, config.trainer, corpus
        self.run, self.device = run, device
        precision = choose_precision(self.options.precision, device)
        self.updater, self.group = Updater(model, self.options, device, precision, guided_map_of(config)), group
        self.state, self.metrics = TrainState(), RunningMetrics()
        place = self._restore() if run.checkpoint("last").exists() else None
        self.batches = following.stream(config, corpus, multiple_for(device, precision), place)
        if group.world > 1:
            following.gather_team(group, config, corpus, self.updater, self.state, self.batches)
        self.model, self.eval_model = model, self.updater.eval_model
        self.translator = Translator([self.eval_model], corpus.subwords, device, self.updater.autocast, group)
        self.validation = Validation(config, run, corpus.splits["valid"], self.translator)

    def train(self) -> None:
        """Train until a limit is reached.

        Raises:
            Stopped: a signal came; the state is saved.
            UserError: the gradient was not finite in too many updates in a row.
        """
        self.log = RunLog(self.run, self.state.step, self.config)
        self.model.train()
        with Display() as self.display, stop_flag() as self.stop:
            self.display.doing("training")
            pace = Pace(self.state.step)
            try:
                if self._validation_due():  # a stop fell into the validation
                    self._validate()
                while self._progress() < 1 and not self._out_of_patience():
                    self._update(self._next_batches())
                    if line := pace.line(self.state, self._progress()):
                        self.display.say(line)
                    if self.state.step % self.options.log_every == 0:
                        self._log_training()
                    if self._validation_due():
                        self._validate()
                    elif self.state.step % self.options.save_every == 0:
                        self._save()
                    self._stop_if_asked()
                self._save()
            finally:
                self.log.close()

    def _next_batches(self) -> list[Batch]:
        """The batches of the next update, whose rate is that of the progress before: once taken, they count as seen."""
        state = self.state
        done = schedule_progress(state, self.options, self.batches.epoch)
        self.rate = learning_rate(self.options.optimizer, state.step, done, state.plateau, state.leg.step)
        with self._timed():
            return self.batches.take(self.options.accumulate, self.group)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count the time of the block as training."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.state.seconds += seconds
        self.metrics.seconds += seconds

    def _update(self, batches: list[Batch]) -> None:
        """One update, at the rate of this step."""
        with self._timed():
            self.group.tell("update", rate=self.rate)
            self.updater.update(batches, self.rate, self.state, self.metrics)
        if self.state.skipped >= self.options.max_skipped:
            raise UserError(
                f"the gradient was not finite in {self.state.skipped} updates in a row, up to step "
                f"{self.state.step - 1}: lower trainer.optimizer.lr, or set trainer.precision=fp32; the last good "
                f"state is in {self.run.folder}"
            )

    def _validate(self) -> None:
        self.run.refuse_removed()
        self.display.doing("validating")
        share = self._progress()
        self._gather_weights()
        scores = self.validation.validate(self.state, self.log, share, lambda _: self._stop_if_asked()).scores
        self.display.say(
            f"step {self.state.step:>6}  valid nll {scores['nll']:.3f}  ppl {scores['ppl']:.2f}  "
            + "  ".join(f"{metric.label} {metric.of(scores):.1f}" for metric in USUAL)
        )
        if warning := self.validation.warning(self.state, share):
            self.display.say(warning)
        self.display.doing("training")
        self._save()

    def _validation_due(self) -> bool:
        return validation_due(self.state, self.config, self.batches.epoch)

    def _progress(self) -> float:
        return progress(self.state, self.options, self.batches.epoch)

    def _out_of_patience(self) -> bool:
        return self.options.patience is not None and self.state.waited >= self.options.patience

    def _stop_if_asked(self) -> None:
        if self.stop.asked:
            self.model.train()  # a stop inside a validation finds the model in evaluation mode
            self._save()
            raise Stopped

    def _log_training(self) -> None:
        """One point of the training curves, from the running metrics, which begin anew."""
        metrics, self.metrics = self.metrics, RunningMetrics()
        nll, made = float(metrics.nll) / metrics.tokens, metrics.updates - metrics.skipped
        figures = {
            "train/loss": float(metrics.loss) / metrics.tokens,
            "train/nll": nll,
            "train/ppl": math.exp(min(nll, 100.0)),
            "train/grad_norm": float(metrics.norm) / made if made else math.inf,
            "train/lr": self.updater.optimizer.param_groups[0]["lr"],
            "train/tokens_per_s": metrics.tokens / metrics.seconds,
            "train/padding": 1 - metrics.tokens / metrics.positions,
            **gpu_load(self.device),
        }
        self.log.scalars(self.state.step, figures)
        best = "" if self.state.best is None else f"  best {self.options.metric} {self.state.best:.1f}"
        self.display.update(
            self._progress(), f"loss {figures['train/loss']:.3f}  {figures['train/tokens_per_s']:,.0f} tok/s{best}"
        )

    # ------------------------------------------------------------------------------------------ saving and resuming

    @property
    def at_the_end(self) -> bool:
        """Whether its limits leave nothing to train."""
        return self._progress() >= 1

    def begin_leg(self) -> None:
        """Begin a new leg at this place, and save it. Raises ``UserError`` where its limits leave nothing to train."""
        state, options = self.state, self.options
        state.begin_leg(self.batches.epoch)
        if self.at_the_end:
            raise UserError(
                f"{self.run.folder} has been trained for {state.step:,} updates, {self.batches.epoch:.1f} epochs, "
                f"{state.tokens:,} target tokens, {state.seconds / 3600:.2f} hours: give larger limits "
                f"({', '.join(f'{name}={value}' for name, value in options.limits.items())})"
            )
        self._save()

    def _save(self) -> None:
        """Everything that is needed to go on, in one file that is replaced at once."""
        self.run.refuse_removed()
        state = {
            "position": asdict(self.state),
            "data": self.batches.state(),
            "window": self.metrics.plain(),
            "scaler": self.updater.scaler.state_dict(),
        }
        if self.options.shard:
            self.group.tell("gather")
        checkpoint.save_training(self.run.checkpoint("last"), self.updater.models, self.updater.optimizer, state)

    def _restore(self) -> dict[str, int]:
        """Load the last checkpoint; returns the state of the batch stream."""
        path = self.run.checkpoint("last")
        state: dict[str, Any] = checkpoint.load_training(path, self.updater.models, self.updater.optimizer)
        try:
            counters: dict[str, Any] = state["position"]
            place: dict[str, int] = state.get("data") or {key: counters.pop(key, old) for key, old in PLACE.items()}
            wrong = None if "step" in counters else "it has no step"
            wrong = wrong or mismatch(counters, TrainState) or mismatch(place, dict[str, int])
            self.state = TrainState.restore(counters)
            self.metrics = RunningMetrics(**state["window"])
            if state["scaler"]:  # empty where the training began on a device without a gradient scaler
                self.updater.scaler.load_state_dict(state["scaler"])
        except (TypeError, KeyError, AttributeError) as error:
            wrong = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        if wrong:
            raise UserError(
                f"{path} was saved by another version of this program ({wrong}): start the run anew with overwrite=true"
            )
        return place

    def _gather_weights(self) -> None:
        """Put the weights of this step into ``eval_model``, where they are sharded."""
        if self.options.shard:
            self.group.tell("weights")
            self.updater.gather()
