"""Translations beyond the trained lengths and under other searches, costs, and what the explorer shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sacrebleu.metrics.chrf import CHRF

from seq2seq.analysis import behaviour
from seq2seq.analysis.subject import Subject
from seq2seq.config.schema import Config, DataConfig, DecodeConfig, GrammarConfig, ModelConfig
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.search import Hypothesis
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.models.interface import Seq2Seq
from seq2seq.report.page.document import Output
from seq2seq.runs.run import Run

Make = Callable[..., Subject]
Pairs = list[tuple[str, str]]
OPTIONS = DecodeConfig(beam=3, max_ratio=1.0, max_extra=2)


@pytest.fixture
def make(
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: Pairs,
    tmp_path: Path,
) -> Make:
    """A subject whose test split are the first twelve pairs, and whose validation split is the next six."""

    def subject(name: str, **data: object) -> Subject:
        options = DataConfig(**{"source": "text", **data})  # type: ignore[arg-type]
        translator = Translator([build_tiny(name, vocab=320)], tiny_subwords, torch.device("cpu"))
        src, references = ([pair[side] for pair in pairs] for side in (0, 1))
        config = Config(data=options, model=tiny_models[name], decode=OPTIONS)
        return Subject(
            Run(tmp_path), config, translator, src[:12], references[:12], (src[12:18], references[12:18]), None
        )

    return subject


def texts(subject: Subject, lines: list[str], options: DecodeConfig) -> list[str]:
    return [best.text for (best,) in subject.translator.translate(lines, options)]


# -------------------------------------------------------------------------------------------------- extrapolation


def test_lines_and_references_are_joined_alike(pairs: Pairs) -> None:
    src = [f"s{n} ." for n in range(13)]
    sets = behaviour.joined(src, [f"t{n} !" for n in range(13)])
    assert [(each["parts"], len(each["src"])) for each in sets] == [(2, 6), (3, 4), (4, 3)]
    for each in sets:
        for line, reference in zip(each["src"], each["references"], strict=True):
            assert reference == line.replace("s", "t").replace(".", "!")
            assert line.count("s") == each["parts"]
        used = " ".join(each["src"]).split(" . ")
        assert len(set(used)) == len(used)  # no sentence twice
    order = [" ".join(each["src"]) for each in sets]
    assert all(order[0].startswith(other[:20]) for other in order)  # one order, cut into longer and longer parts
    assert "s0 . s1 . s2" not in order[0]
    assert behaviour.joined(src, [f"t{n} !" for n in range(13)]) == sets


def test_the_grammar_goes_on_where_its_training_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "LONG", 21)
    english = make("lstm", source="grammar", grammar=GrammarConfig(max_words=12))
    sets = behaviour.generated(english)
    assert [each["name"] for each in sets] == ["13–32 words", "33–52 words", "53–72 words"]
    for first, each in zip((13, 33, 53), sets, strict=True):
        assert [len(line.split()) for line in each["src"]] == [*range(first, first + 20), first]
        assert len(each["references"]) == 21
    german = behaviour.generated(
        make("lstm", source="grammar", src="de", tgt="en", grammar=GrammarConfig(max_words=12))
    )
    assert [each["src"] for each in german] == [each["references"] for each in sets]
    assert [each["references"] for each in german] == [each["src"] for each in sets]


def test_other_corpora_are_only_joined(make: Make, name: str) -> None:
    subject = make(name)
    found = behaviour.extrapolation(subject)
    assert [each["kind"] for each in found["sets"]] == ["joined"] * 3 and found["beam"] == 3
    for each in found["sets"]:
        assert each["hypotheses"] == texts(subject, each["src"], OPTIONS)


# --------------------------------------------------------------------------------------------------------- search


def evaluated(subject: Subject, hypotheses: list[str], log_probability: list[float]) -> Subject:
    folder = subject.run.evaluation("test")
    folder.mkdir(parents=True)
    (folder / "hypotheses.txt").write_text("".join(f"{line}\n" for line in hypotheses))
    (folder / "log_probability.txt").write_text("".join(f"{value:.6f}\n" for value in log_probability))
    return subject


def test_validation_sentences_are_searched_in_six_ways(make: Make) -> None:
    subject = make("bahdanau")
    _, scored = reference_likelihood(subject.translator, subject.src, subject.references, lambda count: None)
    found = behaviour.search(evaluated(subject, subject.references, scored))
    assert (found["src"], found["references"]) == subject.valid
    assert len(found["rows"]) == 6
    for row in found["rows"]:
        options = replace(OPTIONS, beam=row["beam"], length_penalty=row["length_penalty"])
        assert row["hypotheses"] == texts(subject, subject.valid[0], options)
        assert row["seconds"] > 0
    ways = [(row["beam"], row["length_penalty"]) for row in found["rows"]]
    assert ways == [(1, "average"), (2, "average"), (5, "average"), (10, "average"), (5, "none"), (5, "gnmt")]
    assert found["preference"]["total"] == {"higher": 0, "lower": 0, "same": 1}


def test_whether_the_model_prefers_its_own_output(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four translations of twelve are like the reference, three likelier in all, but two of these not by piece."""
    subject = make("lstm")
    own = [*subject.references[:4], *["die Katze"] * 8]
    length = {
        line: len(subject.translator.subwords.encode_tgt([line])[0]) for line in [*subject.references, "die Katze"]
    }
    ours = [0.0] * 4 + [-1.0, -1.0, -1.0] + [-9.0] * 5
    theirs = [0.0] * 4 + [-9.0 * length[subject.references[4]], *(-1.01 for _ in range(2)), *[-2.0] * 5]
    assert all(length[line] > length["die Katze"] * 1.1 for line in subject.references[5:7])
    monkeypatch.setattr(behaviour, "reference_likelihood", lambda *_: ({}, ours))
    found = behaviour.preference(evaluated(subject, own, theirs))
    assert found["total"] == {"higher": 3 / 12, "lower": 5 / 12, "same": 4 / 12}
    assert found["average"] == {"higher": 1 / 12, "lower": 7 / 12, "same": 4 / 12}


