"""The evaluations that a run keeps: names that hold apart what was scored, and a list. Knows files and records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.records import Scores
from seq2seq.runs.run import Run
from seq2seq.system.typed_json import read_record

EVALUATION_FILES = ("hypotheses.txt", "log_probability.txt", "scores.json")
LONGEST = 100  # characters of a folder's name
SIGNS = re.compile(r"[^\w.=+-]+")  # that are replaced in it


class Kept(TypedDict):
    """One evaluation: a row of the list."""

    name: str  # of its folder below ``evaluations/``
    date: str  # ISO 8601; of older evaluations the time at which the file was written
    text: str  # the split, or the files
    options: dict[str, Any]  # those that are not the run's own
    models: list[str]  # checkpoints; none is noted for the run's own tests
    scores: Scores


def changed_options(run: Run, config: Config) -> dict[str, Any]:
    """The options of an evaluation that are not the run's own and have a say in its scores, by key."""
    own = run.load_config()
    before, now = asdict(own.decode), asdict(config.decode)
    changed = {f"decode.{key}": value for key, value in now.items() if value != before[key]}
    if config.data.language != own.data.language:
        changed["data.tgt"] = config.data.language
    if config.trainer.precision not in ("auto", own.trainer.precision):
        changed["trainer.precision"] = config.trainer.precision
    if config.decode.sample and config.seed != own.seed:
        changed["seed"] = config.seed
    return changed


def name_of(text: str, models: Sequence[str], options: dict[str, Any], content: Sequence[Sequence[str]] = ()) -> str:
    """The name of an evaluation's folder: the same for the same text, models and options, and for no others.

    Args:
        text: a split, or a file's name.
        models: the checkpoints' files, however their paths are spelled.
        options: as ``changed_options`` gives them.
        content: the lines of both sides, where ``text`` alone does not say which text it is.
    """
    parts = [f"{text}-{_digest(*(line for side in content for line in ('', *side)))}" if content else text]
    parts.append(
        f"ensemble-{_digest(*sorted(str(Path(model).resolve()) for model in models))}"
        if len(models) > 1
        else Path(models[0]).stem
    )
    parts += [f"{key.rpartition('.')[2]}={value}" for key, value in sorted(options.items())]
    whole = "-".join(parts)
    name = SIGNS.sub("_", whole)
    short = name if len(name) <= LONGEST else name[:LONGEST].rstrip("-_=")
    return short if short == whole else f"{short}-{_digest(whole)}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:6]


def kept(run: Run) -> list[Kept]:
    """The evaluations of a run, the oldest first. Raises ``UserError`` for one whose scores are damaged."""
    files = run.evaluation("").glob("*/scores.json")
    return sorted(map(_read, files), key=lambda each: _moment(each["date"]))


def _moment(date: str) -> datetime:
    """The moment of a date, of this machine's time zone where it names none."""
    return datetime.fromisoformat(date).astimezone()


def _read(file: Path) -> Kept:
    scores = read_record(file, Scores, "scores file", "evaluate again")
    written = datetime.fromtimestamp(file.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    date = scores.get("date", written)
    try:
        _moment(date)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{file}: not a readable scores file (date: {error}): evaluate again") from error
    return Kept(
        name=file.parent.name,
        date=date,
        text=scores.get("text", file.parent.name),
        options=scores.get("options", {}),
        models=scores.get("models", []),
        scores=scores,
    )
