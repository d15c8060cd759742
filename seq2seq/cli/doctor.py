"""``seq2seq doctor``. Knows packages and the machine; the proof by kills is ``study.resuming``'s."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import seq2seq
from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.errors import UserError

ABOUT = """Say what is installed and what this machine offers. With --resume, prove that a
training that is killed goes on to the same bits: a small run of each model is
killed at random moments, started again, and compared with one that was not."""
NEEDED = ("torch", "numpy", "sentencepiece", "datasets", "sacrebleu", "hydra-core", "tensorboard", "safetensors")
OPTIONAL = {
    "report": ("altair", "vl-convert-python", "jinja2"),
    "export": ("ctranslate2",),
    "onnx": ("onnx", "onnxruntime"),
}
MODELS = ("lstm", "bahdanau", "transformer")
MOST_KILLS = 1_000


def parser() -> Parser:
    taken = Parser("doctor", ABOUT)
    taken.add_argument("--resume", action="store_true", help="train a small run of each model under kills")
    taken.add_argument("--kills", type=int, default=3, metavar="N", help="kills of each model (default: 3)")
    taken.add_argument("--seed", type=int, default=1, metavar="N", help="of the moments of the kills (default: 1)")
    return taken


def validate(given: Arguments) -> None:
    """Raise ``UserError`` for an impossible number of kills, or where no process can be forked."""
    if not 1 <= given.kills <= MOST_KILLS:
        raise UserError(f"--kills={given.kills} is not possible: give a number from 1 to {MOST_KILLS}")
    if given.resume and sys.platform == "win32":
        raise UserError("--resume needs Linux or macOS: there are no such kills on Windows")


def run(given: Arguments, valid: None) -> int:
    """Print a table; with ``--resume`` the exit code is 1 where a killed run differs from the one that was not."""
    from seq2seq.terminal.tables import print_figures

    if given.resume:
        return _resume(given.kills, given.seed)
    print_figures(f"seq2seq-trainer {seq2seq.__version__}", _versions() | _machine())
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _versions() -> dict[str, str]:
    """What is installed; of an extra, how to install what is missing."""
    figures = {"python": platform.python_version()} | {package: _version(package) for package in NEEDED}
    for extra, packages in OPTIONAL.items():
        missing = [package for package in packages if _version(package) == "missing"]
        figures[extra] = f"no {', '.join(missing)}: pip install 'seq2seq-trainer[{extra}]'" if missing else "installed"
    return figures


def _machine() -> dict[str, str]:
    """What trainings will find here."""
    import torch

    from seq2seq.system.devices import choose_device, choose_precision

    device = choose_device("auto")
    precision = str(choose_precision("auto", device)).removeprefix("torch.")
    name = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    figures = {
        "device=auto": f"{device.type} ({name})",
        "trainer.precision=auto": precision,
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} processors",
        "free disk here": f"{shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB",
    }
    if sys.platform != "win32":
        import resource

        figures["open files"] = f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]:,} at once"
    return figures


def _resume(kills: int, seed: int) -> int:
    from seq2seq.study.resuming import prove
    from seq2seq.terminal.tables import print_table, say

    with tempfile.TemporaryDirectory(prefix="seq2seq-doctor-") as folder:
        proofs = [prove(model, kills, Path(folder), seed, partial(print, file=sys.stderr)) for model in MODELS]
    rows = [
        (proof.model, f"{proof.kills}", f"{proof.finished}", ", ".join(map(str, proof.resumed_at)), proof.verdict)
        for proof in proofs
    ]
    columns = ("model", "kills", "whole runs", "went on after update", "compared with the undisturbed run")
    print_table("trainings under SIGKILL", columns, rows, left=("model", "went on after update", columns[-1]))
    for proof in proofs:
        for difference in proof.differences:
            say(f"{proof.model}: {difference}")
    return 1 if any(proof.differences for proof in proofs) else 0
