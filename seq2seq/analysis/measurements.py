"""All measurements of a finished run, and the process that makes them.

``python -m seq2seq.analysis.measurements RUN`` makes those that are missing, in ``RUN/measurements/<name>.json``.
Knows run folders and which question each file answers; not what the answers mean.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, get_type_hints

import torch

from seq2seq.analysis import (
    attention_maps,
    cost,
    explorer,
    extrapolation,
    forgetting,
    interventions,
    probe,
    search_errors,
)
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.data.lengths import CHARACTERS, unit_of
from seq2seq.errors import ANSWERED, UserError, complaint
from seq2seq.runs.loading import saved_split
from seq2seq.runs.run import Run, find
from seq2seq.system.files import to_json, write_atomically
from seq2seq.system.typed_json import read_record

VERSION = 4  # to be raised whenever a measurement changes, so that older records are made anew
Record = TypeVar("Record", bound=Mapping[str, object], covariant=True)
"""One of the records of ``runs/records``."""


@dataclass(frozen=True)
class Measurement(Generic[Record]):
    """A question to a finished run: the function that answers it, and the file with the record."""

    name: str
    measure: Callable[[LoadedRun], Record]

    def file(self, run: Run) -> Path:
        """Path of the record."""
        return run.folder / "measurements" / f"{self.name}.json"

    def load(self, run: Run) -> Record:
        """Read the record. Raises ``UserError`` where it is missing or damaged."""
        kind: type[Record] = get_type_hints(self.measure)["return"]
        return read_record(self.file(run), kind, "measurement", "remove it, and it is made again")

    def is_there(self, run: Run, origin: str) -> bool:
        """Whether there is a record of this version and origin."""
        try:
            found = self.load(run)
        except UserError:
            return False
        return isinstance(found, dict) and (found.get("version"), found.get("origin")) == (VERSION, origin)


INTERVENTIONS = Measurement("interventions", interventions.measure)
ATTENTION = Measurement("attention", attention_maps.measure)
FORGETTING = Measurement("forgetting", forgetting.measure)
PROBE = Measurement("probe", probe.measure)
EXTRAPOLATION = Measurement("extrapolation", extrapolation.measure)
SEARCH = Measurement("search", search_errors.measure)
COST = Measurement("cost", cost.measure)
EXPLORER = Measurement("explorer", explorer.measure)

MEASUREMENTS: dict[str, Measurement[Mapping[str, object]]] = {
    each.name: each for each in (INTERVENTIONS, ATTENTION, FORGETTING, PROBE, EXTRAPOLATION, SEARCH, COST, EXPLORER)
}


def missing(run: Run, links: Path | None = None, gold: bool = False) -> list[str]:
    """Measurements that are missing or damaged, or were made from another checkpoint, test or version."""
    return [name for name, origin in _origins(run, links, gold).items() if not MEASUREMENTS[name].is_there(run, origin)]


def measure_all(
    folder: Path,
    only: Sequence[str] | None = None,
    done: Callable[[str, float], None] = lambda name, seconds: None,
    links: Path | None = None,
    gold: bool = False,
    corpus: bool = False,
) -> None:
    """Make what is missing of the measurements named in ``only`` (default: all), the others also where one fails.

    Args:
        done: called after each measurement with its name and seconds (0 if it was there already).
        links: word alignment of the test pairs (Pharaoh format) for ``forgetting``; the default is the corpus's own.
        gold: whether the links are correct, so that ``attention`` is scored against them as well.
        corpus: whether the files and the cache that the run's config names may be used.

    Raises:
        UserError: an unknown name, no finished run, text that is gone, or links that do not fit.
    """
    names = list(MEASUREMENTS) if only is None else only
    for name in names:
        if name not in MEASUREMENTS:
            raise UserError(f"unknown measurement {name!r} (there are: {', '.join(MEASUREMENTS)})")
    run, _ = find(folder)
    origins = _origins(run, links, gold)
    loaded: LoadedRun | None = None
    failed: UserError | None = None
    for name in names:
        measurement = MEASUREMENTS[name]
        if run.finished and measurement.is_there(run, origins[name]):
            done(name, 0.0)
            continue
        started = time.perf_counter()
        loaded = loaded or LoadedRun.open(folder, links, gold, corpus)
        try:
            measured = measurement.measure(loaded)
        except UserError as error:
            failed = failed or error
            continue
        text = to_json({"version": VERSION, "origin": origins[name], **measured}, separators=(",", ":"))
        write_atomically(measurement.file(run), f"{text}\n")
        done(name, time.perf_counter() - started)
    if failed:
        raise failed


def _origins(run: Run, links: Path | None, gold: bool) -> dict[str, str]:
    """A hash of each measurement's input files, so that a run that was trained again is measured again."""
    _, checkpoint = find(run.folder)
    files = [run.checkpoint(checkpoint), *(run.evaluation("test") / f"{side}.txt" for side in ("src", "ref"))]
    origins = dict.fromkeys(MEASUREMENTS, _digest(files))
    if links is not None:
        by_links = (FORGETTING, ATTENTION) if gold else (FORGETTING,)
        origins |= dict.fromkeys((each.name for each in by_links), _digest([*files, links]))
    if any(unit_of(side) is CHARACTERS for side in saved_split(run, "test") or ()):  # older records count words here
        found = {name: f"{origin}-{CHARACTERS.name}" for name, origin in origins.items()}
        return {**found, EXTRAPOLATION.name: f"{found[EXTRAPOLATION.name]}-joined"}  # older ones were joined by spaces
    return origins


def _digest(files: Sequence[Path]) -> str:
    digests = [hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest() for file in files]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The process that a study starts for each run; it prints a line for each measurement, with the share done."""
    parser = argparse.ArgumentParser("python -m seq2seq.analysis.measurements", description=measure_all.__doc__)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--links", type=Path, metavar="FILE", help="word alignment of the test pairs (Pharaoh format)")
    parser.add_argument("--gold", action="store_true", help="the links are right: score attention against them")
    parser.add_argument("--corpus", action="store_true", help="use the files and the cache that the run's config names")
    given = parser.parse_args(arguments)
    only = given.only.split(",") if given.only else list(MEASUREMENTS)
    finished: list[str] = []

    def done(name: str, seconds: float) -> None:
        finished.append(name)
        print(f"{len(finished) / len(only):4.0%}  {name}  {seconds:.1f} s", flush=True)

    torch.set_num_threads(1)
    try:
        measure_all(given.run, only, done, given.links, given.gold, given.corpus)
    except KeyboardInterrupt:
        return 130
    except ANSWERED as error:
        line = complaint(error)
        if line is None:
            raise
        print(f"seq2seq: error: {line}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
