"""Sentences of the explorer: words, scores and where each map looked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from sacrebleu.metrics.chrf import CHRF

from seq2seq.analysis import explorer
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import DecodeConfig
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.records import ExploredSentence

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]
Texts = Callable[[LoadedRun, list[str], DecodeConfig], list[str]]


def test_the_explorer_has_words_and_where_they_looked(
    make: Make, name: str, texts: Texts, options: DecodeConfig
) -> None:
    run = make(name)
    found = json.loads(json.dumps(explorer.measure(run)))
    _, scored = reference_likelihood(run.translator, run.src, run.references, lambda count: None)
    translations = texts(run, run.src, options)
    assert [each["index"] for each in found["sentences"]] == list(range(12))
    for n, each in enumerate(found["sentences"]):
        assert each["src"] == run.src[n].split() and each["reference"] == run.references[n]
        assert each["words"] == translations[n].split()
        tokens = len(run.translator.subwords.encode_tgt([run.references[n]])[0])
        assert each["nll"] == pytest.approx(-scored[n] / tokens, rel=1e-4)
        wanted = CHRF().sentence_score(translations[n], [run.references[n]]).score
        assert each["chrf"] == pytest.approx(wanted)
        assert len(each["attention"]) == len(found["maps"])
        for matrix in each["attention"]:
            assert [len(row) for row in matrix] == [len(each["src"])] * len(each["words"])
            assert all(-1e-9 <= sum(row) <= 1 + 0.001 * len(row) for row in matrix)
        assert each.keys() == ExploredSentence.__annotations__.keys()


def test_attention_is_shown_by_words() -> None:
    """Source tokens summed, target tokens averaged, EOS left out: by hand, for two maps."""
    first = torch.tensor(
        [[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    second = torch.tensor([0.1, 0.2, 0.33333, 0.36667]).expand(4, 4)
    maps = torch.stack([first, second], 1)  # (T, H, S)
    best = Translation("x yz", 0.0, 0.0, ["▁a", "b", "▁c", "</s>"], ["▁x", "▁y", "z", "</s>"], maps)
    wanted = [[[0.75, 0.125], [0.75, 0.25]], [[0.3, 0.333], [0.3, 0.333]]]
    assert explorer.rounded_attention(best, "ab c", ["ab", "c"], ["x", "yz"]) == wanted


def test_attention_maps_are_named_by_layer_and_head(make: Make, build_tiny: Callable[..., Seq2Seq]) -> None:
    run = make("transformer")
    decoder = replace(run.config.model.decoder)
    decoder.heads = 2  # type: ignore[attr-defined]
    config = replace(run.config, model=replace(run.config.model, decoder=decoder))
    wanted = ["layer 1, head 1", "layer 1, head 2", "layer 2, head 1", "layer 2, head 2"]
    assert explorer.measure(replace(run, config=config))["maps"] == wanted
    assert explorer.measure(make("bahdanau"))["maps"] == ["attention"]
    assert explorer.measure(make("lstm"))["maps"] == []


def test_an_empty_sentence_has_nothing_to_show(make: Make) -> None:
    run = make("bahdanau")
    found = explorer.measure(replace(run, src=["", *run.src[1:]]))["sentences"]
    assert (found[0]["src"], found[0]["words"], found[0]["attention"]) == ([], [], [])
    assert found[1]["attention"]
