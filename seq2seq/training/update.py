"""One update of the weights: forward, backward, clip, step. Knows a model and its optimiser, not the schedule."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from seq2seq.config.schema import Config, TrainerConfig
from seq2seq.data.batches import Batch
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import attention_loss, sequence_loss
from seq2seq.runs.checkpoint import Models
from seq2seq.system.devices import autocast
from seq2seq.system.processes import ALONE, Group
from seq2seq.system.shards import clip, placed, whole
from seq2seq.training.optimizer import build_optimizer, update_ema
from seq2seq.training.progress import RunningMetrics, TrainState
from seq2seq.training.replica import Replica, shard_by_layer

Moment = tuple[str, str, list[int]]
"""The name of a parameter, that of a part of the optimiser's state, and its shape."""


def guided_map_of(config: Config) -> int:
    """The index of the attention map that ``trainer.guided_attention`` trains; 0 where it is off."""
    return config.model.guided_map if config.trainer.guided_attention else 0


class Updater:
    """A model with all that changes it: optimiser, gradient scaler, EMA.

    Attributes:
        average: the EMA copy of the weights, None where ``trainer.ema`` is 0.
        eval_model: weights that are evaluated and checkpointed: those of ``average``, else the model's.
    """

    def __init__(
        self,
        model: Seq2Seq,
        options: TrainerConfig,
        device: torch.device,
        precision: torch.dtype,
        guided_map: int = 0,
    ) -> None:
        """``guided_map``: the index of the attention map that the links of batches train."""
        self.model, self.options, self.device, self.guided_map = model.to(device), options, device, guided_map
        self.group, self.seed = ALONE, 0
        self.autocast = autocast(device, precision)
        # Under bf16 too: cuDNN's recurrent layers and their gradients are fp16 wherever autocast is on.
        scaled = device.type == "cuda" and precision != torch.float32
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.optimizer = build_optimizer(model, options.optimizer, precision)
        self.average = copy.deepcopy(model).requires_grad_(False) if options.ema else None
        self.eval_model = self.average or model
        self.replica = Replica(model, ALONE, compile=options.compile)

    def update(self, batches: Sequence[Batch], rate: float, state: TrainState, metrics: RunningMetrics) -> None:
        """Descend the mean loss of a target token over ``batches``, at learning rate ``rate``.

        The gradients of several batches are accumulated and divided by the number of target tokens in all of them
        (in all processes of the group), so that every token weighs the same. An update whose gradient is not finite
        is skipped and counted in ``state.skipped``.
        """
        counts = sum(batch.tokens for batch in batches), sum(batch.tgt_out.numel() for batch in batches)
        tokens, positions = self.group.sum(*counts)
        for parameters in self.optimizer.param_groups:
            parameters["lr"], parameters["step"] = rate, state.step
        if self.group.world > 1:  # a function of the place alone, and another for each process
            torch.manual_seed(((self.seed << 40) + state.step * self.group.world + self.group.rank) % (1 << 63))
        losses = []
        for number, batch in enumerate(batches, start=1):
            batch = batch.to(self.device)
            with self.replica.synchronising(number == len(batches)):
                with self.autocast():
                    loss, nll = self._losses(batch)
                self.scaler.scale(loss / (tokens / self.group.world)).backward()  # the mean over processes follows
            losses.append((loss.detach(), nll))
        for loss, nll in self._summed(losses):
            metrics.loss += loss
            metrics.nll += nll
        self.scaler.unscale_(self.optimizer)
        norm = self._clip(self.options.optimizer.clip_norm or math.inf)
        if torch.isfinite(norm):
            self.scaler.step(self.optimizer)
            state.skipped = 0
            metrics.norm += norm
        else:
            state.skipped += 1
            metrics.skipped += 1
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average is not None:
            update_ema(self.average, self.model, self.options.ema, state.step)
        state.step += 1
        state.tokens += tokens
        metrics.tokens += tokens
        metrics.positions += positions
        metrics.updates += 1

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of a batch and the NLL, summed over target tokens; the loss of attention is in the first."""
        output = self.replica(batch.src, batch.tgt_in, attention=batch.links is not None)
        loss, nll = sequence_loss(self.model, output.hidden, batch.tgt_out, self.options.label_smoothing)
        if batch.links is not None:
            assert output.attention is not None  # by ``config.validation``
            guided = attention_loss(output.attention[:, self.guided_map], batch.links)
            loss = loss + self.options.guided_attention * guided
        return loss, nll

    def _clip(self, most: float) -> Tensor:
        """Clip the norm of the whole gradient to ``most``; returns the norm before."""
        parameters = list(self.model.parameters())
        if self.replica.sharded:
            return clip([each.grad for each in parameters if each.grad is not None], most)
        return torch.nn.utils.clip_grad_norm_(parameters, most)

    def _summed(self, losses: Sequence[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, ...]]:
        """Loss and NLL of each batch; of several processes, the sums over batches and processes."""
        if self.group.world == 1:
            return iter(losses)
        return iter([self.group.sum_tensors(*(torch.stack(each).sum() for each in zip(*losses, strict=True)))])

    # ------------------------------------------------------------------------------------------- several processes

    def join(self, group: Group, seed: int, moments: Sequence[Moment], scaler: dict[str, Any]) -> None:
        """Train together with the other processes of ``group``, from the leader's weights and moments.

        All processes call it at once.

        Args:
            seed: of the dropout, with the number of the update and the rank.
            moments: what the leader has in its optimiser's state, ``self.moments()`` there.
            scaler: the state of the leader's gradient scaler.
        """
        self.group, self.seed = group, seed
        parameters = dict(self.model.named_parameters())
        for name, key, shape in moments:
            device = parameters[name].device
            self.optimizer.state[parameters[name]].setdefault(key, torch.zeros(shape, device=device))
        state = [self.optimizer.state[parameters[name]][key] for name, key, _ in moments]
        models = [self.model] + ([self.average] if self.average is not None else [])
        group.same([p.detach() for model in models for p in model.parameters()] + state)
        if self.options.shard:
            self._shard()
        else:
            self.replica = Replica(self.model, group, compile=self.options.compile)
        if scaler:
            self.scaler.load_state_dict(scaler)

    def _shard(self) -> None:
        """Keep only a part of the weights and moments (FSDP), and a whole copy of the weights for evaluation."""
        self.eval_model = copy.deepcopy(self.eval_model).requires_grad_(False)
        moments = {name: self.optimizer.state.get(p, {}) for name, p in self.model.named_parameters()}
        self.replica = Replica(self.model, self.group, shard=True)
        if self.average is not None:
            shard_by_layer(self.average)
        self.optimizer = build_optimizer(self.model, self.options.optimizer)
        if self.scaler.is_enabled():  # which must skip the same updates everywhere, whoever's part is not finite
            from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

            self.scaler = ShardedGradScaler(self.device.type)
        for name, parameter in self.model.named_parameters():
            for key, moment in moments[name].items():
                self.optimizer.state[parameter][key] = placed(moment, parameter)

    @property
    def models(self) -> Models:
        """Every model with weights of its own, by its name in a checkpoint."""
        return {"model": self.model} | ({"average": self.average} if self.average is not None else {})

    def moments(self) -> list[Moment]:
        """What the optimiser's state has, in its order."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        return [
            (names[id(parameter)], key, list(value.shape))
            for parameter, moments in self.optimizer.state.items()
            for key, value in moments.items()
        ]

    @torch.no_grad()
    def gather(self) -> None:
        """Put the whole weights into ``eval_model``, where they are sharded; all processes call it at once."""
        if self.replica.sharded:
            source = self.model if self.average is None else self.average
            for mine, part in zip(self.eval_model.parameters(), source.parameters(), strict=True):
                mine.copy_(whole(part))
