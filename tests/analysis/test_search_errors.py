"""Translations by several searches, and whether models prefer their own output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from seq2seq.analysis import search_errors
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import DecodeConfig
from seq2seq.evaluation.evaluate import reference_likelihood

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]
Texts = Callable[[LoadedRun, list[str], DecodeConfig], list[str]]


def evaluated(run: LoadedRun, hypotheses: list[str], log_probability: list[float]) -> LoadedRun:
    folder = run.run.evaluation("test")
    folder.mkdir(parents=True)
    (folder / "hypotheses.txt").write_text("".join(f"{line}\n" for line in hypotheses))
    (folder / "log_probability.txt").write_text("".join(f"{value:.6f}\n" for value in log_probability))
    return run


def test_validation_sentences_are_searched_in_six_ways(make: Make, texts: Texts, options: DecodeConfig) -> None:
    run = make("bahdanau")
    _, scored = reference_likelihood(run.translator, run.src, run.references, lambda count: None)
    found = search_errors.measure(evaluated(run, run.references, scored))
    assert (found["src"], found["references"]) == run.valid
    assert len(found["rows"]) == 6
    for row in found["rows"]:
        changed = replace(options, beam=row["beam"], length_penalty=row["length_penalty"])
        assert row["hypotheses"] == texts(run, run.valid[0], changed)
        assert row["seconds"] > 0
    ways = [(row["beam"], row["length_penalty"]) for row in found["rows"]]
    assert ways == [(1, "average"), (2, "average"), (5, "average"), (10, "average"), (5, "none"), (5, "gnmt")]
    assert found["preference"]["total"] == {"higher": 0, "lower": 0, "same": 1}


def test_whether_the_model_prefers_its_own_output(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four translations of twelve are like the reference, three likelier in all, but two of these not by token."""
    run = make("lstm")
    own = [*run.references[:4], *["die Katze"] * 8]
    length = {line: len(run.translator.subwords.encode_tgt([line])[0]) for line in [*run.references, "die Katze"]}
    ours = [0.0] * 4 + [-1.0, -1.0, -1.0] + [-9.0] * 5
    theirs = [0.0] * 4 + [-9.0 * length[run.references[4]], *(-1.01 for _ in range(2)), *[-2.0] * 5]
    assert all(length[line] > length["die Katze"] * 1.1 for line in run.references[5:7])
    monkeypatch.setattr(search_errors, "reference_likelihood", lambda *_, longest: ({}, ours))
    found = search_errors.preference(evaluated(run, own, theirs))
    assert found["total"] == {"higher": 3 / 12, "lower": 5 / 12, "same": 4 / 12}
    assert found["average"] == {"higher": 1 / 12, "lower": 7 / 12, "same": 4 / 12}


def test_own_output_is_cut_where_the_reference_was(make: Make) -> None:
    run = make("lstm")
    short = replace(run.config, decode=replace(run.config.decode, max_input=4))
    cut = replace(run, config=short)
    _, scored = reference_likelihood(run.translator, run.src, run.references, longest=4)
    own = [f"{reference} {reference}" for reference in run.references]  # begin as the references do
    found = search_errors.preference(evaluated(cut, own, [value - 1e-3 for value in scored]))
    assert found["total"]["higher"] == found["average"]["higher"] == 1
