"""The training loop. It reads in the order in which training happens, and asks no model what it is."""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from seq2seq.config.schema import Config
from seq2seq.data.batches import MULTIPLE, Batch, Batches, Rows, multiple_for
from seq2seq.data.encoded import Corpus
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import evaluate, evaluating
from seq2seq.evaluation.metrics import METRICS, USUAL
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import sequence_loss
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run
from seq2seq.system.devices import autocast, choose_precision
from seq2seq.system.files import write_atomically
from seq2seq.training.logging import Display, RunLog
from seq2seq.training.optimizer import Plateau, build_optimizer, follow, learning_rate

VALIDATIONS = 20  # in the whole training, unless told otherwise


class Stopped(Exception):
    """Training was asked to stop and has saved its state."""


@dataclass
class Position:
    """How far the training is: all of its state that is not a tensor. Saved and restored as it stands."""

    step: int = 0  # updates made
    part: int = 0  # of the corpus, counted on through the epochs
    batch: int = 0  # batches of this part that were trained on
    multiple: int = MULTIPLE  # of which lengths are made: part and batch are places in a plan that depends on it
    tokens: int = 0  # target tokens trained on
    seconds: float = 0.0  # spent training, validations aside
    validations: int = 0
    validated: int = 0  # step of the last validation
    best: float | None = None
    best_step: int = 0
    waited: int = 0  # validations since the best
    skipped: int = 0  # updates in a row with a non-finite gradient
    plateau: Plateau = field(default_factory=Plateau)
    recent: list[int] = field(default_factory=list)  # steps of the checkpoints to average

    @classmethod
    def restore(cls, plain: dict[str, Any]) -> Position:
        """From ``asdict``."""
        return cls(**{**plain, "plateau": Plateau(**plain["plateau"])})


@dataclass
class Window:
    """What is summed between two points of the curves; on the device, so that adding to them waits for nothing."""

    loss: Tensor
    nll: Tensor
    norm: Tensor
    tokens: int = 0
    positions: int = 0
    updates: int = 0
    seconds: float = 0.0

    @classmethod
    def empty(cls, device: torch.device) -> Window:
        """Nothing summed yet."""
        zero = torch.zeros((), device=device)
        return cls(zero, zero.clone(), zero.clone())

    def plain(self) -> dict[str, Any]:
        """The sums as plain data, so that a curve goes on where a stop cut its window."""
        sums = {"loss": float(self.loss), "nll": float(self.nll), "norm": float(self.norm)}
        counts = {"tokens": self.tokens, "positions": self.positions, "updates": self.updates}
        return {**sums, **counts, "seconds": self.seconds}

    @classmethod
    def restore(cls, plain: dict[str, Any], device: torch.device) -> Window:
        """From ``plain``."""
        sums = {name: torch.tensor(plain[name], device=device) for name in ("loss", "nll", "norm")}
        return cls(**{**plain, **sums})


