"""What can be exported, to what, and where to: checked before anything heavy is loaded."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from seq2seq.config.schema import Config
from seq2seq.errors import UserError, nearest
from seq2seq.runs.run import Run, find
from seq2seq.system.files import refuse_existing

TARGETS = ("ctranslate2",)
LAYERS = "transformer"  # the one kind of encoder and decoder that CTranslate2 has
QUANTIZATIONS = (
    "none",
    "int8",
    "int8_float32",
    "int8_float16",
    "int8_bfloat16",
    "int16",
    "float16",
    "bfloat16",
)


@dataclass(frozen=True)
class Request:
    """An export that nothing known so far forbids."""

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
    """What was typed, checked.

    Raises:
        UserError: an unknown name, no run, a run that the format cannot hold, a folder that exists, or no CTranslate2.
    """
    _one_of("--to", given.to, TARGETS)
    _one_of("--quantization", given.quantization, QUANTIZATIONS)
    run, checkpoint = find(Path(given.run))
    config = run.load_config()
    if {config.model.encoder.type, config.model.decoder.type} != {LAYERS}:
        raise UserError(
            f"{run.folder} holds the model {config.model.name}: CTranslate2 has no recurrent layers; "
            "it takes transformer runs"
        )
    name = given.to if given.quantization == "none" else f"{given.to}-{given.quantization}"
    out = Path(given.out) if given.out else run.folder / "export" / name
    refuse_existing(out, "choose another folder with --out")
    if find_spec("ctranslate2") is None:
        raise UserError("ctranslate2 is not installed: pip install 'seq2seq-trainer[export]'")
    return Request(run, checkpoint, config, given.quantization, out)


def _one_of(flag: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UserError(f"{flag} {given} is not one of {', '.join(known)}{nearest(given, list(known))}")
