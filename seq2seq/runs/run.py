"""A run folder: the names of its files, its config, its lock. Knows paths and plain data; no torch.

A run folder is self-contained: with its config, its subwords and a checkpoint it translates on another machine.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from seq2seq.config.schema import Config
from seq2seq.config.validation import from_plain, sections, to_plain
from seq2seq.data.revisions import stands_for
from seq2seq.errors import UserError, nearest
from seq2seq.runs.curves import read_points
from seq2seq.runs.records import Fingerprint, Summary
from seq2seq.system.files import (
    UNFINISHED,
    os_errors_as_user_errors,
    remove_unfinished,
    write_atomically,
    write_json,
)
from seq2seq.system.locks import lock
from seq2seq.system.typed_json import read_record
from seq2seq.system.yaml_text import LARGEST_FILE, check_plain, read_yaml_text

FREE_TO_DIFFER = (
    *("overwrite", "extend", "outputs", "name", "device", "data.cache", "data.split"),
    *("trainer.threads", "trainer.track", "trainer.shard", "trainer.compile"),
)
"""Keys in which two configs of the same run may differ."""
CONTENT = (
    *("checkpoints", "tensorboard", "metrics.jsonl", "summary.json", "validations"),
    *("evaluations", "measurements", "export", "subwords", "fingerprint.json", "config.yaml"),
)
"""What this program writes into a run folder; the config, which says that it is a run, is the last to be removed."""
EVENTS = "events.out.tfevents.*"
"""Names of TensorBoard's files, which lie in the run folder itself: TensorBoard calls a run as its folder is called."""
SECTIONS = ("data", "model", "trainer", "decode")  # of a run's config, of whatever version
LOCK = ".lock"
KEPT = "step-"  # begins the names of the checkpoints that trainer.keep keeps; the update follows
ANEW = "copy the run again, or train it anew with overwrite=true"
ONNX = "onnx"  # in place of a checkpoint's name: the graphs of a folder that was exported to ONNX
SEARCHED = 1_000  # folders, at most, that are looked into for a run below one that is none
LONGEST_NAME = 200  # bytes of a folder's name; file systems take 255, and temporary names are longer


