"""Placeholders are counted sentence by sentence."""

from __future__ import annotations

from seq2seq.evaluation.placeholders import came_through


def test_each_sentence_answers_for_its_own() -> None:
    src = ["⟨N⟩ and ⟨N⟩", "⟨N⟩", "none", "⟨N⟩"]
    translations = ["⟨N⟩", "⟨N⟩⟨N⟩", "⟨N⟩"]  # of the first three alone
    assert came_through("⟨N⟩", src, translations) == {
        "symbol": "⟨N⟩",
        "in_source": 3,
        "came_through": 2,
        "too_many": 2,
    }
    assert came_through("e\u0301", ["é"], ["e\u0301"])["came_through"] == 1
