"""Text in, text out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from seq2seq.config.schema import DecodeConfig
from seq2seq.data.subwords import Subwords
from seq2seq.decoding import translator as module
from seq2seq.decoding.search import Hypothesis
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.models.interface import Seq2Seq
from seq2seq.system.processes import Group

LINES = ["the cat sees a dog", "", "home", "  ", "our old house runs home quickly and sees a small cat", "the dog"]
OPTIONS = DecodeConfig(beam=2, nbest=2, max_ratio=1.0, max_extra=3)


@pytest.fixture
def make(build_tiny: Callable[..., Seq2Seq], tiny_subwords: Subwords) -> Callable[..., Translator]:
    def build(*names: str) -> Translator:
        return Translator([build_tiny(name, vocab=320) for name in names], tiny_subwords, torch.device("cpu"))

    return build


def texts(found: list[list[Translation]]) -> list[list[str]]:
    return [[t.text for t in translations] for translations in found]


def test_translations_come_in_the_order_of_the_lines(telling: str, make: Callable[..., Translator]) -> None:
    translator = make(telling)
    found = translator.translate(LINES, OPTIONS)
    assert texts(found) == [texts(translator.translate([line], OPTIONS))[0] for line in LINES]


def test_an_empty_line_gives_an_empty_text_without_search(
    make: Callable[..., Translator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "search", lambda *_: pytest.fail("searched"))
    found = make("lstm").translate(["", " \u3000", "\t"], OPTIONS)
    assert texts(found) == [["", ""]] * 3


def test_no_lines_give_no_translations(make: Callable[..., Translator]) -> None:
    assert make("lstm").translate([], OPTIONS) == []


def test_batch_size_changes_nothing(make: Callable[..., Translator]) -> None:
    translator = make("bahdanau")
    found = [
        texts(translator.translate(LINES, DecodeConfig(beam=2, nbest=2, max_extra=2, batch_tokens=tokens)))
        for tokens in (1, 16, 4_000)
    ]
    assert found[0] == found[1] == found[2]


def test_batches_hold_their_source_positions(
    make: Callable[..., Translator], tiny_subwords: Subwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    search = module.search

    def watched(models: list[Seq2Seq], src: torch.Tensor, *rest: object) -> list[list[Hypothesis]]:
        sizes.append((len(src), int((src != 0).sum(1).max())))
        return search(models, src, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "search", watched)
    make("lstm").translate(LINES, DecodeConfig(beam=4, batch_tokens=20, max_ratio=0.1, max_extra=1))
    assert sum(count for count, _ in sizes) == 4
    assert all(count == 1 or count * longest <= 20 for count, longest in sizes)
    assert any(count > 1 for count, _ in sizes)
    assert [longest for _, longest in sizes] == sorted((longest for _, longest in sizes), reverse=True)


def test_a_narrow_beam_takes_more_sentences_at_once(
    make: Callable[..., Translator], monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[int] = []

    def watched(lengths: list[int], positions: int, beams: int) -> list[list[int]]:
        budgets.append(positions)
        return [[*range(len(lengths))]]

    monkeypatch.setattr(module, "batched", watched)
    translator = make("lstm")
    searches = [DecodeConfig(batch_tokens=20, max_extra=1, beam=beam) for beam in (1, 2, 3, 4, 5)]
    for options in [*searches, DecodeConfig(batch_tokens=20, max_extra=1, sample=True, nbest=2)]:
        translator.translate(LINES, options)
    assert budgets == [80, 40, 26, 20, 20, 40]


def test_done_counts_every_line_once(make: Callable[..., Translator]) -> None:
    counts: list[int] = []
    make("lstm").translate(LINES, DecodeConfig(batch_tokens=16), done=counts.append)
    assert sum(counts) == len(LINES)
    assert len(counts) > 2


@pytest.mark.parametrize("architecture", ["bahdanau", "transformer"])
def test_attention_has_a_row_a_piece_and_a_column_a_source_piece(
    architecture: str, make: Callable[..., Translator]
) -> None:
    found = make(architecture).translate(LINES, OPTIONS, attention=True)
    for t, second in (found[n] for n in (0, 2, 4, 5)):
        assert t.attention is not None
        assert second.attention is None, "of the best translation alone"
        assert t.src_tokens[-1] == t.tgt_tokens[-1] == "</s>"
        assert t.attention.shape[0] == len(t.tgt_tokens)
        assert t.attention.shape[2] == len(t.src_tokens)
        torch.testing.assert_close(t.attention.sum(-1), torch.ones(t.attention.shape[:2]))
        assert t.attention.untyped_storage().nbytes() == 4 * t.attention.numel(), "the whole batch's maps stay"


@pytest.mark.parametrize("architecture", ["bahdanau", "transformer"])
def test_the_mean_of_the_maps_can_be_all_that_is_kept(architecture: str, make: Callable[..., Translator]) -> None:
    translator = make(architecture)
    whole, mean = (translator.translate(LINES, OPTIONS, attention=True, mean=only) for only in (False, True))
    assert texts(whole) == texts(mean)
    for maps, of_maps in ((one.attention, other.attention) for (one, _), (other, _) in zip(whole, mean, strict=True)):
        assert (maps is None) == (of_maps is None)
        if maps is not None and of_maps is not None:
            torch.testing.assert_close(of_maps, maps.mean(1, keepdim=True))


def test_each_token_has_a_log_probability_where_it_is_asked_for(make: Callable[..., Translator]) -> None:
    for found in make("lstm").translate(LINES, OPTIONS, probabilities=True):
        for t in (t for t in found if t.tgt_tokens):
            assert t.token_log_probs is not None and len(t.token_log_probs) == len(t.tgt_tokens)
            assert sum(t.token_log_probs) == pytest.approx(t.log_probability, abs=1e-5)
    assert make("lstm").translate(LINES, OPTIONS)[0][0].token_log_probs is None


def test_attention_is_none_where_nothing_is_attended_to_or_asked_for(make: Callable[..., Translator]) -> None:
    assert all(t.attention is None for t in itertools.chain(*make("lstm").translate(LINES, OPTIONS, attention=True)))
    assert all(t.attention is None for t in itertools.chain(*make("bahdanau").translate(LINES, OPTIONS)))


def test_one_line_in_is_one_line_out(
    make: Callable[..., Translator], tiny_subwords: Subwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte pieces can spell a line end."""
    ids = tiny_subwords.encode_tgt(["a\nb"])[0][:-1]
    monkeypatch.setattr(module, "search", lambda *_: [[Hypothesis(ids, -1.0, -0.5)]])
    assert texts(make("lstm").translate(["x"], DecodeConfig())) == [["a b"]]