class Trainer:
    """Trains one model on one corpus into one run folder."""

    def __init__(self, config: Config, corpus: Corpus, model: Seq2Seq, run: Run, device: torch.device) -> None:
        self.config, self.options = config, config.trainer
        self.corpus, self.model, self.run, self.device = corpus, model.to(device), run, device
        precision = choose_precision(self.options.precision, device)
        self.autocast = autocast(device, precision)
        # Not for fp16 alone: where autocast asks for bf16, cuDNN's recurrent layers and their gradients are fp16 too.
        scaled = device.type == "cuda" and precision != torch.float32
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.optimizer = build_optimizer(model, self.options.optimizer)
        # What is validated and kept: the model, or one that follows it and has the moving average of its weights.
        self.judged = copy.deepcopy(model).requires_grad_(False).to(device) if self.options.ema else model
        self.translator = Translator([self.judged], corpus.subwords, device, self.autocast)
        self.at = Position(multiple=multiple_for(device, precision))
        self.window = Window.empty(device)
        self.stop_asked = False
        if run.checkpoint("last").exists():
            self._restore()
        self.batches = Batches(
            corpus.splits["train"],
            self.options.batch_tokens,
            config.seed,
            corpus.subwords,
            config.data.subwords.sampling,
            self.at.multiple,
        )
        self.plan: list[Rows] = []

    def train(self) -> None:
        """Go on until a limit is reached.

        Raises:
            Stopped: a signal came; the state is saved.
            UserError: the loss is not finite, however often the update is skipped.
        """
        self.log = RunLog(self.run, self.at.step)
        self.model.train()
        with Display() as self.display, self._signals():
            self.plan = self.batches.part(self.at.part)
            self.display.doing("training")
            try:
                if self._validation_due():  # a stop fell into the validation
                    self._validate()
                while self.share_done() < 1 and not self._out_of_patience():
                    self._update(self._next_batches())
                    if self.at.step % self.options.log_every == 0:
                        self._log_training()
                    if self._validation_due():
                        self._validate()
                    elif self.at.step % self.options.save_every == 0:
                        self._save()
                    self._stop_if_asked()
                self._save()
            finally:
                self.log.close()

    # ------------------------------------------------------------------------------------------------ one update

    def _next_batches(self) -> list[Batch]:
        """The batches of one update; their place in the data is two integers."""
        batches = []
        for _ in range(self.options.accumulate):
            if self.at.batch == len(self.plan):
                self.at.part, self.at.batch = self.at.part + 1, 0
                self.plan = self.batches.part(self.at.part)
            batches.append(self.batches.load(self.plan[self.at.batch], self.at.part, self.at.batch))
            self.at.batch += 1
        return batches

    def _update(self, batches: list[Batch]) -> None:
        """Forward, backward, clip, step."""
        started = time.perf_counter()
        tokens = sum(batch.tokens for batch in batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options.optimizer, self.at.step, self._schedule_share(), self.at.plateau)
        for batch in batches:
            self.window.positions += batch.tgt_out.numel()
            batch = batch.to(self.device)
            with self.autocast():
                hidden = self.model(batch.src, batch.tgt_in).hidden
                loss, nll = sequence_loss(self.model, hidden, batch.tgt_out, self.options.label_smoothing)
            self.scaler.scale(loss / tokens).backward()
            self.window.loss += loss.detach()
            self.window.nll += nll
        self.scaler.unscale_(self.optimizer)
        most = self.options.optimizer.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), most)
        self._step_if_finite(norm)
        self.optimizer.zero_grad()
        if self.judged is not self.model:
            follow(self.judged, self.model, self.options.ema, self.at.step)
        self.at.step += 1
        self.at.tokens += tokens
        self.window.norm += norm
        self.window.tokens += tokens
        self.window.updates += 1
        seconds = time.perf_counter() - started
        self.at.seconds += seconds
        self.window.seconds += seconds

    def _step_if_finite(self, norm: Tensor) -> None:
        """Skip an update whose gradient is not finite; many in a row mean that nothing is learned any more."""
        if torch.isfinite(norm):
            self.scaler.step(self.optimizer)
            self.at.skipped = 0
        else:
            self.at.skipped += 1
        self.scaler.update()
        if self.at.skipped >= self.options.max_skipped:
            raise UserError(
                f"the gradient was not finite in {self.at.skipped} updates in a row, up to step {self.at.step}: lower "
                f"trainer.optimizer.lr, or set trainer.precision=fp32; the last good state is in {self.run.folder}"
            )

    # -------------------------------------------------------------------------------------------- how far it is

    def share_done(self) -> float:
        """0 to 1: by the limit that comes first."""
        hours = self.at.seconds / 3600
        limit = self.options.max_hours
        return min(max(self._schedule_share(), hours / limit if limit else 0.0), 1.0)

    def _schedule_share(self) -> float:
        """As ``share_done``, but without the clock: the learning rate must not depend on how fast the machine is."""
        options = self.options
        epoch = (self.at.part + self.at.batch / max(len(self.plan), 1)) / self.batches.parts
        limits = ((self.at.step, options.max_steps), (epoch, options.max_epochs), (self.at.tokens, options.max_tokens))
        return max((done / limit for done, limit in limits if limit), default=0.0)

    def _validation_due(self) -> bool:
        if self.at.step == self.at.validated:
            return False
        if self.options.valid_every:
            return self.at.step >= self.at.validated + self.options.valid_every or self.share_done() >= 1
        return int(self.share_done() * VALIDATIONS) > self.at.validations

    def _out_of_patience(self) -> bool:
        return self.options.patience is not None and self.at.waited >= self.options.patience

    # ----------------------------------------------------------------------------------------------- validation

    def _validate(self) -> None:
        """Score the validation split; keep the weights if they are the best so far."""
        self.display.doing("validating")
        valid = self.corpus.splits["valid"]
        src, references = valid.lines(0), valid.lines(1)
        greedy = replace(self.config.decode, beam=1, nbest=1)
        evaluation = evaluate(
            self.translator,
            src,
            references,
            self.config.data.tgt,
            greedy,
            translate_first=self.options.valid_pairs,
            done=lambda count: self._stop_if_asked(),
        )
        scores = evaluation.scores
        self.at.validated = self.at.step
        self.at.validations += 1
        self.at.plateau.observe(scores["nll"], self.options.optimizer)
        self._keep_if_best(METRICS[self.options.metric].of(scores))
        if self.options.average:
            self._keep_recent()
        figures = evaluation.curves("valid", "length_ratio")
        figures |= {"train/tokens": self.at.tokens, "train/seconds": self.at.seconds}
        self.log.scalars(self.at.step, figures)
        lines = "".join(f"{best[0].text}\n" for best in evaluation.translations)
        write_atomically(self.run.validation(self.at.step), lines)
        self._show_samples(src, references)
        self.display.say(
            f"step {self.at.step:>6}  valid nll {scores['nll']:.3f}  ppl {scores['ppl']:.2f}  "
            + "  ".join(f"{metric.label} {metric.of(scores):.1f}" for metric in USUAL)
        )
        self.display.doing("training")
        self._save()

    def _keep_if_best(self, value: float) -> None:
        best = self.at.best
        if best is None or math.isnan(best) or METRICS[self.options.metric].better(value, best):
            self.at.best, self.at.best_step, self.at.waited = value, self.at.step, 0
            path = self.run.checkpoint("best")
            checkpoint.save_weights(path, checkpoint.weights_of(self.judged), asdict(self.at))
        else:
            self.at.waited += 1

    def _keep_recent(self) -> None:
        path = self.run.checkpoint(f"recent-{self.at.step}")
        checkpoint.save_weights(path, checkpoint.weights_of(self.judged), asdict(self.at))
        self.at.recent.append(self.at.step)
        while len(self.at.recent) > self.options.average:
            self.run.checkpoint(f"recent-{self.at.recent.pop(0)}").unlink(missing_ok=True)

    def _show_samples(self, src: list[str], references: list[str]) -> None:
        count = min(self.options.samples, len(src))
        if count:
            with evaluating([self.judged]):
                found = self.translator.translate(src[:count], self.config.decode, attention=True)
            self.log.samples(self.at.step, src[:count], references[:count], [best[0] for best in found])

    # ------------------------------------------------------------------------------------- figures, state, stops

    def _log_training(self) -> None:
        window = self.window
        nll = float(window.nll) / window.tokens
        figures = {
            "train/loss": float(window.loss) / window.tokens,
            "train/nll": nll,
            "train/ppl": math.exp(min(nll, 100.0)),
            "train/grad_norm": float(window.norm) / window.updates,
            "train/lr": self.optimizer.param_groups[0]["lr"],
            "train/tokens_per_s": window.tokens / window.seconds,
            "train/padding": 1 - window.tokens / window.positions,
        }
        self.log.scalars(self.at.step, figures)
        best = "" if self.at.best is None else f"  best {self.options.metric} {self.at.best:.1f}"
        self.display.update(
            self.share_done(), f"loss {figures['train/loss']:.3f}  {figures['train/tokens_per_s']:,.0f} tok/s{best}"
        )
        self.window = Window.empty(self.device)

    def _save(self) -> None:
        state = {"position": asdict(self.at), "window": self.window.plain(), "scaler": self.scaler.state_dict()}
        checkpoint.save_training(self.run.checkpoint("last"), self._models(), self.optimizer, state)

    def _models(self) -> checkpoint.Models:
        """All that has weights, by its name in a checkpoint."""
        return {"model": self.model} | ({} if self.judged is self.model else {"average": self.judged})

    def _restore(self) -> None:
        state = checkpoint.load_training(self.run.checkpoint("last"), self._models(), self.optimizer)
        try:
            self.at = Position.restore(state["position"])
        except TypeError as error:  # a key that this version does not have, or misses
            raise UserError(
                f"{self.run.checkpoint('last')} was saved by another version of this program: "
                "start the run anew with overwrite=true"
            ) from error
        self.window = Window.restore(state["window"], self.device)
        if state["scaler"]:  # empty where the training began without one, on another device
            self.scaler.load_state_dict(state["scaler"])

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a stop after the step; a second SIGINT stops at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.stop_asked = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_if_asked(self) -> None:
        if self.stop_asked:
            self.model.train()
            self._save()
            raise Stopped
