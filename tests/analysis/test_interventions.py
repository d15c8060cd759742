"""Interventions on the attention, and where in the source a model forgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.analysis import interventions as causes
from seq2seq.analysis.interventions import (
    INTERVENTIONS,
    cycle,
    evenly,
    forgetting,
    interventions,
    last,
    shuffled,
    uniform,
)
from seq2seq.analysis.subject import Subject
from seq2seq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Links
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.run import Run

Make = Callable[..., Subject]
Pairs = list[tuple[str, str]]
GREEDY = DecodeConfig(max_ratio=1.0, max_extra=3)


@pytest.fixture
def make(
    build_tiny: Callable[..., Seq2Seq], tiny_models: dict[str, ModelConfig], tiny_subwords: Subwords, pairs: Pairs
) -> Make:
    """A subject whose test split are the forty pairs (or others), without a run folder."""

    def subject(
        name: str, chosen: Pairs | None = None, gold: list[Links] | None = None, source: str = "text"
    ) -> Subject:
        config = Config(
            data=DataConfig(source=source), model=tiny_models[name], decode=replace(GREEDY, beam=3, sample=True)
        )
        translator = Translator([build_tiny(name, vocab=320)], tiny_subwords, torch.device("cpu"))
        src, references = ([pair[side] for pair in (chosen or pairs)] for side in (0, 1))
        return Subject(Run(Path("nowhere")), config, translator, src, references, (src, references), gold)

    return subject


# --------------------------------------------------------------------------------------------------- the sentences


def test_sentences_are_chosen_evenly_over_the_lengths_by_their_text_alone() -> None:
    lines = [" ".join(["word"] * length) for length in (9, 1, 8, 2, 7, 3, 6, 4, 5, 10)]
    chosen = evenly(lines, 5)
    assert sorted(len(lines[n].split()) for n in chosen) == [2, 4, 6, 8, 10]
    assert chosen == sorted(chosen)
    assert evenly(lines, 10) == evenly(lines, 99) == list(range(10))


# -------------------------------------------------------------------------------------------------- interventions


MASK = torch.tensor([[True] * 5, [True, True, True, False, False], [True, False, False, False, False]])
SHAPES = [(3, 2, 5), (3, 4, 2, 5)]  # of a recurrent decoder (B, K, S), and of a Transformer (B, H, K, S)


def weights_and_mask(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = MASK.view(3, *[1] * (len(shape) - 2), 5)
    torch.manual_seed(0)
    return torch.randn(shape).masked_fill(~mask, float("-inf")).softmax(-1), mask


@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_weights_are_equal_at_real_positions(shape: tuple[int, ...]) -> None:
    weights, mask = weights_and_mask(shape)
    found = uniform(weights, mask)
    assert found.shape == weights.shape
    for row, share in enumerate(([0.2] * 5, [1 / 3, 1 / 3, 1 / 3, 0, 0], [1.0, 0, 0, 0, 0])):
        assert torch.allclose(found[row], torch.tensor(share).expand_as(found[row]))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_last_real_state_gets_all_weight(shape: tuple[int, ...]) -> None:
    found = last(*weights_and_mask(shape))
    assert found.shape == shape
    for row, place in enumerate((4, 2, 0)):
        assert (found[row].argmax(-1) == place).all()
    assert (found.sum(-1) == 1).all() and (found.max(-1).values == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_shuffled_weights_are_a_permutation_of_the_real_positions(shape: tuple[int, ...]) -> None:
    weights, mask = weights_and_mask(shape)
    found = shuffled(weights, mask)
    assert torch.equal(found.sort(-1).values, weights.sort(-1).values)
    assert (found[~mask.expand_as(found)] == 0).all()
    moved = found != weights
    assert moved[0].all() and moved[1, ..., :3].all()  # none stays in its place
    assert torch.equal(found[2], weights[2])  # where there is but one
    positions = torch.arange(5.0).expand(shape)
    order = shuffled(positions, mask)
    assert torch.equal(order, order[:, :1].expand(shape) if len(shape) == 3 else order[:, :1, :1].expand(shape))


def test_shuffling_does_not_depend_on_the_batch() -> None:
    weights, mask = weights_and_mask(SHAPES[0])
    whole = shuffled(weights, mask)
    alone = shuffled(weights[1:2, :, :3], mask[1:2, :, :3])
    assert torch.equal(whole[1:2, :, :3], alone)


def test_a_cycle_visits_every_position() -> None:
    for length in (1, 2, 7, 30):
        place, seen = 0, []
        for _ in range(length):
            place = cycle(length)[place]
            seen.append(place)
        assert sorted(seen) == list(range(length))


def test_trained_is_what_greedy_search_gives(make: Make, name: str) -> None:
    subject = make(name)
    rows = {row["attention"]: row["hypotheses"] for row in interventions(subject)["rows"]}
    plain = [best.text for (best,) in subject.translator.translate(subject.src, GREEDY)]
    assert rows["trained"] == plain
    ids = torch.tensor([[5, 3]])
    attends = subject.model(ids, ids, attention=True).attention is not None
    assert list(rows) == (list(INTERVENTIONS) if attends else ["trained"])
    assert subject.model.attention_override is None


@pytest.mark.parametrize("name", ["bahdanau", "transformer"])
def test_each_intervention_reaches_the_search_whatever_the_batch(make: Make, name: str) -> None:
    subject = make(name)
    rows = {row["attention"]: row["hypotheses"] for row in interventions(subject)["rows"]}
    assert len({tuple(hypotheses) for hypotheses in rows.values()}) == len(INTERVENTIONS)
    for name_, reweigh in INTERVENTIONS.items():
        with causes.reweighed(subject.model, reweigh):
            alone = [subject.translator.translate([line], GREEDY)[0][0].text for line in subject.src[:6]]
        assert rows[name_][:6] == alone, name_


def test_an_intervention_ends_with_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = make("bahdanau")

    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError), causes.reweighed(subject.model, fails):  # type: ignore[arg-type]
        subject.translator.translate(subject.src, GREEDY)
    assert subject.model.attention_override is None


# ----------------------------------------------------------------------------------------------------- forgetting


def diagonal(pairs: Pairs) -> list[Links]:
    return [{(n, n) for n in range(len(src.split()))} for src, _ in pairs]


def test_rows_sum_to_what_the_evaluation_counts(make: Make, pairs: Pairs, name: str) -> None:
    subject = make(name)
    figures, _ = reference_likelihood(subject.translator, subject.src, subject.references, lambda count: None)
    rows = forgetting(subject, diagonal(pairs))["rows"]
    tokens, nll, correct = (sum(row[n] for row in rows) for n in (2, 3, 4))
    assert tokens == figures["target_tokens"]
    assert nll / tokens == pytest.approx(figures["nll"], rel=1e-5)
    assert correct / tokens == pytest.approx(figures["token_accuracy"])


def test_the_order_of_the_sentences_changes_nothing(make: Make, pairs: Pairs) -> None:
    forwards = forgetting(make("bahdanau"), diagonal(pairs))["rows"]
    backwards = forgetting(make("bahdanau", pairs[::-1]), diagonal(pairs)[::-1])["rows"]
    assert [row[:3] + row[4:] for row in forwards] == [row[:3] + row[4:] for row in backwards]
    assert [row[3] for row in forwards] == pytest.approx([row[3] for row in backwards], rel=1e-4)


def test_a_worked_example(make: Make, tiny_subwords: Subwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece counts at its word's counterpart; of two counterparts, in the middle; of none, apart."""
    subject = make("lstm", [("the cat sees home", "die Katze sieht heim")], [{(3, 0), (0, 1), (1, 1), (2, 2)}])
    pieces = tiny_subwords.tgt_tokens(tiny_subwords.encode_tgt(subject.references)[0])
    assert pieces == ["▁d", "ie", "▁", "K", "at", "z", "e", "▁s", "ie", "h", "t", "▁", "he", "i", "m", "</s>"]
    nll = [1.0] * 2 + [10.0] * 5 + [100.0] * 4 + [1000.0] * 4 + [0.5]
    monkeypatch.setattr(
        causes, "token_log_probs", lambda *_: [([-value for value in nll], [int(value == 10) for value in nll])]
    )
    assert forgetting(subject)["rows"] == [
        [4, None, 6, 4010.5, 1],  # heim, which has no link; the end mark; the space alone before Katze
        [4, 1, 4, 40.0, 4],  # Katze: words 0 and 1, rounded up
        [4, 2, 4, 400.0, 0],
        [4, 3, 2, 2.0, 0],
    ]


def test_the_grammar_counts_punctuation_as_words_but_places_do_not(make: Make) -> None:
    pair = ("the cat, the dog", "die Katze, der Hund")  # cut into five words on either side
    subject = make("lstm", [pair], [{(n, n) for n in range(5)}], source="grammar")
    assert [row[:2] for row in forgetting(subject)["rows"]] == [[4, None], [4, 0], [4, 1], [4, 2], [4, 3]]
    words = [{(n, n) for n in range(4)}]
    assert [row[:2] for row in forgetting(make("lstm", [pair]), words)["rows"]] == [
        [4, None],
        *([4, place] for place in range(4)),
    ]


def test_without_an_alignment_there_are_no_rows(make: Make) -> None:
    assert forgetting(make("lstm")) == {"rows": []}


def test_given_links_take_the_place_of_the_gold_ones(make: Make, pairs: Pairs) -> None:
    nothing: list[Links] = [set() for _ in pairs]
    rows = forgetting(make("lstm", gold=diagonal(pairs)), nothing)["rows"]
    assert {row[1] for row in rows} == {None}


def test_a_missing_alignment_is_told(make: Make) -> None:
    with pytest.raises(UserError, match="2 alignments but 40 test sentences"):
        forgetting(make("lstm"), [set(), set()])
