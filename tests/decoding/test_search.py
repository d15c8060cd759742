"""Search against brute force, against greedy loops over the uncached path, and on hand-made models."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import seq2seq.decoding.ensemble as ensembles
import seq2seq.decoding.search as searching
from seq2seq.config.schema import BOS, EOS, PAD, UNK, DecodeConfig
from seq2seq.decoding.ensemble import score_targets, teacher_forced_log_probs
from seq2seq.decoding.search import Hypothesis, length_penalty, search, truncate
from seq2seq.models.interface import DecoderOutput, Memory, Seq2Seq, State, Step
from seq2seq.models.kernels.linear import prepacked_weights

Build = Callable[..., Seq2Seq]
Sentences = Callable[..., Tensor]
NEVER = [PAD, UNK, BOS]
LENGTHS = [6, 2, 9, 4]


class Markov:
    """A hand-made model: the next token depends on the last one alone, by a table of logits (V, V)."""

    def __init__(self, table: Tensor) -> None:
        self.table, self.decoder = table, self

    def encode(self, src: Tensor) -> Memory:
        return Memory(src[..., None].float(), src != PAD, src.float())

    def init_state(self, memory: Memory) -> State:
        return {}

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        return Step(self.table[token], state, None)

    def __call__(self, src: Tensor, tgt_in: Tensor) -> DecoderOutput:
        return DecoderOutput(self.table[tgt_in], None)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def markov(vocab: int, seed: int = 0, scale: float = 1.0) -> Markov:
    return Markov(scale * torch.randn(vocab, vocab, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def src(sentences: Sentences) -> Tensor:
    return sentences(LENGTHS, seed=5)


def one(row: Tensor) -> Tensor:
    """A sentence as a batch of its own, without padding."""
    return row[row != PAD][None]


def forced_score(models: Sequence[Seq2Seq], row: Tensor, ids: list[int]) -> float:
    predicted = teacher_forced_log_probs(models, one(row), torch.tensor([[BOS, *ids]]))[0]
    return sum(predicted[t, token].item() for t, token in enumerate([*ids, EOS]))


def limit(row: Tensor, options: DecodeConfig) -> int:
    return int(int((row != PAD).sum()) * options.max_ratio + options.max_extra)


def greedy(model: Seq2Seq, row: Tensor, longest: int) -> list[int]:
    """The likeliest token, again and again, by the uncached path."""
    ids: list[int] = []
    while len(ids) < longest:
        logits = model.logits(model(one(row), torch.tensor([[BOS, *ids]])).hidden)[0, -1]
        logits[NEVER] = -math.inf
        token = int(logits.argmax())
        if token == EOS:
            break
        ids.append(token)
    return ids


def texts(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[h.ids for h in hypotheses] for hypotheses in found]


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert texts(found) == texts(expected)
    for h, e in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert h.log_probability == pytest.approx(e.log_probability, abs=1e-4)
        assert h.score == pytest.approx(e.score, abs=1e-4)


# --------------------------------------------------------------------------------------------- every architecture


@pytest.fixture
def model(telling_model: Seq2Seq) -> Seq2Seq:
    """Every kind; the variants of each are searched by the slow tests."""
    return telling_model


@pytest.mark.parametrize("leave", [1.0, 0.0])
@torch.inference_mode()
def test_a_beam_of_one_is_greedy(leave: float, model: Seq2Seq, src: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LEAVE", leave)
    options = DecodeConfig(max_ratio=1.0, max_extra=3)
    found = texts(search([model], src, options))
    assert found == [[greedy(model, row, limit(row, options))] for row in src]


@torch.inference_mode()
def test_log_probabilities_are_those_of_forced_scoring(model: Seq2Seq, src: Tensor) -> None:
    found = search([model], src, DecodeConfig(beam=4, nbest=4, max_ratio=1.0, max_extra=2))
    for row, hypotheses in zip(src, found, strict=True):
        for h in hypotheses:
            assert h.log_probability == pytest.approx(forced_score([model], row, h.ids), abs=1e-4)


@pytest.mark.parametrize("sample", [False, True])
@torch.inference_mode()
def test_log_probabilities_of_tokens_are_those_of_teacher_forcing(sample: bool, model: Seq2Seq, src: Tensor) -> None:
    options = DecodeConfig(beam=3, nbest=3, max_ratio=1.0, max_extra=2, sample=sample)
    found = search([model], src, options, probabilities=True)
    for row, hypotheses in zip(src, found, strict=True):
        for h in hypotheses:
            log_probs = teacher_forced_log_probs([model], one(row), torch.tensor([[BOS, *h.ids]]))[0]
            expected = log_probs[range(len(h.ids) + 1), [*h.ids, EOS]].tolist()
            assert h.token_log_probs == pytest.approx(expected, abs=1e-4)
            assert sum(h.token_log_probs or []) == pytest.approx(h.log_probability, abs=1e-5)
    assert search([model], src, options)[0][0].token_log_probs is None


@torch.inference_mode()
def test_attention_that_survives_the_beam_is_that_of_teacher_forcing(model: Seq2Seq, src: Tensor) -> None:
    found = search([model], src, DecodeConfig(beam=3, nbest=3, max_ratio=1.0, max_extra=2), attention=True)
    for row, hypotheses in zip(src, found, strict=True):
        for h in hypotheses:
            expected = model(one(row), torch.tensor([[BOS, *h.ids]]), attention=True).attention
            if expected is None:
                assert h.attention is None
                continue
            assert h.attention is not None and h.attention.shape[0] == len(h.ids) + 1
            length = expected.shape[-1]
            torch.testing.assert_close(h.attention[..., :length], expected[0].transpose(0, 1), atol=1e-5, rtol=1e-5)
            assert not h.attention[..., length:].any()


@pytest.mark.parametrize("leave", [1.0, 0.5, 0.0])
def test_sentences_are_translated_together_as_alone(
    leave: float, model: Seq2Seq, src: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some finish early and leave the batch, at once or together; padding and order change nothing either."""
    monkeypatch.setattr(searching, "LEAVE", leave)
    options = DecodeConfig(beam=3, nbest=3, max_ratio=1.0, max_extra=2)
    together = search([model], src, options)
    alone = [search([model], one(row), options)[0] for row in src]
    assert_same(together, alone)
    order = [2, 0, 3, 1]
    assert_same(search([model], torch.nn.functional.pad(src[order], (0, 5)), options), [together[n] for n in order])