@dataclass
class Run:
    """A run folder, and the paths of what lies in it."""

    folder: Path

    def __post_init__(self) -> None:
        self.config_file = self.folder / "config.yaml"  # resolved
        self.metrics_file = self.folder / "metrics.jsonl"  # the points of all curves, a JSON object a line
        self.summary_file = self.folder / "summary.json"  # the result; its presence marks the run as finished
        self.fingerprint_file = self.folder / "fingerprint.json"
        self.subwords = self.folder / "subwords"  # the folder of the subword models

    @property
    def tensorboard(self) -> Path:
        """The folder of the event files: the run's own, or ``tensorboard/`` in runs of older versions."""
        older = self.folder / "tensorboard"
        return older if older.exists() else self.folder

    def remove_events(self) -> None:
        """Remove the event files, and the folder that older versions kept for them."""
        for path in self.folder.glob(EVENTS):
            path.unlink(missing_ok=True)
        older = self.folder / "tensorboard"
        if older.is_dir() and not older.is_symlink():
            shutil.rmtree(older, ignore_errors=True)

    def checkpoint(self, name: str) -> Path:
        """``last``, ``best``, ``averaged``, ``initial``, ``step-<step>``, ``recent-<step>``, or a mean of several.

        Of an exported folder ``ONNX``: the step's graph.
        """
        if name == ONNX:
            return self.folder / "step.onnx"
        return self.folder / "checkpoints" / f"{name}.safetensors"

    def validation(self, step: int) -> Path:
        """Translations of the validation split after ``step`` updates, a line a sentence."""
        return self.folder / "validations" / f"{step}.txt"

    def evaluation(self, name: str) -> Path:
        """Folder of the scores and hypotheses of one evaluation."""
        return self.folder / "evaluations" / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock against a second training; the system releases it however this process ends.

        The folder is made for it; it is gone afterwards unless something has been written there.

        Raises:
            UserError: another process has the lock, or the folder cannot be written.
        """
        path = self.folder / LOCK
        made = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]  # innermost first
        with os_errors_as_user_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = lock(path)
        if descriptor is None:
            raise UserError(f"{self.folder} is being trained by another process: wait for it or stop it")
        try:
            for folder in (self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())):
                remove_unfinished(folder)
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)
                for folder in made:
                    folder.rmdir()  # fails, and ends this, at the first that is not empty
            os.close(descriptor)

    def refuse_other_content(self) -> None:
        """Raise ``UserError`` if the folder holds anything, but not a run: it is somebody's, and stays as it is."""
        if self.folder.exists() and not self.has_config() and (names := self._names()):
            held = f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]
            raise UserError(f"{self.folder} is no run of this program (it holds {held}): choose another name=…")

    @property
    def begun(self) -> bool:
        """Whether there is something to go on with: more than what is written before the fingerprint, and a config."""
        early = {self.config_file.name, self.subwords.name}
        return self.config_file.exists() and any(name in CONTENT and name not in early for name in self._names())

    def _names(self) -> list[str]:
        """What is in the folder, but for its lock and what is being written."""
        with os_errors_as_user_errors(self.folder):
            names = sorted(path.name for path in self.folder.iterdir())
        return [name for name in names if name != LOCK and not name.endswith(UNFINISHED)]

    def has_config(self) -> bool:
        """Whether ``config.yaml`` is a run's, of whatever version, and not one of somebody's own."""
        if not self.config_file.is_file():
            return False
        with self.config_file.open(encoding="utf-8", errors="replace") as file:
            sections = {line.partition(":")[0] for line in file.read(LARGEST_FILE).splitlines()}
        return set(SECTIONS) <= sections

    def refuse_removed(self) -> None:
        """Raise ``UserError`` if the run that is being trained is gone, instead of beginning a folder anew."""
        if not self.folder.is_dir():
            raise UserError(f"{self.folder} was removed while it was being trained: nothing is left to go on with")

    def remove_measurements(self) -> None:
        """Remove what was measured of the run's weights."""
        shutil.rmtree(self.folder / "measurements", ignore_errors=True)

    def remove(self, but_config: bool = False) -> None:
        """Remove what this program has written into the folder, and nothing else.

        Args:
            but_config: leave the config, so that the folder stays a run's while a new one is begun in it.
        """
        self.remove_events()
        for path in (self.folder / name for name in CONTENT):
            if but_config and path == self.config_file:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def points(self, tag: str) -> list[dict[str, Any]]:
        """The points, in order, that hold the curve ``tag``; a value that was not finite, written as null, is NaN."""
        points = [point for _, point in read_points(self.metrics_file) if tag in point]
        return [{key: math.nan if value is None else value for key, value in point.items()} for point in points]

    def curve(self, tag: str) -> dict[int, float]:
        """Values of ``tag`` by step."""
        return {point["step"]: point[tag] for point in self.points(tag)}

    def load_fingerprint(self) -> Fingerprint:
        """What the scores of the run depend on. Raises ``UserError`` where the file is missing or damaged."""
        return read_record(self.fingerprint_file, Fingerprint, "fingerprint", ANEW)

    def save_config(self, config: Config) -> None:
        """Write the resolved config. Raises ``UserError`` for one that is too large to be read again."""
        write_atomically(self.config_file, self.text_of(config))

    def text_of(self, config: Config) -> str:
        """The resolved config as YAML. Raises ``UserError`` for one that is too large to be read again."""
        text = yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)
        if len(text.encode()) > LARGEST_FILE:
            raise UserError(f"{self.config_file} would have more than {LARGEST_FILE:,} bytes: name files by a pattern")
        return text

    def load_config(self) -> Config:
        """Read the config as plain data; nothing in it can run code.

        Raises:
            UserError: not a run folder, or a config that this version does not know.
        """
        if not self.config_file.is_file():
            raise UserError(f"{self.folder}: not a run folder, it has no {self.config_file.name}{self._run_below()}")
        status = self.config_file.stat()
        return deepcopy(_read_config(self.config_file, (status.st_ino, status.st_mtime_ns, status.st_size)))

    def _run_below(self) -> str:
        """The first run by name below a folder that is none itself, as the end of a message."""
        for folder, inner, _ in itertools.islice(os.walk(self.folder), SEARCHED):
            inner[:] = sorted({*inner}.difference(CONTENT))
            with suppress(OSError):
                if Run(Path(folder)).has_config():
                    return f"; a run below it is {folder}"
        return ""

    @property
    def finished(self) -> bool:
        """Whether the run has been trained and tested to its end."""
        return self.summary_file.exists()

    def load_summary(self) -> Summary:
        """The result of the finished run. Raises ``UserError`` where the file is missing, damaged or impossible."""
        summary = read_record(self.summary_file, Summary, "run summary", ANEW)
        counts = {name: summary[name] for name in ("steps", "best_step", "tokens", "seconds")}
        wrong = [f"{name} is {value}" for name, value in counts.items() if not 0 <= value < 1 << 63]
        if summary["checkpoint"] not in ("best", "averaged"):
            wrong.append(f"checkpoint is {summary['checkpoint']!r}")
        if wrong:
            raise UserError(f"{self.summary_file}: not a run summary: {wrong[0]}: {ANEW}")
        return summary

    def save_summary(self, summary: Summary) -> None:
        """Mark the run as finished."""
        write_json(self.summary_file, summary)


def run_of(config: Config) -> Run:
    """The run of a config. Its folder has no time stamp, so that the same command finds it again.

    Raises:
        UserError: the folder would not lie below ``outputs``, or within another run's own files.
    """
    key, name = "name", config.name
    if name is None:
        key, name = "data.name/model.name", f"{config.data.name}/{config.model.name}/seed{config.seed}"
    outputs, parts = Path(config.outputs), name.split("/")
    if any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise UserError(f"{key}={name[:20]}… is too long for the name of a folder: at most {LONGEST_NAME} bytes")
    if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        raise UserError(f"{key}={name!r} names no folder below {outputs}: give names joined by /, without . and ..")
    run = Run(outputs / name)
    if outputs.resolve() not in run.folder.resolve().parents:
        raise UserError(f"{key}={name}: {run.folder} leads out of {outputs}, to {run.folder.resolve()}: choose another")
    for n in range(1, len(parts)):
        outer = Run(outputs.joinpath(*parts[:n]))
        if parts[n] in CONTENT and outer.config_file.is_file():
            raise UserError(f"{key}={name} lies among the files of the run {outer.folder}: choose another")
    return run


