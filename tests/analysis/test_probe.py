"""A probe that finds words where they are, and none where they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seq2seq.analysis import probe
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.analysis.probe import Examples, answers, by_sentence, deal, examples, frequent, named, normal, predict
from seq2seq.config.schema import Config, DataConfig, GrammarConfig, ModelConfig, SplitConfig
from seq2seq.data import batches
from seq2seq.data.lengths import CHARACTERS
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.run import Run

Pairs = list[tuple[str, str]]
WORDS = 12


def draw(count: int, seed: int) -> tuple[list[int], torch.Tensor]:
    """Lengths, and words present: more in longer sentences, and some words more often than others."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 8, (count,), generator=generator)
    chance = lengths[:, None] / 10 * torch.linspace(1, 0.3, WORDS)
    return lengths.tolist(), torch.rand(count, WORDS, generator=generator) < chance


def sets(encode: Callable[[list[int], torch.Tensor, int], torch.Tensor]) -> list[Examples]:
    """To fit on, to choose by and to test on, with vectors made by ``encode`` of lengths and words."""
    found = []
    for seed, count in enumerate((600, 100, 300)):
        lengths, present = draw(count, seed)
        found.append(Examples(lengths, encode(lengths, present, seed), present))
    return found


def share(parts: list[Examples]) -> float:
    return int(answers(*parts).sum()) / int(parts[2].present.sum())


MIXED = torch.randn(WORDS, 20, generator=torch.Generator().manual_seed(9))


def holding(lengths: list[int], present: torch.Tensor, seed: int) -> torch.Tensor:
    noise = torch.randn(len(lengths), 20, generator=torch.Generator().manual_seed(seed))
    return present.float() @ MIXED + 0.05 * noise


