"""The arguments of an export, checked before anything heavy is loaded. Knows options of models; no weights."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from seq2seq.config.schema import Config
from seq2seq.errors import UserError, nearest
from seq2seq.runs.run import Run, find
from seq2seq.system.files import refuse_existing

TARGETS = ("ctranslate2",)  # programs that exported models are for, each a Python package of the same name
LAYERS = frozenset({"transformer"})  # the types of encoders and decoders that it can compute
QUANTIZATIONS = ("none", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16")


@dataclass(frozen=True)
class Request:
    """A checked export: the run and checkpoint, its config, the type of the weights, and the new folder."""

    run: Run
    checkpoint: str
    config: Config
    quantization: str
    out: Path


def requested(given: argparse.Namespace) -> Request:
    """Check the parsed arguments.

    Raises:
        UserError: an unknown name, no run, a model that the target cannot compute, a folder that exists, or a package
            that is not installed.
    """
    _one_of("--to", given.to, TARGETS)
    _one_of("--quantization", given.quantization, QUANTIZATIONS)
    run, checkpoint = find(Path(given.run))
    config = run.load_config()
    if not {config.model.encoder.type, config.model.decoder.type} <= LAYERS:
        reason = "CTranslate2 has no recurrent layers; it takes transformer runs"
        raise UserError(f"{run.folder} holds the model {config.model.name}: {reason}")
    name = given.to if given.quantization == "none" else f"{given.to}-{given.quantization}"
    out = Path(given.out) if given.out else run.folder / "export" / name
    refuse_existing(out, "choose another folder with --out")
    if find_spec(given.to) is None:
        raise UserError(f"{given.to} is not installed: pip install 'seq2seq-trainer[export]'")
    return Request(run, checkpoint, config, given.quantization, out)


def _one_of(flag: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UserError(f"{flag} {given} is not one of {', '.join(known)}{nearest(given, list(known))}")
