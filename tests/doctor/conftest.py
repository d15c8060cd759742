"""Pairs of the grammar, and a folder of its own for each test."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from seq2seq import grammar
from seq2seq.data.files import Pair
from seq2seq.doctor import signs


@pytest.fixture(scope="session")
def clean() -> list[Pair]:
    """Pairs of the grammar, all of them different and of at least eight words."""
    found: dict[str, Pair] = {}
    for n in range(1_500):
        pair = grammar.sentence(random.Random(n), 9 + n % 14)
        found.setdefault(signs.folded(pair.src), (pair.src, pair.tgt))
    assert len(found) > 1_300
    return list(found.values())[:1_300]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