def no_run(path: Path) -> UserError:
    """The error for a path at which there is no run; it names what may have been meant."""
    if path.is_file():
        how = f"a text is given by --in {path}, or --src FILE --ref FILE"
        return UserError(f"{path}: no run folder and no checkpoint (.safetensors) there: {how}")
    missing = path  # the first part of the path that is not there
    while missing != missing.parent and not missing.parent.exists():
        missing = missing.parent
    beside: list[str] = []
    with suppress(OSError):
        beside = sorted(each.name for each in missing.parent.iterdir() if each.name != missing.name)
    near = nearest(missing.name, beside)
    if near and missing != path:
        near = f"; there is no {missing}{near}"
    hint = near or "; seq2seq runs lists all runs below outputs"
    return UserError(f"{path}: no run folder and no checkpoint (.safetensors) there{hint}")


def find(path: Path) -> tuple[Run, str]:
    """The run and the checkpoint's name for a path: a run folder, one of its checkpoints, or an exported folder.

    Raises:
        UserError: neither of the two is there, or the run has no checkpoint yet.
    """
    if path.is_file() and path.suffix == ".safetensors":
        return Run(path.parent.parent if len(path.parts) > 2 else path.resolve().parent.parent), path.stem
    if not path.is_dir():
        raise no_run(path)
    run = Run(path)
    run.load_config()
    for name in ("averaged", "best", "last", ONNX):
        if run.checkpoint(name).exists():
            return run, name
    raise UserError(f"{path}: the run has no checkpoint yet: train it first")


def with_choices_of(saved: Config, config: Config) -> Config:
    """``config`` with a run's own languages, ``max_tokens``, warm-up and commit where the corpus decides them.

    The options of subwords that are taken from another run are the run's own, too.
    """
    if config.subwords_of is not None:
        config = with_subwords_of(saved, config)
    data = replace(config.data, src=config.data.src or saved.data.src, tgt=config.data.tgt or saved.data.tgt)
    if data.source == "hub" and stands_for(data.hub.revision, saved.data.hub.revision):
        data = replace(data, hub=replace(data.hub, revision=saved.data.hub.revision))
    trainer, optimizer = config.trainer, config.trainer.optimizer
    if trainer.needs_budget:
        trainer = replace(trainer, max_tokens=saved.trainer.max_tokens)
    if optimizer.warmup_steps is None:
        optimizer = replace(optimizer, warmup_steps=saved.trainer.optimizer.warmup_steps)
    return replace(config, data=data, trainer=replace(trainer, optimizer=optimizer))


def with_subwords_of(taken: Config, config: Config) -> Config:
    """``config`` with the options of the subwords that it takes from the run of ``taken``, their sampling excepted."""
    own = config.data.subwords
    options = replace(taken.data.subwords, sampling=own.sampling, from_run=own.from_run)
    return replace(config, data=replace(config.data, subwords=options))


def differences(old: Config, new: Config) -> list[str]:
    """The differences that make two configs different runs, each as ``key: old -> new``.

    What ``new`` leaves to be chosen by the corpus, or takes from another run, does not differ from what ``old`` has.
    """
    new = with_choices_of(old, new)
    flat = [{key: value for key, _, value in sections(config)} for config in (old, new)]
    return [
        f"{key}: {flat[0].get(key)} -> {flat[1].get(key)}"
        for key in sorted(flat[0].keys() | flat[1].keys())
        if key not in FREE_TO_DIFFER and flat[0].get(key) != flat[1].get(key)
    ]


@lru_cache(maxsize=256)  # a page asks each run a dozen times, and to check a config takes a twentieth of a second
def _read_config(path: Path, state: tuple[int, int, int]) -> Config:
    """The config in a file; read again when the file's ``state``, its number, time and size, is another."""
    text = read_yaml_text(path)
    try:
        plain = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: an impossible date, a number of too many digits
        raise UserError(f"{path}: not a readable config ({str(error).splitlines()[0]})") from error
    check_plain(plain, str(path))
    if not isinstance(plain, dict):
        raise UserError(f"{path}: not a config")
    if isinstance(data := plain.get("data"), dict) and isinstance(made := data.get("grammar"), dict):
        made.setdefault("version", 1)  # runs that are older than the option have the first corpus
    try:
        config = from_plain(plain, str(path))
    except UserError as error:
        where = "" if str(path) in str(error) else f"{path}: "
        raise UserError(f"{where}{error}") from error
    lacking = [section for section in SECTIONS if section not in plain]
    if lacking:  # the defaults of today would take their place, in silence
        raise UserError(f"{path}: not a whole config, it has no section {lacking[0]}: {ANEW}")
    return config
