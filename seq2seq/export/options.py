"""The arguments of an export, checked before anything heavy is loaded. Knows options of models; no weights."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from seq2seq.config.schema import Config
from seq2seq.errors import UserError, nearest
from seq2seq.runs.run import Run, find
from seq2seq.system.files import refuse_existing


@dataclass(frozen=True)
class Target:
    """A program that exported models are for."""

    package: str  # the Python package that writes its format
    layers: frozenset[str]  # the types of encoders and decoders that it can compute
    refusal: str  # the reason for refusing a run with other types
    quantizations: tuple[str, ...]


TARGETS = {
    "ctranslate2": Target(
        package="ctranslate2",
        layers=frozenset({"transformer"}),
        refusal="CTranslate2 has no recurrent layers; it takes transformer runs",
        quantizations=(
            "none",
            "int8",
            "int8_float32",
            "int8_float16",
            "int8_bfloat16",
            "int16",
            "float16",
            "bfloat16",
        ),
    )
}
"""Targets by their name on the command line. A target for the recurrent models is one more entry here."""
QUANTIZATIONS = tuple(dict.fromkeys(name for target in TARGETS.values() for name in target.quantizations))


@dataclass(frozen=True)
class Request:
    """A checked export: the run and checkpoint, its config, the type of the weights, and the new folder."""

    run: Run
    checkpoint: str
    config: Config
    quantization: str
    out: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``seq2seq export``."""
    parser.add_argument("run", metavar="RUN", help="a run folder, or one of its checkpoints")
    parser.add_argument("--to", required=True, metavar="FORMAT", help=f"one of: {', '.join(TARGETS)}")
    parser.add_argument("--out", metavar="FOLDER", help="a new folder (default: RUN/export/FORMAT[-QUANTIZATION])")
    parser.add_argument(
        "--quantization", default="none", metavar="TYPE", help=f"of the weights: {', '.join(QUANTIZATIONS)}"
    )


def requested(given: argparse.Namespace) -> Request:
    """Check the parsed arguments.

    Raises:
        UserError: an unknown name, no run, a model that the target cannot compute, a folder that exists, or a package
            that is not installed.
    """
    _one_of("--to", given.to, TARGETS)
    target = TARGETS[given.to]
    _one_of("--quantization", given.quantization, target.quantizations)
    run, checkpoint = find(Path(given.run))
    config = run.load_config()
    if not {config.model.encoder.type, config.model.decoder.type} <= target.layers:
        raise UserError(f"{run.folder} holds the model {config.model.name}: {target.refusal}")
    name = given.to if given.quantization == "none" else f"{given.to}-{given.quantization}"
    out = Path(given.out) if given.out else run.folder / "export" / name
    refuse_existing(out, "choose another folder with --out")
    if find_spec(target.package) is None:
        raise UserError(f"{target.package} is not installed: pip install 'seq2seq-trainer[export]'")
    return Request(run, checkpoint, config, given.quantization, out)


def _one_of(flag: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise UserError(f"{flag} {given} is not one of {', '.join(known)}{nearest(given, list(known))}")
