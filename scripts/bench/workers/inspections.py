"""Measurements that only our worker makes: a profile of its updates, and decoding time by the length of the output.

Each returns plain data, which the worker sends with its first message.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data.batches import Batch
from seq2seq.data.encoded import Corpus
from seq2seq.decoding.search import search
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.runs.run import Run
from seq2seq.training.trainer import Trainer

WARM, TIMED, PROFILED = 2, 5, 3  # updates
TOP = 12


class Enough(Exception):
    """The last update that is measured is done."""


class Profiled(Trainer):
    """The trainer, with a clock between its updates and then a profiler around some of them."""

    profiler: Any = None
    ended = between = inside = 0.0

    def _update(self, batches: list[Batch]) -> None:
        began = time.perf_counter()
        timed = WARM <= self.state.step < WARM + TIMED
        if timed:
            self.between += began - self.ended
        super()._update(batches)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.ended = time.perf_counter()
        if timed:
            self.inside += self.ended - began
        if self.state.step == WARM + TIMED:
            kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (self.device.type == "cuda")
            self.profiler = profile(activities=kinds)
            self.profiler.start()
        if self.state.step == WARM + TIMED + PROFILED:
            self.profiler.stop()
            raise Enough


def profile_of(config: Config, corpus: Corpus, model: Seq2Seq, run: Run, device: torch.device) -> dict[str, Any]:
    """The operations with the most time of their own, and the share of the time between two updates.

    Between two updates batches are loaded and the progress display is updated: an upper bound of the cost of loading.
    Batches are planned once in 262,144 pairs, before the first update; ``growth`` measures that.
    """
    trainer = Profiled(config, corpus, model, run, device)
    with contextlib.suppress(Enough):
        trainer.train()
    cuda = trainer.device.type == "cuda"
    events = [
        (event.key, event.self_device_time_total if cuda else event.self_cpu_time_total, event.count)
        for event in trainer.profiler.key_averages()
        if event.device_type.name == "CPU"  # operations; the kernels that they start are counted in them
    ]
    whole = sum(time_ for _, time_, _ in events) or 1.0
    top = sorted(events, key=lambda event: -event[1])[:TOP]
    wall = trainer.between + trainer.inside
    return {
        "operations": [[key, t / 1e3 / PROFILED, t / whole, round(n / PROFILED, 1)] for key, t, n in top],
        "updates": TIMED,
        "ms_per_update": 1e3 * wall / TIMED,
        "loading_share": trainer.between / wall,
    }


def exactly(length: int, beam: int = 1) -> DecodeConfig:
    """Search for hypotheses of exactly ``length`` tokens, EOS counted."""
    return DecodeConfig(beam, min_length=length - 1, max_extra=length - 1, max_ratio=1e-9)


def seconds_by_length(
    lengths: Sequence[int], model: Seq2Seq, batch: torch.Tensor, autocast: Any, repeats: int = 2
) -> list[list[float]]:
    """[length, seconds of a batch] for each of ``lengths``, each the best of ``repeats``, in turns."""
    best: dict[int, float] = {}
    with prepacked_weights():  # as when a file of many batches is translated
        for length in [*lengths] * repeats:
            began = time.perf_counter()
            with autocast():
                search([model], batch, exactly(length))
            best[length] = min(time.perf_counter() - began, best.get(length, float("inf")))
    return [[length, seconds] for length, seconds in best.items()]