def noise(lengths: list[int], present: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.randn(len(lengths), 20, generator=torch.Generator().manual_seed(100 + seed))


def length_alone(lengths: list[int], present: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(lengths), 20).float()


def test_words_are_recovered_from_a_vector_that_holds_them() -> None:
    parts = sets(holding)
    assert share(parts) > 0.98
    assert share([deal(part) for part in parts]) < 0.75  # the baseline's words are not in them


@pytest.mark.parametrize("encode", [noise, length_alone])
def test_nothing_is_selected_from_a_vector_that_does_not_hold_them(encode: Callable[..., torch.Tensor]) -> None:
    parts = sets(encode)
    assert abs(share(parts) - share([deal(part) for part in parts])) < 0.06


def test_the_baseline_deals_the_words_among_sentences_of_a_length() -> None:
    lengths = [3, 5, 3, 4, 5, 3, 9]
    names = torch.eye(7, dtype=torch.bool)  # each sentence has a word of its own
    dealt = deal(Examples(lengths, torch.arange(7.0)[:, None], names))
    givers = dealt.present.int().argmax(1).tolist()
    assert sorted(givers) == list(range(7))
    assert all(giver != n for n, giver in enumerate(givers))
    assert {lengths[givers[n]] for n in (0, 2, 5)} == {3}
    assert all(lengths[givers[n]] >= 4 for n in (1, 3, 4, 6))  # 4 and 9 are alone: they share with the fives
    assert dealt.lengths == lengths and torch.equal(dealt.vectors[:, 0], torch.arange(7.0))


def test_the_probe_is_ridge_regression_on_standardised_vectors() -> None:
    fitted, _, test = sets(holding)
    x = fitted.vectors.double().numpy()
    mean, deviation = x.mean(0), x.std(0, ddof=1) + 1e-6
    x = (x - mean) / deviation
    y = fitted.present.double().numpy()
    damped = np.concatenate([x, np.sqrt(0.1 * len(x)) * np.eye(20)])  # ridge as least squares with more rows
    weights, *_ = np.linalg.lstsq(damped, np.concatenate([y - y.mean(0), np.zeros((20, WORDS))]), rcond=None)
    wanted = (test.vectors.double().numpy() - mean) / deviation @ weights + y.mean(0)
    np.testing.assert_allclose(predict(fitted, test.vectors, 0.1).numpy(), wanted, atol=1e-5)


def test_as_many_words_are_named_as_the_sentence_has() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5, 0.4], [0.9, 0.1, 0.5, 0.4], [0.1, 0.2, 0.3, 0.4]])
    present = torch.tensor([[1, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]).bool()
    found = named(scores, present)
    assert found.int().tolist() == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert by_sentence(Examples([5, 3, 3], scores, present), found) == [[5, 2, 1], [3, 3, 2], [3, 0, 0]]


def test_words_are_asked_for_by_frequency_but_not_those_that_are_everywhere() -> None:
    lines = ["The cat, the dog", "the dog!", "the “dog’s” bird", "the end of", "the cat -"]
    assert normal(lines[0]) == ["the", "cat", "the", "dog"] and normal(lines[2])[1] == "dog’s"
    assert normal("“हिन्दी”। है? कि,") == ["हिन्दी", "है", "कि"]  # vowel signs at the ends of words
    assert normal("这本书，300页。", CHARACTERS) == ["这", "本", "书", "", "300", "页", ""]
    assert list(frequent(lines)) == ["cat", "dog", "dog’s", "bird", "end", "of"]  # neither the, nor the dash


# -------------------------------------------------------------------------------------------------------- a model


@pytest.fixture
def run(
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: Pairs,
    tmp_path: Path,
) -> LoadedRun:
    """An untrained model that has read a few words; the first pairs are the test."""
    files = [str(tmp_path / f"train.{side}") for side in ("src", "tgt")]
    for side, file in enumerate(files):
        Path(file).write_text("".join(f"{pair[side]}\n" for pair in pairs))
    given = SplitConfig(src=files[0], tgt=files[1])
    config = Config(data=DataConfig(source="text", train=given, valid=given, test=given), model=tiny_models["lstm"])
    translator = Translator([build_tiny("lstm", vocab=320)], tiny_subwords, torch.device("cpu"))
    src, references = ([pair[side] for pair in pairs] for side in (0, 1))
    return LoadedRun(
        Run(tmp_path), config, translator, src[:15], references[:15], (src[15:20], references[15:20]), None
    )


def test_vectors_do_not_depend_on_the_batch(run: LoadedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = examples(run.translator, run.src, {"the": 0, "cat": 1})
    monkeypatch.setattr(batches, "SCORED_POSITIONS", 1)
    assert torch.allclose(examples(run.translator, run.src, {"the": 0}).vectors, whole.vectors, atol=1e-6)
    with torch.inference_mode():
        ids = torch.tensor(run.translator.subwords.encode_src(run.src[3:4]))
        memory = run.model.encode(ids)
        vector = run.model.decoder.bottleneck(memory)
    assert vector is not None and torch.allclose(vector[0], whole.vectors[3], atol=1e-6)
    assert whole.present.tolist() == [["the" in line.split(), "cat" in line.split()] for line in run.src]
    assert whole.lengths == [len(line.split()) for line in run.src]


def test_what_is_measured_adds_up(run: LoadedRun) -> None:
    found = probe.measure(run)
    assert found["vector"] == "bottleneck" and found["units"] == 9
    words = sum(len({word for word in line.split() if word in found["asked"]}) for line in run.src)
    assert sum(row[1] for row in found["rows"]) == sum(row[1] for row in found["baseline"]) == words > 20
    assert sum(row[2] for row in found["rows"]) / words == pytest.approx(found["recall"])
    assert [row[0] for row in found["rows"]] == [len(line.split()) for line in run.src]
    assert found["narrow_units"] == 9 and found["narrow"] == found["rows"]  # no wider than what is compared
    assert all(0 <= place < 5 and hits <= count for _, place, count, hits in found["places"])
    assert sum(row[2] for row in found["places"]) <= words
    assert probe.measure(run) == found


def test_wide_vectors_are_also_probed_at_a_width_that_all_have(run: LoadedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "NARROW", 3)
    found = probe.measure(run)
    assert (found["units"], found["narrow_units"]) == (9, 3)
    assert found["narrow"] != found["rows"]
    assert sum(row[2] for row in found["narrow"]) / sum(row[1] for row in found["narrow"]) == found["narrow_recall"]
    one = probe.projected(Examples([1], torch.eye(9)[:1], torch.ones(1, 2)))
    assert torch.equal(one.vectors, probe.projected(one).vectors) and one.vectors.shape == (1, 3)


def test_a_model_without_a_bottleneck_is_probed_by_its_summary(
    run: LoadedRun, build_tiny: Callable[..., Seq2Seq], tiny_models: dict[str, ModelConfig]
) -> None:
    config = replace(run.config, model=tiny_models["transformer"])
    translator = Translator([build_tiny("transformer", vocab=320)], run.translator.subwords, torch.device("cpu"))
    assert probe.measure(replace(run, config=config, translator=translator))["vector"] == "summary"


def test_the_probe_is_fitted_on_training_text_that_is_not_in_the_test(run: LoadedRun, pairs: Pairs) -> None:
    assert probe.fitting_text(run) == [src for src, _ in pairs if src not in run.src]


@pytest.mark.parametrize(("language", "word"), [("en", "the"), ("de", "die")])
def test_the_grammar_writes_new_sentences_of_the_lengths_of_the_test(
    run: LoadedRun, monkeypatch: pytest.MonkeyPatch, language: str, word: str
) -> None:
    monkeypatch.setattr(probe, "FITTED", 30)
    data = DataConfig(source="grammar", src=language, grammar=GrammarConfig(min_words=4))
    generated = replace(run, config=Config(data=data))
    lines = probe.fitting_text(generated)
    assert lines == probe.fitting_text(generated) and len(set(lines)) > 25
    assert word in " ".join(lines).lower().split()
    if language == "en":
        assert {len(line.split()) for line in lines} == {max(len(line.split()), 4) for line in run.src}
    tested = replace(generated, src=[lines[0], *run.src[1:]])
    assert lines[0] not in probe.fitting_text(tested)


@pytest.mark.parametrize("fitted", [4, 30, 12 * 3])
def test_sentences_of_all_lengths_are_written_whatever_the_size_of_the_test(
    run: LoadedRun, monkeypatch: pytest.MonkeyPatch, fitted: int
) -> None:
    monkeypatch.setattr(probe, "FITTED", fitted)
    test = sorted(run.src, key=lambda line: len(line.split()))
    generated = replace(run, src=test, config=Config(data=DataConfig(source="grammar")))
    wanted = [max(len(line.split()), 3) for line in test]
    lengths = [len(line.split()) for line in probe.fitting_text(generated)]
    assert abs(sum(lengths) / len(lengths) - sum(wanted) / len(wanted)) < 0.25 * (max(wanted) - min(wanted))


def test_without_a_sentence_of_its_own_there_is_no_probe(run: LoadedRun, pairs: Pairs) -> None:
    with pytest.raises(UserError, match="every training sentence is a test sentence too"):
        probe.measure(replace(run, src=[src for src, _ in pairs]))
