"""The fingerprint of a run: hashes of everything that its scores depend on. Knows the package's files and versions.

Two runs may be compared only if their fingerprints agree.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from seq2seq.data.encoded import Corpus
from seq2seq.runs.records import Fingerprint

DECIDING = ("system", "config", "grammar", "data", "models", "decoding", "runs", "evaluation", "training")
"""Rooms whose code decides the result of a run; rooms that print or compare results do not."""
PACKAGES = ("torch", "sentencepiece", "sacrebleu", "datasets", "numpy")


def fingerprint(corpus: Corpus) -> Fingerprint:
    """Hashes of data, subwords, test references and code; versions; the machine."""
    return {
        "data": corpus.fingerprint,
        "subwords": of_subwords(corpus),
        "references": hashlib.sha256("\n".join(corpus.splits["test"].lines(1)).encode()).hexdigest(),
        "code": _code(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()},
    }


def of_subwords(corpus: Corpus) -> str:
    """Hash of both sides' subword models."""
    return hashlib.sha256(b"".join(corpus.subwords.models)).hexdigest()


def _code() -> str:
    package = Path(__file__).parents[1]
    paths = sorted(package.rglob("*.py"))
    deciding = [path for path in paths if path.relative_to(package).parts[0].removesuffix(".py") in DECIDING]
    return hashlib.sha256(b"".join(path.read_bytes() for path in deciding)).hexdigest()
