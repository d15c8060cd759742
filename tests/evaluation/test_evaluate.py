"""A model and a split to figures, against figures computed one sentence at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.config.schema import BOS, EOS, PAD, DecodeConfig
from seq2seq.data import batches
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import check_lengths, evaluate, evaluating, reference_likelihood
from seq2seq.evaluation.metrics import BLEU, CHRF, TER, score
from seq2seq.models.interface import Seq2Seq

GREEDY = DecodeConfig(max_ratio=1.0, max_extra=2)


@pytest.fixture
def translator(telling: str, build_tiny: Callable[..., Seq2Seq], tiny_subwords: Subwords) -> Translator:
    """Each architecture in turn."""
    return Translator([build_tiny(telling, vocab=320)], tiny_subwords, torch.device("cpu"))


@pytest.fixture
def lstm(build_tiny: Callable[..., Seq2Seq], tiny_subwords: Subwords) -> Translator:
    return Translator([build_tiny("lstm", vocab=320, dropout=0.5)], tiny_subwords, torch.device("cpu"))


@pytest.fixture
def text(pairs: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    chosen = [*pairs[:5], ("", "ein Haus"), ("the cat", ""), ("cat " * 30, "Katze")]
    return [src for src, _ in chosen], [tgt for _, tgt in chosen]


def one_by_one(translator: Translator, src: list[str], references: list[str]) -> tuple[list[float], int, int]:
    """Each reference's log-probability; how many tokens there are and how many are the likeliest."""
    totals, tokens, correct = [], 0, 0
    model = translator.models[0]
    for line, reference in zip(src, references, strict=True):
        source = torch.tensor(translator.subwords.encode_src([line]))
        target = torch.tensor(translator.subwords.encode_tgt([reference])[0])
        with torch.inference_mode():
            logits = model.logits(model(source, torch.tensor([[BOS, *target[:-1]]])).hidden)[0].double()
        totals.append(-torch.nn.functional.cross_entropy(logits, target, reduction="sum").item())
        tokens += len(target)
        correct += int((logits.argmax(-1) == target).sum())
    return totals, tokens, correct


def test_likelihood_figures_are_those_of_one_sentence_at_a_time(
    translator: Translator, text: tuple[list[str], list[str]]
) -> None:
    src, references = text
    totals, tokens, correct = one_by_one(translator, src, references)
    found = evaluate(translator, src, references, "de", GREEDY)
    nll = -sum(totals)
    assert found.log_probability == pytest.approx(totals, abs=1e-3)
    assert found.scores["nll"] == pytest.approx(nll / tokens, rel=1e-5)
    assert found.scores["ppl"] == pytest.approx(math.exp(nll / tokens), rel=1e-4)
    assert found.scores["bits_per_character"] == pytest.approx(nll / math.log(2) / sum(map(len, references)), rel=1e-5)
    assert found.scores["token_accuracy"] == pytest.approx(correct / tokens)
    assert found.scores["target_tokens"] == tokens


def test_bits_a_character_are_of_the_characters_that_are_read(
    translator: Translator, text: tuple[list[str], list[str]]
) -> None:
    src, references = text
    ids = translator.subwords.encode_tgt(references, 3)
    read = translator.subwords.decode_tgt(ids)
    assert sum(map(len, read)) < sum(map(len, references)), "some are cut"
    likelihood, totals = reference_likelihood(translator, src, references, longest=3)
    assert likelihood["bits_per_character"] == pytest.approx(-sum(totals) / math.log(2) / sum(map(len, read)))


def test_padding_that_is_predicted_is_not_counted_right(lstm: Translator, text: tuple[list[str], list[str]]) -> None:
    with torch.no_grad():
        lstm.models[0].output.bias[PAD] = 100.0
    assert evaluate(lstm, *text, "de", GREEDY).scores["token_accuracy"] == 0


def test_translations_are_scored_against_the_untouched_references(
    lstm: Translator, text: tuple[list[str], list[str]]
) -> None:
    src, references = text
    found = evaluate(lstm, src, references, "de", GREEDY, metrics=(BLEU, CHRF, TER))
    hypotheses = [best[0].text for best in found.translations]
    assert hypotheses == [best[0].text for best in lstm.translate(src, GREEDY)]
    expected = score(hypotheses, references, "de", (BLEU, CHRF, TER))
    assert {key: found.scores[key] for key in expected} == expected
    assert found.scores["length_ratio"] == pytest.approx(sum(map(len, hypotheses)) / sum(map(len, references)))
    assert found.scores["sentences"] == len(src)


