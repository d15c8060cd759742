"""The commands of docs/serving.md, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.runs.run import Run

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    command
    for kind, block in BLOCKS
    if kind == "sh"
    for command in re.split(r"\n(?=\S)", re.sub(r" +# .*", "", block).strip())
]
ELSEWHERE = ("pip install", "python -m scripts.serve_load")  # an installation; the load script takes minutes
RUN = re.compile(r"outputs/embedded/(\{[a-z,]+\}|[a-z]+)/seed1")


def test_no_command_is_forgotten() -> None:
    known = ("seq2seq serve ", "curl ", *ELSEWHERE)
    assert COMMANDS and all(command.startswith(known) for command in COMMANDS)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("seq2seq serve")])
def test_arguments_of_the_server_are_right(command: str, runs: list[Run]) -> None:
    from seq2seq.cli.serve import parser, validate

    folders = {run.folder.name: str(run.folder) for run in runs}
    names = RUN.findall(command)[0].strip("{}").split(",")
    typed = RUN.sub(" ".join(folders[name] for name in names), command)
    valid = validate(parser().read(shlex.split(typed)[2:]))
    assert [run.folder.name for run, _ in valid.runs] == names


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_is_answered(running: Any) -> None:
    with running() as server:
        for command in (each for each in COMMANDS if each.startswith("curl")):
            words = shlex.split(command.replace("localhost:8000", f"localhost:{server.port}"))
            done = subprocess.run([*words, "--fail"], capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, (command, done.stderr)
            assert json.loads(done.stdout)


def test_the_python_of_the_page_runs(running: Any) -> None:
    [program] = [block for kind, block in BLOCKS if kind == "python"]
    with running() as server:
        program = program.replace("localhost:8000", f"localhost:{server.port}")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\w+", done.stdout, flags=re.MULTILINE)[:1] == ["lstm"]
