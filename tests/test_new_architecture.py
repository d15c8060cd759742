"""docs/adding-an-architecture.md, followed to the letter in a copy of the project: its architecture trains."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding-an-architecture.md"
BLOCK = re.compile(r"```(?:python|yaml)\n# (?P<file>\S+?)(?:, (?P<where>[^\n]+))?\n(?P<text>.*?)```", re.DOTALL)
SMALL = (
    "data.grammar.pairs=400 data.grammar.valid=5 data.grammar.test=10 data.grammar.max_words=12 trainer.samples=1 "
    "data.subwords.vocab_size=500 trainer.max_tokens=4000 trainer.valid_every=1000 trainer.precision=fp32 "
    "model.encoder.layers=2 trainer.threads=1"
)


def follow(project: Path) -> None:
    """Do what the page says: make its files, put its lines where it says they belong."""
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(blocks) == 7
    for block in blocks:
        path, where, text = project / block["file"], block["where"], block["text"]
        if where is None:
            assert not path.exists(), "a file of its own"
            path.write_text(text, encoding="utf-8")
            continue
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kind, name = where.split(" ", 1)
        if kind == "among":
            place = max(n for n, line in enumerate(lines) if line.startswith("from seq2seq.")) + 1
        else:
            place = next(n for n, line in enumerate(lines) if line.startswith(name)) + (kind == "in")
        path.write_text("".join([*lines[:place], text, *lines[place:]]), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project after the page was followed; its ``.venv`` runs the copy by this interpreter."""
    folder = tmp_path_factory.mktemp("project")
    hidden = shutil.ignore_patterns("__pycache__")
    for part in ("seq2seq", "configs", "data/grammar"):
        shutil.copytree(ROOT / part, folder / part, ignore=hidden)
    for part in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / part, folder / part)
    for name, target in (("configs", "configs"), ("lexicon", "data/grammar")):  # as they are installed
        (folder / "seq2seq" / name).symlink_to(folder / target)
    follow(folder)
    bin_ = folder / ".venv" / "bin"
    bin_.mkdir(parents=True)
    program = bin_ / "seq2seq"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m seq2seq "$@"\n')
    program.chmod(0o755)
    (folder / ".venv" / "installed").touch()
    return folder


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run(["make", *arguments], cwd=project, env=environment, capture_output=True, text=True)


def test_the_new_architecture_trains_by_make(project: Path) -> None:
    done = make(project, "train", "CONFIG=convolutional", f"ARGS={SMALL}")
    assert done.returncode == 0, done.stderr
    run = project / "outputs/embedded/convolutional/seed1"
    assert json.loads((run / "summary.json").read_text())["steps"] > 2
    assert "parameters of convolutional" in done.stdout


def test_its_options_are_known_everywhere(project: Path) -> None:
    assert "convolutional" in make(project, "train").stdout.split()
    help_ = subprocess.run(
        [project / ".venv/bin/seq2seq", "train", "--help"], cwd=project, capture_output=True, text=True
    )
    assert "model.encoder.kernel=5   (type=convolutional)" in help_.stdout
    wrong = make(project, "train", "CONFIG=convolutional", "ARGS=model.encoder.kernal=3")
    assert wrong.returncode == 2
    assert "did you mean model.encoder.kernel?" in wrong.stderr


@pytest.mark.slow
def test_the_new_architecture_is_compared_by_make(project: Path) -> None:
    small = SMALL.replace("model.encoder.layers=2", "").replace("trainer.threads=1", "threads=1")
    study = f"models=[lstm,convolutional] rates=[] seeds=[1] anyway=true {small}"
    done = make(project, "compare", "STUDY=smoke", f"ARGS={study}")
    assert done.returncode == 0, done.stderr
    page = (project / "outputs/studies/smoke/report/report.html").read_text(encoding="utf-8")
    assert "convolutional" in page


@pytest.mark.slow
def test_the_new_architecture_leaves_the_program_as_onnx(project: Path) -> None:
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            pytest.skip(f"no {package} here")
    assert make(project, "train", "CONFIG=convolutional", f"ARGS={SMALL}").returncode == 0
    export = [project / ".venv/bin/seq2seq", "export", "outputs/embedded/convolutional/seed1", "--to", "onnx"]
    refused = subprocess.run(export, cwd=project, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "the operator :Conv is unknown here" in refused.stderr
    path = project / "seq2seq/runs/onnx_files.py"
    path.write_text(path.read_text(encoding="utf-8").replace('"Concat",', '"Concat", "Conv",'), encoding="utf-8")
    done = subprocess.run(export, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout
