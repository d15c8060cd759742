"""Time and memory of translating a sentence by its length."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from seq2seq.analysis import cost
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import DecodeConfig
from seq2seq.decoding.search import Hypothesis
from seq2seq.models.interface import Seq2Seq

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]
Texts = Callable[[LoadedRun, list[str], DecodeConfig], list[str]]


def test_every_output_is_made_as_long_as_its_source(make: Make, monkeypatch: pytest.MonkeyPatch, telling: str) -> None:
    monkeypatch.setattr(cost, "LENGTHS", (3, 6))
    monkeypatch.setattr(cost, "REPEATS", 1)
    made: list[tuple[int, int]] = []
    search = cost.search

    def watched(models: object, src: torch.Tensor, options: DecodeConfig) -> list[list[Hypothesis]]:
        found = search(models, src, options)  # type: ignore[arg-type]
        made.extend((src.shape[1], len(best.ids)) for (best,) in found)
        return found

    monkeypatch.setattr(cost, "search", watched)
    rows = cost.measure(make(telling))["rows"]
    assert all(source == output for source, output in made)
    assert [row["pieces"] for row in rows for _ in range(4)] == [source for source, _ in made]
    assert all(row["greedy_seconds"] > 0 and row["beam_seconds"] > 0 for row in rows)


def test_bytes_by_hand(build_tiny: Callable[..., Seq2Seq], sentences: Callable[..., torch.Tensor]) -> None:
    """float32, and a byte a position for the mask; see the widths in tests/conftest.py."""
    src = sentences([10])
    memory = {"states": 10 * 12 * 4, "mask": 10, "summary": 12 * 4}
    context = 9 * 4 + 4 * 10 * 4 + 8 * 4  # the vector, and what it adds to the gates and to the readout
    assert cost.bytes_held(build_tiny("lstm"), src, 7) == ({**memory, "keys": context}, 2 * 10 * 4)
    keys = 10 * 7 * 4 + 10 * 4  # and the padding's energies
    assert cost.bytes_held(build_tiny("bahdanau"), src, 7) == ({**memory, "keys": keys}, 2 * 10 * 4)
    assert cost.bytes_held(build_tiny("bahdanau-dot"), src, 7)[0]["keys"] == 10 * 4  # its keys are the states
    narrow = {"states": 10 * 8 * 4, "mask": 10, "summary": 8 * 4, "keys": 2 * 10 * 8 * 4 * 2}
    # Two layers, keys and values, whose places come in eights.
    assert cost.bytes_held(build_tiny("transformer"), src, 7) == (narrow, 2 * 8 * 8 * 4 * 2)
    assert cost.bytes_held(build_tiny("transformer"), src, 9) == (narrow, 2 * 16 * 8 * 4 * 2)