def test_batch_composition_does_not_matter(
    lstm: Translator, text: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    src, references = text
    whole = evaluate(lstm, src, references, "de", GREEDY)
    monkeypatch.setattr(batches, "SCORED_POSITIONS", 1)
    small = evaluate(lstm, src, references, "de", DecodeConfig(max_ratio=1.0, max_extra=2, batch_tokens=1))
    assert small.log_probability == pytest.approx(whole.log_probability, abs=1e-3)
    assert [t[0].text for t in small.translations] == [t[0].text for t in whole.translations]
    for figure in ("nll", "token_accuracy", "bleu", "chrf"):
        assert small.scores[figure] == pytest.approx(whole.scores[figure], rel=1e-5)


def test_order_of_the_sentences_does_not_matter(lstm: Translator, text: tuple[list[str], list[str]]) -> None:
    src, references = text
    forwards = evaluate(lstm, src, references, "de", GREEDY)
    backwards = evaluate(lstm, src[::-1], references[::-1], "de", GREEDY)
    assert backwards.log_probability[::-1] == pytest.approx(forwards.log_probability, abs=1e-3)
    assert backwards.scores["bleu"] == pytest.approx(forwards.scores["bleu"])


def test_fewer_translations_leave_the_likelihood_of_all(lstm: Translator, text: tuple[list[str], list[str]]) -> None:
    src, references = text
    whole = evaluate(lstm, src, references, "de", GREEDY)
    part = evaluate(lstm, src, references, "de", GREEDY, translate_first=3)
    assert len(part.translations) == part.scores["sentences"] == 3
    assert part.log_probability == whole.log_probability
    assert part.scores["nll"] == whole.scores["nll"]
    assert evaluate(lstm, src, references, "de", GREEDY, translate_first=99).scores["sentences"] == len(src)


def test_a_model_in_training_is_evaluated_without_dropout_and_goes_on_training(
    lstm: Translator, text: tuple[list[str], list[str]]
) -> None:
    expected = evaluate(lstm, *text, "de", GREEDY)
    lstm.models[0].train()
    found = evaluate(lstm, *text, "de", GREEDY)
    assert found.log_probability == expected.log_probability
    assert [t[0].text for t in found.translations] == [t[0].text for t in expected.translations]
    assert lstm.models[0].training


def test_modes_are_restored_after_an_error(build_tiny: Callable[..., Seq2Seq]) -> None:
    models = [build_tiny("lstm").train(), build_tiny("gru").eval()]
    with pytest.raises(KeyboardInterrupt), evaluating(models):
        assert [m.training for m in models] == [False, False]
        raise KeyboardInterrupt
    assert [m.training for m in models] == [True, False]


def test_evaluation_draws_nothing_from_the_generator(lstm: Translator, text: tuple[list[str], list[str]]) -> None:
    before = torch.get_rng_state()
    evaluate(lstm, *text, "de", DecodeConfig(beam=2, max_extra=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_done_counts_every_sentence_once(lstm: Translator, text: tuple[list[str], list[str]]) -> None:
    counts: list[int] = []
    evaluate(lstm, *text, "de", GREEDY, done=counts.append)
    assert sum(counts) == len(text[0])


def test_what_is_saved_can_be_read_line_by_line(
    lstm: Translator, text: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    found = evaluate(lstm, *text, "de", GREEDY)
    found.save(tmp_path)
    lines = (tmp_path / "hypotheses.txt").read_text(encoding="utf-8").split("\n")
    assert lines == [*(best[0].text for best in found.translations), ""]
    values = [float(line) for line in (tmp_path / "log_probability.txt").read_text().split()]
    assert values == pytest.approx(found.log_probability, abs=1e-6)
    assert json.loads((tmp_path / "scores.json").read_text()) == found.scores


def test_a_certain_reference_is_saved_with_the_sign_that_it_always_had(
    lstm: Translator, text: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    """The log-probability is the negative of a sum of negative log-probabilities: of zeros, it is -0."""
    with torch.no_grad():
        lstm.models[0].output.weight.zero_()
        lstm.models[0].output.bias.fill_(-1e9)[EOS] = 0.0
    evaluate(lstm, ["a", "b"], ["", "ein Haus"], "de", GREEDY).save(tmp_path)
    certain, impossible = (tmp_path / "log_probability.txt").read_text().splitlines()
    assert certain == "-0.000000"
    assert float(impossible) < -1e8


def test_a_diverged_model_is_evaluated_to_nan_not_to_a_crash(
    lstm: Translator, text: tuple[list[str], list[str]]
) -> None:
    with torch.no_grad():
        lstm.models[0].output.bias.fill_(math.nan)
    found = evaluate(lstm, *text, "de", DecodeConfig(beam=3))
    assert math.isnan(found.scores["nll"])
    assert [best[0].text for best in found.translations] == [""] * len(text[0])


def test_lines_of_any_length_are_cut_and_named(lstm: Translator, text: tuple[list[str], list[str]]) -> None:
    src, references = text
    long = "the dog " * 5_000
    options = DecodeConfig(max_input=100, max_ratio=1.0, max_extra=2)
    found = evaluate(lstm, [*src, long], [*references, long], "de", options)
    own = evaluate(lstm, src, references, "de", options)
    assert found.log_probability[:-1] == pytest.approx(own.log_probability, abs=1e-3)
    assert found.scores["target_tokens"] == own.scores["target_tokens"] + 100
    told = check_lengths(lstm.subwords, [*src, long], references, options, where="valid ")
    assert told == [f"valid source line {len(src) + 1}: more than decode.max_input=100 tokens: only the first are read"]
    assert check_lengths(lstm.subwords, src, references, options) == []
    refusing = replace(options, too_long="refuse")
    with pytest.raises(UserError, match=r"reference line 1: more than decode\.max_input=100 tokens: shorten"):
        check_lengths(lstm.subwords, src, [long, *references[1:]], refusing)
    with pytest.raises(UserError, match="references:1: 40,000 characters: TER takes at most 10,000 in a line"):
        check_lengths(lstm.subwords, src, [long, *references[1:]], options, (BLEU, TER))
