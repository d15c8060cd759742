"""How far a training is: its counters, its running metrics, and its progress towards the limits. Plain data.

Everything here is saved with a checkpoint and restored from it. Knows numbers; no model and no data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from seq2seq.config.schema import TrainerConfig
from seq2seq.training.optimizer import Plateau


@dataclass
class Leg:
    """The counters at which the present leg of a training began; a run that is trained longer begins a new leg."""

    step: int = 0
    tokens: int = 0
    epoch: float = 0.0
    seconds: float = 0.0


@dataclass
class Kept:
    """A validation whose weights are kept, and its value of trainer.metric."""

    step: int
    value: float


@dataclass
class TrainState:
    """The counters of a training. The place in the data is the batch stream's own."""

    step: int = 0  # updates made
    tokens: int = 0  # target tokens trained on, padding not counted
    seconds: float = 0.0  # of updates and of making their batches; validations are not counted
    validations: int = 0
    validated: int = 0  # step of the last validation
    validated_at: float = 0.0  # share of the leg that was done by then, 0 to 1
    best: float | None = None  # best value so far of trainer.metric
    best_step: int = 0
    best_nll: float | None = None  # validation NLL at best_step; None in checkpoints of older versions
    waited: int = 0  # validations since the best
    warned: bool = False  # that trainer.metric stays at 0
    pictured: int = 0  # fifths of the leg of which attention has been drawn
    skipped: int = 0  # consecutive updates skipped for a non-finite gradient
    plateau: Plateau = field(default_factory=Plateau)
    recent: list[int] = field(default_factory=list)  # steps of the checkpoints to average
    kept: list[Kept] = field(default_factory=list)  # by trainer.keep, in their order
    leg: Leg = field(default_factory=Leg)

    @classmethod
    def restore(cls, plain: dict[str, Any]) -> TrainState:
        """The state that ``dataclasses.asdict`` made plain. Raises ``TypeError`` for unknown keys."""
        kept = [Kept(**each) for each in plain.get("kept", [])]
        leg = {key: value for key, value in plain.get("leg", {}).items() if key != "validations"}  # of older versions
        parts = {"plateau": Plateau(**plain["plateau"]), "leg": Leg(**leg), "kept": kept}
        return cls(**{**plain, **parts})

    def begin_leg(self, epoch: float) -> None:
        """Count progress, validations by it, and patience from here on."""
        self.leg = Leg(self.step, self.tokens, epoch, self.seconds)
        self.waited = self.pictured = 0
        self.validated_at = 0.0


def progress(state: TrainState, options: TrainerConfig, epoch: float) -> float:
    """The share of the leg that is done, 0 to 1, by the limit that comes first."""
    hours = _share(state.seconds, state.leg.seconds, options.max_hours and options.max_hours * 3600)
    return min(max(schedule_progress(state, options, epoch), hours), 1.0)


def schedule_progress(state: TrainState, options: TrainerConfig, epoch: float) -> float:
    """``progress`` without the clock: the learning rate must not depend on how fast the machine is."""
    leg = state.leg
    return max(
        _share(state.step, leg.step, options.max_steps),
        _share(epoch, leg.epoch, options.max_epochs),
        _share(state.tokens, leg.tokens, options.max_tokens),
    )


def _share(done: float, start: float, limit: float | None) -> float:
    """The share of the way from ``start`` to ``limit``."""
    if limit is None:
        return 0.0
    return (done - start) / (limit - start) if limit > start else 1.0


@dataclass
class RunningMetrics:
    """Sums between two points of the curves. Tensors stay on the device: adding to them does not wait for it."""

    loss: Tensor | float = 0.0
    nll: Tensor | float = 0.0
    norm: Tensor | float = 0.0  # of the gradient, in the updates that were not skipped
    tokens: int = 0
    positions: int = 0
    updates: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """The fields as plain numbers, so that after a stop the next point of the curves is the same."""
        return {**asdict(self), "loss": float(self.loss), "nll": float(self.nll), "norm": float(self.norm)}