def test_an_ensemble_of_one_model_twice_is_the_model(model: Seq2Seq, src: Tensor) -> None:
    options = DecodeConfig(beam=3, nbest=2, max_ratio=1.0, max_extra=2)
    assert_same(search([model, model], src, options), search([model], src, options))


# ------------------------------------------------------------------------------------------------------- the beam


@pytest.fixture
def trained(build_tiny: Build) -> Seq2Seq:
    return build_tiny("bahdanau", seed=3)


@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
@pytest.mark.parametrize("architecture", ["lstm", "bahdanau", "transformer"])
def test_a_beam_that_holds_everything_finds_what_brute_force_finds(
    architecture: str, penalty: str, build_tiny: Build, sentences: Sentences
) -> None:
    """Two words, at most three of them: 15 sentences, all of them scored by teacher forcing."""
    model = build_tiny(architecture, vocab=6)
    src = sentences([3, 3], vocab=6)
    options = DecodeConfig(beam=15, nbest=15, length_penalty=penalty, max_ratio=1.0, max_extra=0)
    found = search([model], src, options)
    everything = [list(ids) for n in range(4) for ids in itertools.product([4, 5], repeat=n)]
    for row, hypotheses in zip(src, found, strict=True):
        scores = {}
        for ids in everything:
            length = len(ids) + 1
            divisor = {"none": 1.0, "average": length, "gnmt": ((5 + length) / 6) ** 0.6}[penalty]
            scores[tuple(ids)] = forced_score([model], row, ids) / divisor
        expected = sorted(everything, key=lambda ids: -scores[tuple(ids)])
        assert [h.ids for h in hypotheses] == expected
        assert [h.score for h in hypotheses] == pytest.approx([scores[tuple(ids)] for ids in expected], abs=1e-4)


