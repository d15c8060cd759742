"""One update of the weights: forward, backward, clip, step. Knows a model and its optimiser, not the schedule."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch

from seq2seq.config.schema import TrainerConfig
from seq2seq.data.batches import Batch
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import sequence_loss
from seq2seq.system.devices import autocast
from seq2seq.system.processes import ALONE, Group
from seq2seq.training.optimizer import build_optimizer, update_ema
from seq2seq.training.progress import RunningMetrics, TrainState


class Updater:
    """A model with all that changes it: optimiser, gradient scaler, EMA.

    Attributes:
        eval_model: weights that are evaluated and checkpointed: the EMA copy if ``trainer.ema`` > 0, else the model.
    """

    def __init__(
        self, model: Seq2Seq, options: TrainerConfig, device: torch.device, precision: torch.dtype, group: Group = ALONE
    ) -> None:
        self.model, self.options, self.device, self.group = model.to(device), options, device, group
        self.autocast = autocast(device, precision)
        # Under bf16 too: cuDNN's recurrent layers and their gradients are fp16 wherever autocast is on.
        scaled = device.type == "cuda" and precision != torch.float32
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.optimizer = build_optimizer(model, options.optimizer)
        self.eval_model = copy.deepcopy(model).requires_grad_(False) if options.ema else model

    def update(self, batches: Sequence[Batch], rate: float, state: TrainState, metrics: RunningMetrics) -> None:
        """Descend the mean loss of a target token over ``batches``, at learning rate ``rate``.

        The gradients of several batches are accumulated and divided by the number of target tokens in all of them
        (in all processes of the group), so that every token weighs the same. An update whose gradient is not finite
        is skipped and counted in ``state.skipped``.
        """
        tokens = self.group.sum(sum(batch.tokens for batch in batches))
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        for batch in batches:
            metrics.positions += batch.tgt_out.numel()
            batch = batch.to(self.device)
            with self.autocast():
                hidden = self.model(batch.src, batch.tgt_in).hidden
                loss, nll = sequence_loss(self.model, hidden, batch.tgt_out, self.options.label_smoothing)
            self.scaler.scale(loss / tokens).backward()
            metrics.loss += loss.detach()
            metrics.nll += nll
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.optimizer.clip_norm or math.inf)
        if torch.isfinite(norm):
            self.scaler.step(self.optimizer)
            state.skipped = 0
        else:
            state.skipped += 1
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.options.ema:
            update_ema(self.eval_model, self.model, self.options.ema, state.step)
        state.step += 1
        state.tokens += tokens
        metrics.norm += norm
        metrics.tokens += tokens
        metrics.updates += 1
