"""How the program calls itself in the commands that it prints."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seq2seq.terminal.program import program


def test_a_command_can_be_typed_where_no_environment_is_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert program() == "seq2seq", "it was installed in another way"
    script = folder / "seq2seq"
    script.touch(0o755)
    assert program() == ".venv/bin/seq2seq"
    monkeypatch.setenv("PATH", str(folder))
    assert program() == "seq2seq"