def plain_beam(model: Seq2Seq | Markov, row: Tensor, options: DecodeConfig) -> list[list[int]]:
    """Beam search as in a textbook, uncached: of the candidates of a step, best first, an ending counts among the
    first K, and the first K that do not end go on; over when K have ended."""
    alive: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(limit(row, options) + 1):
        candidates = []
        for total, ids in alive:
            hidden = model(one(row), torch.tensor([[BOS, *ids]])).hidden[:, -1]
            predicted = model.logits(hidden)[0].log_softmax(-1).tolist()
            allowed = [EOS] if length == limit(row, options) else range(EOS, len(predicted))
            candidates += [(total + predicted[token], [*ids, token]) for token in allowed]
        candidates.sort(key=lambda candidate: -candidate[0])
        for total, ids in candidates[: options.beam]:
            if ids[-1] == EOS:
                ended.append((total / length_penalty(len(ids), options), ids[:-1]))
        alive = [(total, ids) for total, ids in candidates if ids[-1] != EOS][: options.beam]
        if len(ended) >= options.beam:
            break
    return [ids for _, ids in sorted(ended, key=lambda found: -found[0])][: options.nbest]


@torch.inference_mode()
@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
def test_a_narrow_beam_is_the_textbooks(penalty: str, src: Tensor, build_tiny: Build) -> None:
    options = DecodeConfig(beam=3, nbest=3, length_penalty=penalty, max_ratio=1.0, max_extra=4)
    models = [build_tiny("bahdanau"), build_tiny("transformer", seed=2), *(markov(12, seed) for seed in range(12))]
    for model in models:
        if isinstance(model, Markov):
            model.table[:, EOS] += 1.0  # an ending among the first K must not narrow the beam
        assert texts(search([model], src, options)) == [plain_beam(model, row, options) for row in src]  # type: ignore[list-item]


def test_length_penalties() -> None:
    assert length_penalty(7, DecodeConfig(length_penalty="none")) == 1
    assert length_penalty(7, DecodeConfig(length_penalty="average")) == 7
    assert length_penalty(7, DecodeConfig(length_penalty="gnmt", alpha=0.5)) == pytest.approx(math.sqrt(2))
    assert length_penalty(7, DecodeConfig(length_penalty="gnmt", alpha=0.0)) == 1


def test_n_best_is_sorted_distinct_and_the_head_of_the_beam(trained: Seq2Seq, src: Tensor) -> None:
    whole = search([trained], src, DecodeConfig(beam=5, nbest=5))
    for hypotheses in whole:
        assert len(hypotheses) == 5
        assert len({tuple(h.ids) for h in hypotheses}) == 5
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
    assert_same(search([trained], src, DecodeConfig(beam=5, nbest=2)), [hypotheses[:2] for hypotheses in whole])


def test_a_wider_beam_finds_what_greedy_misses() -> None:
    """4 looks better at first, but the best way on from 5 makes up for it."""
    table = torch.full((8, 8), -9.0)
    table[BOS, 4], table[BOS, 5] = 1.0, 0.8
    table[4, [6, 7, EOS]] = 1.0
    table[5, EOS] = 5.0
    options = {"length_penalty": "none", "max_extra": 3}
    found = [search([Markov(table)], torch.tensor([[4, EOS]]), DecodeConfig(beam=b, **options))[0][0] for b in (1, 2)]
    assert [h.ids[0] for h in found] == [4, 5]
    assert found[1].score > found[0].score


def test_no_hypothesis_holds_a_mark() -> None:
    table = torch.zeros(8, 8)
    table[:, NEVER] = 9.0
    for options in (DecodeConfig(beam=4, nbest=4), DecodeConfig(sample=True, nbest=20)):
        found = search([Markov(table)], torch.tensor([[4, 5, EOS]]), options)[0]
        assert all(token > EOS for h in found for token in h.ids)


