"""What our worker is asked once: a profile of its updates, and how decoding grows with the output's length.

Each returns plain data, which goes to the bench with the worker's first word.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data.batches import Batch
from seq2seq.data.encoded import Corpus
from seq2seq.decoding.search import search
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import unchanging_weights
from seq2seq.runs.run import Run
from seq2seq.system.devices import choose_device
from seq2seq.training.trainer import Trainer

WARM, TIMED, PROFILED = 2, 5, 3  # updates
TOP = 12


class Enough(Exception):
    """All updates that were asked for are made."""


class Profiled(Trainer):
    """The trainer with a clock between its updates, and then a profiler around them."""

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


def profile_of(spec: dict[str, Any], config: Config, corpus: Corpus, model: Seq2Seq) -> dict[str, Any]:
    """The operations that take most of the time themselves, and the share of everything between two updates.

    Between two updates batches are loaded and the display is moved: an upper bound of what loading costs. Planning,
    once in 262,144 pairs, falls before the first update; ``growth`` times it.
    """
    run = Run(Path(spec["scratch"]) / "run" / str(time.time_ns()))
    run.folder.mkdir(parents=True)
    trainer = Profiled(config, corpus, model, run, choose_device(config.device))
    with contextlib.suppress(Enough):
        trainer.train()
    cuda = trainer.device.type == "cuda"
    events = [
        (event.key, event.self_device_time_total if cuda else event.self_cpu_time_total, event.count)
        for event in trainer.profiler.key_averages()
        if event.device_type == DeviceType.CPU  # operations; the kernels that they start are counted in them
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


def seconds_by_length(
    spec: dict[str, Any], model: Seq2Seq, batch: torch.Tensor, autocast: Any, repeats: int = 2
) -> list[list[float]]:
    """[length, seconds of a batch] for each of ``spec["lengths"]``, each the best of a few in turns."""
    best: dict[int, float] = {}
    with unchanging_weights():  # as in a file of many batches
        for length in [*spec["lengths"]] * repeats:
            options = DecodeConfig(beam=1, min_length=length - 1, max_extra=length - 1, max_ratio=1e-9)
            began = time.perf_counter()
            with autocast():
                search([model], batch, options)
            best[length] = min(time.perf_counter() - began, best.get(length, float("inf")))
    return [[length, seconds] for length, seconds in best.items()]
