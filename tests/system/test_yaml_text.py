"""YAML of somebody else is refused by one line, before anything is built from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.config.compose import compose
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.system.yaml_text import DEEPEST, LARGEST_FILE, LONGEST_VALUE

HOSTILE = {
    "seed: &one 1\ndevice: *one\n": "alias",
    "name: " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1): "levels deep",
    f"# {'x' * LARGEST_FILE}\n": "larger than",
    f"name: {'x' * (LONGEST_VALUE + 1)}\n": "characters",
    f"seed: {1 << 63}\n": "64 bits",
    f"seed: {'1' * 5000}\n": "digits|64 bits",
    "1: 2\n": "no text",
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE.items(), ids=HOSTILE.values())
def test_a_runs_config_and_an_experiment_file_are_bounded(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=reason):
        Run(tmp_path).load_config()
    with pytest.raises(UserError, match=reason):
        compose([f"experiment={file}"])


@pytest.mark.parametrize("value", ["2026-11-28", "2026-13-45", "!!binary aGVsbG8="])
def test_a_value_that_is_no_plain_data_in_a_runs_config(tmp_path: Path, value: str) -> None:
    (tmp_path / "config.yaml").write_text(f"name: {value}\n")
    with pytest.raises(UserError, match=r"config\.yaml"):
        Run(tmp_path).load_config()


@pytest.mark.parametrize("defaults", ["3", "{a: b}", "[[a]]", "[{a: 3}]", "[_own]", "[{experiment: _own}]"])
def test_defaults_of_another_kind(tmp_path: Path, defaults: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"defaults: {defaults}\n")
    with pytest.raises(UserError, match=r"mine\.yaml: defaults"):
        compose([f"experiment={tmp_path / 'mine.yaml'}"])


@pytest.mark.parametrize("arguments", [["trainer=null"], ["data=null"], ["decode=null"], ["model=null"]])
def test_a_group_needs_a_choice(arguments: list[str]) -> None:
    with pytest.raises(UserError, match="there are"):
        compose(arguments)


@pytest.mark.parametrize("key", ["seed", "trainer.threads", "trainer.batch_tokens", "decode.beam", "decode.max_extra"])
def test_a_number_of_more_than_64_bits_is_one_line(key: str) -> None:
    with pytest.raises(UserError, match=f"{key}.*(64 bits|is too large)"):
        compose(["experiment=lstm", f"{key}={1 << 63}"])
