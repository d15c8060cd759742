"""The optimiser, its learning rate, the EMA of the weights. Knows parameters and a training's progress, no data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from seq2seq.config.schema import OptimizerConfig
from seq2seq.models.matrices import hidden_matrices
from seq2seq.training.muon import Muon


def build_optimizer(
    model: nn.Module, options: OptimizerConfig, precision: torch.dtype = torch.float32
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019), or Muon for the hidden matrices and AdamW for all others.

    Biases, norms and other vectors are not decayed. The fused kernel is 3.3 to 3.5 times as fast as torch's other two
    ways on a CPU (``scripts/kernels/operations.py``).

    Args:
        precision: of Muon's products; bf16 where the training multiplies in it, else float32.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if options.name == "muon":
        matrices = {p: parts for p, parts in hidden_matrices(model).items() if p.requires_grad}
        adamw = _adamw([p for p in parameters if p not in matrices], options)
        return Muon(matrices, adamw, options.lr, options.weight_decay, precision)
    return _adamw(parameters, options)


def _adamw(parameters: list[nn.Parameter], options: OptimizerConfig) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    betas = (options.beta1, options.beta2)
    return torch.optim.AdamW(groups, lr=options.lr, betas=betas, eps=options.eps, fused=True)


@dataclass
class Plateau:
    """Lowers the learning rate when the validation NLL stops falling. Plain data, saved with the training."""

    scale: float = 1.0
    best: float = math.inf
    waited: int = 0

    def observe(self, nll: float, options: OptimizerConfig) -> None:
        """Take note of the NLL (nats a token) of one validation."""
        if nll < self.best:
            self.best, self.waited = nll, 0
            return
        self.waited += 1
        if self.waited >= options.plateau_patience:
            self.scale, self.waited = self.scale * options.plateau_factor, 0


def learning_rate(options: OptimizerConfig, step: int, progress: float, plateau: Plateau, leg: int = 0) -> float:
    """The learning rate of update ``step`` (from 0): linear warm-up, then the schedule.

    Args:
        progress: share of the leg that is done, 0 to 1; the cosine falls with it.
        leg: the update with which the leg began. A cosine that has ended begins anew there, with its warm-up; the other
            schedules go on.
    """
    steps = options.warmup_steps or 0  # a session has chosen a number where none was given
    step -= leg if options.schedule == "cosine" else 0
    warmup = min((step + 1) / steps, 1.0) if steps else 1.0
    if options.schedule == "inverse_sqrt":  # Vaswani et al. 2017, equation 3, with its peak at lr
        return options.lr * min(warmup, math.sqrt(max(steps, 1) / (step + 1)))
    if options.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return options.lr * warmup * (options.final_lr + (1 - options.final_lr) * fall)
    if options.schedule == "plateau":
        return options.lr * warmup * plateau.scale
    return options.lr * warmup


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Update the exponential moving average of ``model``'s weights, in place, after update ``step`` (from 0).

    The decay starts at 0.1 and grows to ``decay``, so that the random initial weights are soon forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
