"""The arguments of an export, checked before anything heavy is loaded. Knows options of models; no weights."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from seq2seq.config.schema import Config
from seq2seq.errors import UserError, nearest
from seq2seq.runs.run import ONNX, Run, find
from seq2seq.system.files import refuse_existing


@dataclass(frozen=True)
class Target:
    """A format that runs are exported to.

    Attributes:
        module: of this room, not loaded here: its ``export`` takes the checked ``Request``.
        quantizations: types of the weights, the default first.
        packages: Python packages that it needs, which ``extra`` installs.
        layers: the types of encoders and decoders that it can compute; None: all.
        refusal: why it takes no others.
        refuses_alibi: whether it takes no ALiBi positions.
        slots: whether it takes a decoder that reads slots, or a constant, in place of a state for each position.
        card: whether a model card is written, which names the license.
        pushed: whether it goes to a repository of the hub in place of a new folder.
        suffix: of the file that is written; "": a folder.
    """

    module: str
    quantizations: tuple[str, ...] = ("none",)
    packages: tuple[str, ...] = ()
    extra: str = ""
    layers: frozenset[str] | None = None
    refusal: str = ""
    refuses_alibi: bool = False
    slots: bool = False
    card: bool = False
    pushed: bool = False
    suffix: str = ""


CTRANSLATE2 = ("none", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16")
TARGETS = {
    "ctranslate2": Target(
        "exporting",
        CTRANSLATE2,
        ("ctranslate2",),
        "export",
        frozenset({"transformer"}),
        "CTranslate2 has no recurrent layers; it takes transformer runs (--to onnx takes recurrent ones)",
        refuses_alibi=True,
    ),
    "onnx": Target("to_onnx", ("none", "int8"), ("onnx", "onnxruntime"), "onnx"),
    "argos": Target(
        "to_argos",
        CTRANSLATE2,
        ("ctranslate2", "onnx"),
        "argos",
        frozenset({"transformer"}),
        "Argos Translate runs CTranslate2, which has no recurrent layers (--to onnx takes them)",
        refuses_alibi=True,
        suffix=".argosmodel",
    ),
    "folder": Target("to_folder", slots=True, card=True),
    "hub": Target("to_hub", slots=True, card=True, pushed=True),
}
NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")  # of an owner or a repository on the hub
QUANTIZATIONS = tuple(dict.fromkeys(name for target in TARGETS.values() for name in target.quantizations))


@dataclass(frozen=True)
class Request:
    """A checked export: the format, run, checkpoint, config, type of the weights, new path, the model's license.

    ``repo`` is the hub's repository, in which case ``out`` is not used; ``public``: everybody may read it.
    """

    to: str
    run: Run
    checkpoint: str
    config: Config
    quantization: str
    out: Path
    license: str | None = None
    repo: str | None = None
    public: bool = False


def requested(given: argparse.Namespace) -> Request:
    """Check the parsed arguments.

    Raises:
        UserError: an unknown name, no run, a model that the target cannot compute, a path that exists, or a package
            that is not installed.
    """
    _one_of("--to", given.to, tuple(TARGETS))
    target = TARGETS[given.to]
    _one_of("--quantization", given.quantization, target.quantizations)
    license = given.license
    if license is not None and not target.card:
        raise UserError(f"--license stands in a model card, which --to {given.to} has not: leave it out")
    if license is not None and not (license.strip() and license.isprintable()):
        raise UserError(f"--license {license!r}: give one line, such as apache-2.0 or cc-by-4.0")
    repo = _repo(given, target)
    run, checkpoint = find(Path(given.run))
    if checkpoint == ONNX:
        raise UserError(f"{run.folder} was exported to ONNX: give the run that it was made from")
    config = run.load_config()
    if (config.model.encoder.slots or config.model.sees == "nothing") and not target.slots:
        read = f"model {config.model.name}, whose decoder reads slots, or nothing, in place of source positions"
        raise UserError(f"{run.folder} holds the {read}: --to {given.to} cannot compute it (--to folder can)")
    if target.layers is not None and not {config.model.encoder.type, config.model.decoder.type} <= target.layers:
        raise UserError(f"{run.folder} holds the model {config.model.name}: {target.refusal}")
    if target.refuses_alibi:
        for part, kind in (("encoder", config.model.encoder), ("decoder", config.model.decoder)):
            if kind.biased_by_distance:
                has = f"{run.folder} has model.{part}.positions=alibi"
                raise UserError(f"{has}, which --to {given.to} cannot compute (--to onnx can)")
    name = given.to if given.quantization == "none" else f"{given.to}-{given.quantization}"
    out = Path(given.out) if given.out else run.folder / "export" / f"{name}{target.suffix}"
    if not target.pushed:
        refuse_existing(out, f"choose another {'file' if target.suffix else 'folder'} with --out")
    lacking = [package for package in target.packages if find_spec(package) is None]
    if lacking:
        raise UserError(f"{lacking[0]} is not installed: pip install 'seq2seq-trainer[{target.extra}]'")
    return Request(given.to, run, checkpoint, config, given.quantization, out, license, repo, given.public)


def _repo(given: argparse.Namespace, target: Target) -> str | None:
    """The repository that is pushed to; None for a target that writes a folder."""
    if not target.pushed:
        for flag, value in (("repo", given.repo), ("public", given.public)):
            if value:
                raise UserError(f"--{flag} is for --to hub; --to {given.to} writes a folder: leave it out")
        return None
    if given.out:
        raise UserError("--out is for a folder, which --to hub does not leave: leave it out, or take --to folder")
    if given.repo is None:
        raise UserError("--to hub needs a repository: --repo NAME/MODEL")
    parts = given.repo.split("/")
    if len(parts) != 2 or not all(NAME.fullmatch(part) for part in parts) or re.search(r"--|\.\.|\.git$", given.repo):
        raise UserError(
            f"--repo {given.repo!r}: give NAME/MODEL, a user or an organisation and the model, of Latin letters, "
            "digits and single - _ . between them"
        )
    return str(given.repo)


def _one_of(flag: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UserError(f"{flag} {given} is not one of {', '.join(known)}{nearest(given, list(known))}")
