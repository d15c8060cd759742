"""Proves that a training that is killed goes on to the same bits. Knows run folders and processes; no model.

Trainings run in processes of their own, which are killed at random moments and started again, until they have been
killed so many times; each whole run is compared with one that was never disturbed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from seq2seq.errors import UserError
from seq2seq.runs.run import EVENTS, LOCK, Run
from seq2seq.system.files import UNFINISHED

OPTIONS = (
    *("data.grammar.pairs=200", "data.grammar.valid=12", "data.grammar.test=12", "data.grammar.max_words=12"),
    *("data.subwords.vocab_size=500", "data.subwords.sampling=0.1", "model.dropout=0.1", "device=cpu"),
    *("trainer.max_steps=24", "trainer.valid_every=8", "trainer.save_every=3", "trainer.log_every=1"),
    *("trainer.batch_tokens=200", "trainer.accumulate=2", "trainer.average=2", "trainer.ema=0.9", "trainer.threads=1"),
    *("trainer.samples=1", "trainer.optimizer.warmup_steps=4", "trainer.optimizer.schedule=plateau"),
    *("trainer.optimizer.plateau_patience=1", "decode.beam=1"),
)
"""A training of seconds with everything whose state could be lost: sampled segmentations, dropout, accumulated batches,
averaged checkpoints, the moving average of the weights, the plateau schedule."""
CLOCK = ("train/tokens_per_s", "train/seconds", "seconds", "tokens_per_second", "sentences_per_second", "models")
"""Keys of figures that tell of the clock, or of where files lie."""
TIMEOUT = 600.0  # seconds that one training may take


@dataclass
class Proof:
    """What came of one model: the steps where a killed training went on, and what differed in the end."""

    model: str
    kills: int = 0
    finished: int = 0
    resumed_at: list[int] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def compare(self, straight: Run, killed: Run) -> None:
        """Note how the two finished runs differ."""
        self.finished += 1
        self.differences += differences(straight, killed)

    @property
    def verdict(self) -> str:
        """What is said of it."""
        return f"{len(self.differences)} differences" if self.differences else "the same bits"


def prove(
    model: str, kills: int, folder: Path, seed: int, say: Callable[[str], None], more: Sequence[str] = ()
) -> Proof:
    """Train ``model`` once undisturbed, and again and again under ``kills`` kills at random moments.

    Args:
        folder: an empty folder for runs and corpora.
        say: called with a line after each step.
        more: options that differ from ``OPTIONS``.

    Raises:
        UserError: a training failed by itself, or did not end.
    """
    options = [f"experiment={model}", *OPTIONS, f"data.cache={folder / 'data'}", f"outputs={folder}", *more]
    straight, killed = Run(folder / f"{model}-straight"), Run(folder / f"{model}-killed")
    log = folder / "log.txt"
    started = time.monotonic()
    _finish(_start([*options, f"name={straight.folder.name}"], log), log)
    seconds = time.monotonic() - started
    say(f"{model}: trained undisturbed in {seconds:.1f} s")
    rng, proof = random.Random(f"{seed} {model}"), Proof(model)
    while proof.kills < kills:
        process = _start([*options, f"name={killed.folder.name}"], log)
        process.join(rng.uniform(0, seconds))
        if process.is_alive():
            process.kill()
            process.join()
            proof.kills += 1
            proof.resumed_at.append(_saved_step(killed))
        else:
            _finish(process, log)
            proof.compare(straight, killed)
            killed.remove()
    process = _start([*options, f"name={killed.folder.name}"], log)
    _finish(process, log)
    proof.compare(straight, killed)
    say(f"{model}: {proof.kills} kills, {proof.finished} whole runs: {proof.verdict}")
    return proof


def _start(arguments: list[str], log: Path) -> BaseProcess:
    """A training in a process of its own; the server it is forked from has imported torch once for all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["seq2seq.training.session", "seq2seq.config.compose"])
    process = context.Process(target=_train, args=(arguments, log), daemon=True)
    process.start()
    return process


def _train(arguments: list[str], log: Path) -> None:
    from seq2seq.config.compose import compose
    from seq2seq.training import session

    with log.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        session.train(compose(arguments))


def _finish(process: BaseProcess, log: Path) -> None:
    process.join(TIMEOUT)
    if process.exitcode != 0:
        process.kill()
        raise UserError(
            f"a training ended with {process.exitcode}: {log.read_text(encoding='utf-8').splitlines()[-1:]}"
        )


def _saved_step(run: Run) -> int:
    """The update from which the run will go on."""
    from seq2seq.runs import checkpoint

    path = run.checkpoint("last")
    return checkpoint.step_of(checkpoint.read(path)[1]) or 0 if path.exists() else 0


def differences(straight: Run, killed: Run) -> list[str]:
    """What differs between two finished runs, apart from clocks: files, weights and states, curves, TensorBoard."""
    names = [sorted(_files(run)) for run in (straight, killed)]
    found = [f"only one run has {name}" for name in sorted(set(names[0]) ^ set(names[1]))]
    for name in sorted(set(names[0]) & set(names[1])):
        first, second = (_content(run.folder / name) for run in (straight, killed))
        if first != second:
            found.append(f"{name} differs")
    if _tensorboard(straight) != _tensorboard(killed):
        found.append("the points in TensorBoard differ")
    return found


def _files(run: Run) -> list[str]:
    """The names of a run's files; those of TensorBoard hold the time and are compared by their points."""
    paths = [path.relative_to(run.folder) for path in run.folder.rglob("*") if path.is_file()]
    left = [path for path in paths if path.name.endswith(UNFINISHED) or path.name == LOCK]
    return [str(path) for path in paths if not path.match(EVENTS) and path.parts[0] != "config.yaml"] + [
        f"leftover {path}" for path in left
    ]


def _content(path: Path) -> Any:
    """What must be the same in both runs."""
    if path.suffix == ".safetensors":
        from seq2seq.runs import checkpoint

        tensors, state = checkpoint.read(path)
        return checkpoint.checksum(tensors, json.dumps(_without_clock(state), sort_keys=True))
    if path.suffix in (".json", ".jsonl"):
        return [_without_clock(json.loads(line)) for line in _json_texts(path)]
    return path.read_bytes()


def _json_texts(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def _without_clock(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_clock(each) for key, each in value.items() if key not in CLOCK}
    return [_without_clock(each) for each in value] if isinstance(value, list) else value


def _tensorboard(run: Run) -> dict[str, list[int]]:
    """The steps of each curve and text."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0, "tensors": 0, "images": 0}).Reload()
    found = {tag: [point.step for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    found |= {tag: [point.step for point in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
    return found | {tag: [point.step for point in events.Images(tag)] for tag in events.Tags()["images"]}
