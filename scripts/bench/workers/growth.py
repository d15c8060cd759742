"""The cost a token of our input pipeline and of an update, on a corpus of a given size. One process for each size.

The corpus repeats the benchmark's own ids, written as ``seq2seq`` writes a prepared corpus. SPEC.json: ``data``,
``vocabulary``, ``pairs``, ``folder``, ``seconds``, ``threads``, ``seed``, ``batch_tokens``, ``build`` (true: only write
the corpus). This worker does not use the protocol: its answer is one line of JSON on stdout.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

from scripts.bench.workers.contender import training_ids
from seq2seq.config.compose import compose
from seq2seq.data.batches import BatchStream, multiple_for
from seq2seq.data.encoded import Split
from seq2seq.data.ragged import RaggedArray, RaggedWriter
from seq2seq.models.build import build as build_model
from seq2seq.system.devices import choose_precision, prepare_process
from seq2seq.training.progress import RunningMetrics, TrainState
from seq2seq.training.update import Updater

CPU = torch.device("cpu")
PRECISION = choose_precision("auto", CPU)
WARM = 5  # updates


def build(spec: dict[str, Any]) -> dict[str, Any]:
    """Write the corpus of ``pairs`` pairs; an empty answer."""
    folder = Path(spec["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("src", "tgt"):
        rows = [ids.tolist() for ids in training_ids(Path(spec["data"]), side)]
        writer = RaggedWriter(folder, f"train.{side}", "uint16")
        for start in range(0, spec["pairs"], len(rows)):
            writer.extend(rows[: spec["pairs"] - start])
        writer.close()
    return {}


def anonymous_mb() -> float:
    """Resident memory of the process in MiB, mapped files left out."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Highest(threading.Thread):
    """Samples the anonymous memory; ``most`` is the highest value."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = anonymous_mb(), threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            self.most = max(self.most, anonymous_mb())


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Microseconds a target token of planning a whole epoch, of loading batches, and of updates; and the memory."""
    prepare_process()  # as in training
    torch.set_num_threads(spec["threads"])
    folder = Path(spec["folder"])
    base = anonymous_mb()
    highest = Highest()
    highest.start()
    began = time.perf_counter()
    split = Split(RaggedArray(folder, "train.src", "uint16"), RaggedArray(folder, "train.tgt", "uint16"), None)
    multiple = multiple_for(CPU, PRECISION)
    batches = BatchStream(split, spec["batch_tokens"], spec["seed"], multiple=multiple)
    for shard in range(batches.shards):
        batches.shard(shard)
    planning = time.perf_counter() - began
    tokens, pipeline = int(split.tgt.offsets[-1]), highest.most - base
    loading, updating = run(spec, batches)
    highest.ended.set()
    highest.join()
    plan_us, load_us, update_us = 1e6 * planning / tokens, 1e6 * loading, 1e6 * updating
    return {
        "pairs": spec["pairs"],
        "pipeline_us": plan_us + load_us,
        "planning_share": plan_us / (plan_us + load_us),
        "update_us": update_us,
        "sum_us": plan_us + load_us + update_us,
        "pipeline_mb": pipeline,
        "private_mb": highest.most - base,
    }


def run(spec: dict[str, Any], batches: BatchStream) -> tuple[float, float]:
    """Seconds a token of loading, and of updates of the lstm's preset, for some seconds after a few warm-up updates."""
    options = compose(["experiment=lstm", "trainer.ema=0"])
    torch.manual_seed(1)
    model = build_model(options.model, spec["vocabulary"], spec["vocabulary"])
    updater, state, metrics = Updater(model, options.trainer, CPU, PRECISION), TrainState(), RunningMetrics()
    loading = updating = 0.0
    tokens = 0
    until = time.perf_counter() + spec["seconds"]
    for number, rows in enumerate(itertools.chain.from_iterable(map(batches.shard, itertools.count()))):
        began = time.perf_counter()
        batch = batches.load(rows, 1, number)
        between = time.perf_counter()
        updater.update([batch], options.trainer.optimizer.lr, state, metrics)
        ended = time.perf_counter()
        if number >= WARM:
            tokens += batch.tokens
            loading, updating = loading + between - began, updating + ended - between
            if ended > until and number >= WARM + 10:
                break
    return loading / tokens, updating / tokens


def main() -> None:
    """Build or measure, and print the answer as one line of JSON."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps((build if spec["build"] else measure)(spec)))


if __name__ == "__main__":
    main()