def test_a_beam_wider_than_the_vocabulary(sentences: Sentences) -> None:
    found = search([markov(6)], sentences([4, 2], vocab=6), DecodeConfig(beam=20, nbest=20))
    assert [len({tuple(h.ids) for h in hypotheses}) for hypotheses in found] == [20, 20]


# --------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("beam", [1, 3])
def test_outputs_are_at_most_max_ratio_times_the_source_and_max_extra(beam: int, sentences: Sentences) -> None:
    never_ends = markov(9)
    never_ends.table[:, EOS] = -50.0
    options = DecodeConfig(beam=beam, nbest=beam, max_ratio=1.5, max_extra=2)
    found = search([never_ends], sentences([4, 2, 7], vocab=9), options)
    assert [{len(h.ids) for h in hypotheses} for hypotheses in found] == [{8}, {5}, {12}]


@pytest.mark.parametrize("beam", [1, 3])
def test_outputs_are_at_least_min_length(beam: int, sentences: Sentences) -> None:
    ends_at_once = markov(9)
    ends_at_once.table[:, EOS] = 50.0
    options = DecodeConfig(beam=beam, nbest=beam, min_length=5, max_ratio=0.1, max_extra=0)
    found = search([ends_at_once], sentences([4, 2], vocab=9), options)
    assert [[len(h.ids) for h in hypotheses] for hypotheses in found] == [[5] * beam] * 2


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("sample", [False, True])
def test_no_ngram_is_repeated(size: int, sample: bool, sentences: Sentences) -> None:
    torch.manual_seed(0)
    stammers = markov(30)
    stammers.table.fill_diagonal_(9.0)
    stammers.table[:, EOS] = -1.0
    src = sentences([8, 5], vocab=30)

    def most(options: DecodeConfig) -> int:
        """How often the commonest n-gram of a hypothesis occurs in it."""
        grams = [
            Counter(tuple(h.ids[n : n + size]) for n in range(len(h.ids) - size + 1))
            for h in itertools.chain(*search([stammers], src, options))
        ]
        return max(max(gram.values()) for gram in grams if gram)

    assert most(DecodeConfig(beam=3, nbest=3, sample=sample)) > 3
    assert most(DecodeConfig(beam=3, nbest=3, sample=sample, no_repeat_ngram=size)) == 1


def test_an_ngram_is_banned_from_its_second_occurrence_on_not_before(sentences: Sentences) -> None:
    stammers = markov(30)
    stammers.table.fill_diagonal_(9.0)
    ids = search([stammers], sentences([8], vocab=30), DecodeConfig(no_repeat_ngram=3))[0][0].ids
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]


def test_a_ban_leaves_other_tokens_their_probability() -> None:
    model = markov(8)
    h = search([model], torch.tensor([[4, 5, EOS]]), DecodeConfig(no_repeat_ngram=1))[0][0]
    assert h.log_probability == pytest.approx(forced_score([model], torch.tensor([4, 5, EOS]), h.ids), abs=1e-4)


