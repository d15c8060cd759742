"""Everything that is measured on a finished run, and the process that does it.

``python -m seq2seq.analysis.measurements RUN`` measures what is missing, into ``RUN/measurements/<name>.json``. Knows
run folders and who measures what; not what the figures mean.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from seq2seq.analysis import behaviour, probe
from seq2seq.analysis import faithfulness as explanation
from seq2seq.analysis import interventions as causes
from seq2seq.analysis.subject import Subject
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Links, read_gold, splitter
from seq2seq.runs.run import Run, find
from seq2seq.system.files import read_json, write_atomically

VERSION = 1  # raised whenever a measurement changes: what was measured before is then measured anew
MEASUREMENTS: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "interventions": causes.interventions,
    "attention": explanation.measure,
    "forgetting": causes.forgetting,
    "probe": probe.measure,
    "extrapolation": behaviour.extrapolation,
    "search": behaviour.search,
    "cost": behaviour.cost,
    "explorer": behaviour.explorer,
}


def measurement_file(run: Run, name: str) -> Path:
    """Where a measurement of a run is."""
    return run.folder / "measurements" / f"{name}.json"


def load(run: Run, name: str) -> dict[str, Any]:
    """A measurement as it was written. Raises ``UserError`` where it is missing or damaged."""
    value: dict[str, Any] = read_json(measurement_file(run, name), "measurement")
    return value


def missing(run: Run, links: Path | None = None, gold: bool = False) -> list[str]:
    """The measurements that are not there, are damaged, or were made on another checkpoint, test or version."""
    return [name for name, origin in _origins(run, links, gold).items() if not _is_there(run, name, origin)]


def measure_all(
    folder: Path,
    cache: str | None = None,
    only: Sequence[str] | None = None,
    done: Callable[[str, float], None] = lambda name, seconds: None,
    links: Path | None = None,
    gold: bool = False,
) -> None:
    """Make what is missing of the measurements named in ``only`` (default: all).

    Args:
        cache: where the run's corpus is now, if not where it was.
        done: told each measurement that is there, and the seconds it took (0: it had been there).
        links: word alignment of the test pairs (a Pharaoh file) for ``forgetting``; the default is the corpus's own.
        gold: whether the links are right, so that ``attention`` is scored against them as well.

    Raises:
        UserError: an unknown name, no finished run, a corpus that is gone, or links that do not fit.
    """
    names = list(MEASUREMENTS) if only is None else only
    for name in names:
        if name not in MEASUREMENTS:
            raise UserError(f"unknown measurement {name!r} (there are: {', '.join(MEASUREMENTS)})")
    run, _ = find(folder)
    origins = _origins(run, links, gold)
    subject: Subject | None = None
    for name in names:
        if run.finished and _is_there(run, name, origins[name]):
            done(name, 0.0)
            continue
        started = time.perf_counter()
        if subject is None:
            subject = Subject.open(folder, cache)
            if gold and links is not None:
                subject = replace(subject, gold=read_links(links, subject))
        if name == "forgetting" and links is not None:
            figures = causes.forgetting(subject, read_links(links, subject))
        else:
            figures = MEASUREMENTS[name](subject)
        whole = {"version": VERSION, "origin": origins[name], **figures}
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        write_atomically(measurement_file(run, name), f"{text}\n")
        done(name, time.perf_counter() - started)


def read_links(path: Path, subject: Subject) -> list[Links]:
    """A word alignment of the test pairs. Raises ``UserError`` where it does not fit them."""
    split = splitter(subject.config)
    words = [[split(line) for line in side] for side in (subject.src, subject.references)]
    return [pair.possible for pair in read_gold(str(path), words[0], words[1])]


def _origins(run: Run, links: Path | None, gold: bool) -> dict[str, str]:
    """A hash of what each measurement is made from, so that a run that was trained again is measured again."""
    _, checkpoint = find(run.folder)
    files = [run.checkpoint(checkpoint), *(run.evaluation("test") / f"{side}.txt" for side in ("src", "ref"))]
    origins = dict.fromkeys(MEASUREMENTS, _digest(files))
    if links is not None:
        origins |= dict.fromkeys(("forgetting", "attention") if gold else ("forgetting",), _digest([*files, links]))
    return origins


def _digest(files: Sequence[Path]) -> str:
    digests = [hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest() for file in files]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _is_there(run: Run, name: str, origin: str) -> bool:
    try:
        found = load(run, name)
    except UserError:
        return False
    return isinstance(found, dict) and (found.get("version"), found.get("origin")) == (VERSION, origin)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process that the runner of a study starts for each run: a line for each measurement, with how far it is."""
    parser = argparse.ArgumentParser("python -m seq2seq.analysis.measurements", description=measure_all.__doc__)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--cache", metavar="DIR", help="where the run's corpus is now")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--links", type=Path, metavar="FILE", help="word alignment of the test pairs (Pharaoh format)")
    parser.add_argument("--gold", action="store_true", help="the links are right: score attention against them")
    given = parser.parse_args(arguments)
    only = given.only.split(",") if given.only else list(MEASUREMENTS)
    finished: list[str] = []

    def done(name: str, seconds: float) -> None:
        finished.append(name)
        print(f"{len(finished) / len(only):4.0%}  {name}  {seconds:.1f} s", flush=True)

    torch.set_num_threads(given.threads)
    try:
        measure_all(given.run, given.cache, only, done, given.links, given.gold)
    except UserError as error:
        print(f"seq2seq: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