# ----------------------------------------------------------------------------------------------------------- cost


def test_every_output_is_made_as_long_as_its_source(make: Make, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(behaviour, "COST_WORDS", (3, 6))
    monkeypatch.setattr(behaviour, "REPEATS", 1)
    made: list[tuple[int, int]] = []
    search = behaviour.decoding.search

    def watched(models: object, src: torch.Tensor, options: DecodeConfig) -> list[list[Hypothesis]]:
        found = search(models, src, options)  # type: ignore[arg-type]
        made.extend((src.shape[1], len(best.ids)) for (best,) in found)
        return found

    monkeypatch.setattr(behaviour.decoding, "search", watched)
    rows = behaviour.cost(make(name))["rows"]
    assert all(source == output for source, output in made)
    assert [row["pieces"] for row in rows for _ in range(4)] == [source for source, _ in made]
    assert all(row["greedy_seconds"] > 0 and row["beam_seconds"] > 0 for row in rows)


def test_bytes_by_hand(build_tiny: Callable[..., Seq2Seq], sentences: Callable[..., torch.Tensor]) -> None:
    """float32, and a byte a position for the mask; see the widths in tests/conftest.py."""
    src = sentences([10])
    memory = {"states": 10 * 12 * 4, "mask": 10, "summary": 12 * 4}
    context = 9 * 4 + 4 * 10 * 4 + 8 * 4  # the vector, and what it adds to the gates and to the readout
    assert behaviour.held(build_tiny("lstm"), src, 7) == ({**memory, "keys": context}, 2 * 10 * 4)
    keys = 10 * 7 * 4 + 10 * 4  # and the padding's energies
    assert behaviour.held(build_tiny("bahdanau"), src, 7) == ({**memory, "keys": keys}, 2 * 10 * 4)
    assert behaviour.held(build_tiny("bahdanau-dot"), src, 7)[0]["keys"] == 10 * 4  # its keys are the states
    narrow = {"states": 10 * 8 * 4, "mask": 10, "summary": 8 * 4, "keys": 2 * 10 * 8 * 4 * 2}
    # Two layers, keys and values, whose places come in eights.
    assert behaviour.held(build_tiny("transformer"), src, 7) == (narrow, 2 * 8 * 8 * 4 * 2)
    assert behaviour.held(build_tiny("transformer"), src, 9) == (narrow, 2 * 16 * 8 * 4 * 2)


# ------------------------------------------------------------------------------------------------------- explorer


def test_the_explorer_has_words_and_where_they_looked(make: Make, name: str) -> None:
    subject = make(name)
    found = json.loads(json.dumps(behaviour.explorer(subject)))
    _, scored = reference_likelihood(subject.translator, subject.src, subject.references, lambda count: None)
    translations = texts(subject, subject.src, OPTIONS)
    assert [each["index"] for each in found["sentences"]] == list(range(12))
    for n, each in enumerate(found["sentences"]):
        assert each["src"] == subject.src[n].split() and each["reference"] == subject.references[n]
        assert each["words"] == translations[n].split()
        pieces = len(subject.translator.subwords.encode_tgt([subject.references[n]])[0])
        assert each["nll"] == pytest.approx(-scored[n] / pieces, rel=1e-4)
        wanted = CHRF().sentence_score(translations[n], [subject.references[n]]).score
        assert each["chrf"] == pytest.approx(wanted)
        assert len(each["attention"]) == len(found["maps"])
        for matrix in each["attention"]:
            assert [len(row) for row in matrix] == [len(each["src"])] * len(each["words"])
            assert all(-1e-9 <= sum(row) <= 1 + 0.001 * len(row) for row in matrix)
        Output(**{key: each[key] for key in ("words", "nll", "chrf", "attention")})


def test_attention_is_shown_by_words() -> None:
    """Source pieces summed, target pieces averaged, the end marks left out: by hand, for two maps."""
    first = torch.tensor(
        [[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    second = torch.tensor([0.1, 0.2, 0.33333, 0.36667]).expand(4, 4)
    maps = torch.stack([first, second], 1)  # (T, H, S)
    best = Translation("x yz", 0.0, 0.0, ["▁a", "b", "▁c", "</s>"], ["▁x", "▁y", "z", "</s>"], maps)
    wanted = [[[0.75, 0.125], [0.75, 0.25]], [[0.3, 0.333], [0.3, 0.333]]]
    assert behaviour.looked(best, "ab c", ["ab", "c"], ["x", "yz"]) == wanted


def test_attention_maps_are_named_by_layer_and_head(make: Make, build_tiny: Callable[..., Seq2Seq]) -> None:
    subject = make("transformer")
    decoder = replace(subject.config.model.decoder)
    decoder.heads = 2  # type: ignore[attr-defined]
    config = replace(subject.config, model=replace(subject.config.model, decoder=decoder))
    wanted = ["layer 1, head 1", "layer 1, head 2", "layer 2, head 1", "layer 2, head 2"]
    assert behaviour.explorer(replace(subject, config=config))["maps"] == wanted
    assert behaviour.explorer(make("bahdanau"))["maps"] == ["attention"]
    assert behaviour.explorer(make("lstm"))["maps"] == []


def test_an_empty_sentence_has_nothing_to_show(make: Make) -> None:
    subject = make("bahdanau")
    found = behaviour.explorer(replace(subject, src=["", *subject.src[1:]]))["sentences"]
    assert (found[0]["src"], found[0]["words"], found[0]["attention"]) == ([], [], [])
    assert found[1]["attention"]