class Conversions(TorchDispatchMode):
    """Counts how often each of some tensors is converted to another type."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.counts = Counter({tensor.data_ptr(): 0 for tensor in tensors})

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default and args[0].data_ptr() in self.counts:
            self.counts[args[0].data_ptr()] += 1
        return func(*args, **(kwargs or {}))


def test_weights_are_converted_once_a_search(model: Seq2Seq, src: Tensor, bf16: torch.dtype) -> None:
    """Whole weights and parts of them, for the products of all steps."""
    options = DecodeConfig(beam=1, min_length=5, max_extra=5)
    with torch.autocast("cpu", bf16), prepacked_weights(), Conversions(model.parameters()) as conversions:
        search([model], src, options)
    assert max(conversions.counts.values()) == 1


@pytest.mark.parametrize("beam", [1, 4])
def test_a_limit_of_no_tokens_gives_the_empty_translation(beam: int) -> None:
    options = DecodeConfig(beam=beam, max_ratio=0.1, max_extra=0)
    assert texts(search([markov(8)], torch.tensor([[4, EOS]]), options)) == [[[]]]


@pytest.mark.parametrize("options", [{"beam": 1}, {"beam": 3}, {"sample": True}])
def test_a_search_that_can_go_nowhere_ends(options: dict[str, int]) -> None:
    """Two words that may not repeat, and five asked for; beside a sentence, none of which has a way on."""
    impossible = DecodeConfig(min_length=5, no_repeat_ngram=1, **options)  # type: ignore[arg-type]
    found = search([markov(6)], torch.tensor([[4, EOS], [5, EOS]]), impossible)
    assert texts(found) == [[[]], [[]]]
    assert [h.score for hypotheses in found for h in hypotheses] == [-math.inf] * 2


@pytest.mark.parametrize("options", [{"beam": 1}, {"beam": 3}, {"sample": True, "nbest": 2}])
def test_a_model_that_has_diverged_translates_to_nothing(options: dict[str, int]) -> None:
    found = search([Markov(torch.full((8, 8), math.nan))], torch.tensor([[4, EOS]]), DecodeConfig(**options))  # type: ignore[arg-type]
    assert texts(found) == [[[]]]


# ------------------------------------------------------------------------------------------------------ ensembles


@pytest.mark.parametrize("others", [["lstm", "transformer"], ["bahdanau", "hybrid", "gru"]])
def test_an_ensemble_scores_by_the_mean_probability(others: list[str], build_tiny: Build, src: Tensor) -> None:
    models = [build_tiny(name, seed=seed) for seed, name in enumerate(others)]
    with torch.inference_mode():
        for row, hypotheses in zip(src, search(models, src, DecodeConfig(beam=3, nbest=3)), strict=True):
            for h in hypotheses:
                tgt_in = torch.tensor([[BOS, *h.ids]])
                mean = sum(m.logits(m(one(row), tgt_in).hidden)[0].double().softmax(-1) for m in models) / len(models)
                expected = sum(math.log(mean[t, token]) for t, token in enumerate([*h.ids, EOS]))
                assert h.log_probability == pytest.approx(expected, abs=1e-4)


def test_the_order_of_an_ensemble_does_not_matter(build_tiny: Build, src: Tensor) -> None:
    models = [build_tiny(name) for name in ("lstm", "bahdanau", "transformer")]
    options = DecodeConfig(beam=3)
    assert_same(search(models, src, options), search(models[::-1], src, options))


def test_an_ensemble_shows_the_first_attention_there_is(build_tiny: Build, src: Tensor) -> None:
    models = [build_tiny(name) for name in ("lstm", "bahdanau", "transformer")]
    for hypothesis in itertools.chain(*search(models, src, DecodeConfig(), attention=True)):
        expected = models[1](src, torch.tensor([[BOS, *hypothesis.ids]]).expand(4, -1), attention=True).attention
        assert hypothesis.attention is not None
        assert any(torch.allclose(hypothesis.attention[:, 0], maps[0], atol=1e-5) for maps in expected)


@pytest.mark.parametrize("names", [["lstm"], ["bahdanau", "transformer"]])
def test_targets_are_scored_in_blocks_as_at_once(
    names: list[str], build_tiny: Build, src: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, sizes = [build_tiny(name) for name in names], list[int]()
    for model in models:
        model.output.register_forward_hook(lambda _, given, found: sizes.append(found.numel()))
    tgt_out = src.roll(1, 0)
    tgt_in = torch.cat([torch.full((len(src), 1), BOS), tgt_out[:, :-1]], 1)
    whole = teacher_forced_log_probs(models, src, tgt_in)
    for most in (1, 2 * whole[0].numel(), 1 << 25):
        monkeypatch.setattr(ensembles, "LOGITS", most)
        sizes.clear()
        scores, likeliest = score_targets(models, src, tgt_in, tgt_out, whole.shape[-1])
        assert max(sizes) <= max(most, whole[0].numel())
        torch.testing.assert_close(scores, whole.gather(-1, tgt_out[..., None])[..., 0])
        assert torch.equal(likeliest, whole.argmax(-1) == tgt_out)


# ------------------------------------------------------------------------------------------------------- sampling


def draws(model: Markov, count: int, **options: float) -> list[Hypothesis]:
    return search([model], torch.tensor([[4, EOS]]), DecodeConfig(sample=True, nbest=count, **options))[0]  # type: ignore[arg-type]


def test_sampling_repeats_under_a_seed(trained: Seq2Seq, src: Tensor) -> None:
    options = DecodeConfig(sample=True, nbest=3)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(texts(search([trained], src, options)))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_sampling_from_the_likeliest_token_is_greedy(model: Seq2Seq, src: Tensor) -> None:
    options = {"max_ratio": 1.0, "max_extra": 2}
    assert_same(
        search([model], src, DecodeConfig(sample=True, top_k=1, **options)),
        search([model], src, DecodeConfig(**options)),
    )


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_follow_the_tempered_softmax(temperature: float) -> None:
    torch.manual_seed(0)
    model = markov(8)
    firsts = Counter(h.ids[0] if h.ids else EOS for h in draws(model, 4_000, temperature=temperature, max_extra=1))
    possible = model.table[BOS].clone()
    possible[NEVER] = -math.inf
    expected = (possible / temperature).softmax(-1).tolist()
    assert [firsts[token] / 4_000 for token in range(8)] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("temperature", [1e-6, 1e-39, 1e-300])
def test_draws_of_a_tiny_temperature_are_the_likeliest(temperature: float) -> None:
    torch.manual_seed(0)
    model = markov(8)
    [[greedy]] = search([model], torch.tensor([[4, EOS]]), DecodeConfig(beam=1))
    assert {tuple(h.ids) for h in draws(model, 20, temperature=temperature)} == {tuple(greedy.ids)}


def test_draws_of_a_sentence_are_independent() -> None:
    torch.manual_seed(0)
    found = draws(markov(20), 50)
    assert len({tuple(h.ids) for h in found}) > 25


def test_draws_are_scored_by_the_models_own_probability() -> None:
    torch.manual_seed(0)
    model = markov(8)
    for h in draws(model, 20, temperature=2.0, top_k=4, top_p=0.9):
        assert h.log_probability == pytest.approx(forced_score([model], torch.tensor([4, EOS]), h.ids), abs=1e-4)


def test_top_k_draws_from_the_k_likeliest() -> None:
    torch.manual_seed(0)
    model = markov(12)
    possible = model.table[BOS].clone()
    possible[NEVER] = -math.inf
    firsts = {h.ids[0] if h.ids else EOS for h in draws(model, 500, top_k=3)}
    assert firsts == set(possible.topk(3).indices.tolist())


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.3, [0]), (0.49, [0]), (0.51, [0, 1]), (0.79, [0, 1]), (0.81, [0, 1, 2]), (1.0, [0, 1, 2, 3])]
)
def test_top_p_keeps_the_fewest_that_make_up_the_probability(top_p: float, kept: list[int]) -> None:
    order = torch.tensor([2, 0, 3, 1])
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])[order].double()
    found = truncate(probabilities.log(), DecodeConfig(top_p=top_p))
    assert sorted(order[found.isfinite()].tolist()) == kept


def test_top_p_is_taken_of_what_top_k_has_left() -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).double().log()
    assert truncate(logits, DecodeConfig(top_k=2, top_p=0.57)).isfinite().tolist() == [True, False, False, False]
    assert truncate(logits, DecodeConfig(top_k=9)).isfinite().all()


def test_a_draw_that_has_ended_disturbs_no_other() -> None:
    """Ended draws keep a place until the last has ended; a ban on repeated marks must not stop the search there."""
    torch.manual_seed(0)
    model = markov(30)
    model.table[:, EOS] = 1.0
    found = draws(model, 8, no_repeat_ngram=1, max_ratio=1.0, max_extra=8)
    assert len(found) == 8 and len({len(h.ids) for h in found}) > 1
    assert all(EOS not in h.ids for h in found)