def test_autocast_is_entered_around_the_search(name: str, make: Callable[..., Translator], bf16: torch.dtype) -> None:
    translator = make(name)
    seen: list[bool] = []
    translator.models[0].output.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    translator.autocast = lambda: torch.autocast("cpu", bf16)
    found = translator.translate(LINES, OPTIONS, attention=True)
    assert seen and all(seen)
    assert [len(translations) for translations in found] == [2] * len(LINES)


def test_an_ensemble_of_one_model_twice_translates_as_the_model(make: Callable[..., Translator]) -> None:
    assert texts(make("lstm", "lstm").translate(LINES, OPTIONS)) == texts(make("lstm").translate(LINES, OPTIONS))


LONG = " ".join(["the dog"] * 12_500)  # 100 kB


def test_a_line_of_any_length_is_cut_and_the_others_are_translated_as_without_it(
    name: str, make: Callable[..., Translator]
) -> None:
    translator, options = make(name), DecodeConfig(max_input=80, max_ratio=0.3, max_extra=1)
    found = translator.translate([*LINES, LONG], options)
    assert texts(found[:-1]) == texts(translator.translate(LINES, options))
    assert [best.too_long for (best,) in found] == [False] * len(LINES) + [True]
    assert len(found[-1][0].src_tokens) == 80 and found[-1][0].src_tokens[-1] == "</s>"


def test_a_line_that_is_too_long_can_be_refused(make: Callable[..., Translator]) -> None:
    options = DecodeConfig(max_input=80, max_ratio=0.3, max_extra=1, too_long="refuse")
    counts: list[int] = []
    [refused], *others = make("bahdanau").translate([LONG, *LINES], options, done=counts.append)
    assert refused.too_long and not refused.text and not refused.src_tokens
    assert texts(others) == texts(make("bahdanau").translate(LINES, options))
    assert sum(counts) == 1 + len(LINES)


def test_the_leader_has_the_translations_of_all_processes_without_their_attention(
    make: Callable[..., Translator],
) -> None:
    """Both processes are played by one: what they tell each other is plain data."""

    class Two(Group):
        world = 2

        def share(self, items: Sequence[Any]) -> Sequence[Any]:
            return items

        def collect(self, own: Any) -> list[Any]:
            return [json.loads(json.dumps(own))]

    translator = make("bahdanau")
    alone = translator.translate(LINES, OPTIONS, attention=True)
    translator.group = Two()
    found = translator.translate(LINES, OPTIONS, attention=True)
    assert texts(found) == texts(alone)
    assert all(each.attention is None for nbest in found for each in nbest)
