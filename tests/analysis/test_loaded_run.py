"""The sentences that are looked at depend on the text alone."""

from __future__ import annotations

from seq2seq.analysis.loaded_run import draw, evenly


def test_sentences_are_chosen_evenly_over_the_lengths_by_their_text_alone() -> None:
    lines = [" ".join(["word"] * length) for length in (9, 1, 8, 2, 7, 3, 6, 4, 5, 10)]
    chosen = evenly(lines, 5)
    assert sorted(len(lines[n].split()) for n in chosen) == [2, 4, 6, 8, 10]
    assert chosen == sorted(chosen)
    assert evenly(lines, 10) == evenly(lines, 99) == list(range(10))


def test_samples_are_spread_over_the_split_repeat_and_leave_out_what_is_empty() -> None:
    src, references = ["x"] * 100 + ["", "x"], ["x"] * 100 + ["x", " "]
    drawn = draw(src, references, 10)
    assert drawn == draw(src, references, 10) == sorted(set(drawn)) and len(drawn) == 10
    assert drawn[0] < 50 < drawn[-1] < 100
    assert draw(src, references, 1_000) == list(range(100))
