"""BatchStream: what they hold, and that they depend on seed and epoch alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seq2seq.config.schema import BOS, EOS, PAD, SubwordConfig
from seq2seq.data import batches as batches_module
from seq2seq.data.batches import (
    MULTIPLE,
    Batch,
    BatchStream,
    batched,
    collate,
    gather,
    multiple_for,
    pad,
    plan,
    round_up,
)
from seq2seq.data.encoded import Split
from seq2seq.data.ragged import RaggedArray, RaggedWriter
from seq2seq.data.sampling import SubwordSampler
from seq2seq.data.subwords import Subwords

Pairs = list[tuple[str, str]]
BUDGETS = [64, 200, 1_000]


@pytest.fixture
def lengths() -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(1, 60, 500), rng.integers(1, 60, 500)], 1)


def same(one: Batch, other: Batch) -> bool:
    """Whether two batches without links have the same ids."""
    assert one.links is None and other.links is None
    return all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


def as_lists(batches: list[NDArray[np.int64]]) -> list[list[int]]:
    return [rows.tolist() for rows in batches]


@pytest.mark.parametrize("multiple", [1, MULTIPLE])
@pytest.mark.parametrize("budget", BUDGETS)
def test_an_epoch_holds_every_sentence_once(lengths: NDArray[np.int64], budget: int, multiple: int) -> None:
    rows = np.concatenate(plan(lengths, budget, 1, 0, multiple))
    assert sorted(rows.tolist()) == list(range(500))


@pytest.mark.parametrize("multiple", [1, MULTIPLE])
@pytest.mark.parametrize("budget", BUDGETS)
def test_no_batch_is_over_the_budget(lengths: NDArray[np.int64], budget: int, multiple: int) -> None:
    for rows in plan(lengths, budget, 1, 0, multiple):
        assert len(rows) * round_up(lengths[rows], multiple).max() <= budget


def test_exact_lengths_fill_the_budget_that_fours_leave_empty() -> None:
    """Six rows of 5 fit into 30 positions as they are; padded to 8, three would, of which fours have no use."""
    lengths = np.full((12, 2), 5)
    assert [len(rows) for rows in plan(lengths, 30, 1, 0, 1)] == [6, 6]
    assert [len(rows) for rows in plan(lengths, 30, 1, 0, MULTIPLE)] == [3, 3, 3, 3]
    assert {len(rows) for rows in plan(np.full((24, 2), 4), 30, 1, 0, MULTIPLE)} == {4}


def test_batches_use_most_of_the_budget(lengths: NDArray[np.int64]) -> None:
    batches = plan(lengths, 1_000, seed=1, shard=0)
    positions = sum(len(rows) * int(round_up(lengths[rows]).max()) for rows in batches)
    assert positions / len(batches) > 700


def test_sentences_of_a_batch_are_of_similar_length(lengths: NDArray[np.int64]) -> None:
    padded = sum(len(rows) * int(lengths[rows].max(0).sum()) for rows in plan(lengths, 1_000, seed=1, shard=0))
    unsorted = sum(len(rows) * int(lengths[rows].max(0).sum()) for rows in np.array_split(np.arange(500), 25))
    assert padded < 0.85 * unsorted


def test_a_sentence_over_the_budget_gets_a_batch_of_its_own() -> None:
    lengths = np.array([[5, 5], [90, 3], [6, 6], [3, 200]])
    batches = as_lists(plan(lengths, 64, seed=1, shard=0))
    assert [1] in batches and [3] in batches
    assert sorted(row for rows in batches for row in rows) == [0, 1, 2, 3]


def test_a_plan_is_a_function_of_seed_and_shard(lengths: NDArray[np.int64]) -> None:
    first = as_lists(plan(lengths, 200, seed=3, shard=2))
    np.random.default_rng().random()
    torch.rand(3)
    assert as_lists(plan(lengths, 200, seed=3, shard=2)) == first
    for seed, epoch in ((3, 3), (4, 2), (2, 3)):
        other = as_lists(plan(lengths, 200, seed, epoch))
        assert other != first
        assert {frozenset(rows) for rows in other} != {frozenset(rows) for rows in first}


def test_batches_come_in_no_order_of_length(lengths: NDArray[np.int64]) -> None:
    longest = [int(lengths[rows].max()) for rows in plan(lengths, 200, seed=1, shard=0)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.5


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_sentences_make_few_batches(count: int) -> None:
    batches = plan(np.full((count, 2), 3), 1_000, seed=1, shard=0)
    assert [len(rows) for rows in batches] == [count]


def test_lengths_stay_as_they_are_where_new_shapes_cost_nothing() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert multiple_for(cpu, torch.float32) == 1
    assert {
        multiple_for(cpu, torch.bfloat16),
        multiple_for(cuda, torch.float32),
        multiple_for(cuda, torch.float16),
    } == {4}


def test_padding_reaches_the_next_multiple() -> None:
    assert MULTIPLE == 4
    assert round_up(np.array([1, 3, 4, 5, 8, 9])).tolist() == [4, 4, 4, 8, 8, 12]
    assert round_up(np.array([1, 3, 4, 5]), 1).tolist() == [1, 3, 4, 5]
    assert pad([[4, EOS], [5] * 8 + [EOS]]).tolist() == [[4, EOS] + [PAD] * 10, [5] * 8 + [EOS] + [PAD] * 3]
    assert pad([[4, EOS], [5, 6, EOS]], 1).tolist() == [[4, EOS, PAD], [5, 6, EOS]]


def test_a_batch_shifts_the_target_by_one() -> None:
    batch = collate([[7, 8, EOS]], [[5, 6, EOS]])
    assert batch.src.tolist() == [[7, 8, EOS, PAD]]
    assert batch.tgt_out.tolist() == [[5, 6, EOS, PAD]]
    assert batch.tgt_in.tolist() == [[BOS, 5, 6, EOS]]
    assert batch.tokens == 3
    assert {part.dtype for part in batch[:3]} == {torch.int64} and batch.links is None


def test_a_target_that_fills_its_row_loses_nothing() -> None:
    batch = collate([[EOS]], [[*range(4, 11), EOS]])
    assert batch.tgt_out.tolist() == [[*range(4, 11), EOS]]
    assert batch.tgt_in.tolist() == [[BOS, *range(4, 11)]]


def ragged(folder: Path, name: str, dtype: str, sequences: list[list[int]] | list[bytes]) -> RaggedArray:
    writer = RaggedWriter(folder, name, dtype)
    writer.extend(sequences)
    writer.close()
    return RaggedArray(folder, name, dtype)


@pytest.fixture
def split(tmp_path: Path, pairs: Pairs, tiny_subwords: Subwords) -> Split:
    src, tgt = ([pair[side] for pair in pairs] for side in (0, 1))
    return Split(
        ragged(tmp_path, "src", "uint16", tiny_subwords.encode_src(src)),
        ragged(tmp_path, "tgt", "uint16", tiny_subwords.encode_tgt(tgt)),
        (
            ragged(tmp_path, "src.text", "uint8", [line.encode() for line in src]),
            ragged(tmp_path, "tgt.text", "uint8", [line.encode() for line in tgt]),
        ),
    )


def test_gathered_rows_are_padded_sequences(split: Split) -> None:
    rows = np.array([39, 0, 7])  # the last one too, behind which the file ends
    expected = pad([split.src[row].tolist() for row in rows])
    assert np.array_equal(gather(split.src, rows), expected)


@pytest.mark.parametrize("multiple", [1, MULTIPLE])
def test_a_loaded_batch_is_the_collated_pairs(split: Split, multiple: int) -> None:
    batches = BatchStream(split, 150, seed=1, multiple=multiple)
    for number, rows in enumerate(batches.shard(0)):
        src, tgt = ([side[row].tolist() for row in rows] for side in (split.src, split.tgt))
        batch = batches.load(rows, 0, number)
        assert same(batch, collate(src, tgt, multiple))
        for part, side in ((batch.src, src), (batch.tgt_out, tgt)):
            longest = max(map(len, side))
            assert part.shape[1] == -(-longest // multiple) * multiple


@pytest.fixture
def sampler(tiny_subwords: Subwords) -> SubwordSampler:
    return SubwordSampler(tiny_subwords, SubwordConfig(sampling=0.5))


@pytest.mark.parametrize("multiple", [1, MULTIPLE])
def test_sampled_tokens_are_padded_to_the_multiple_too(split: Split, sampler: SubwordSampler, multiple: int) -> None:
    batches = BatchStream(split, 150, 1, sampler, multiple=multiple)
    for part in batches.load(np.arange(6), 0, 0)[::2]:  # src and tgt_out
        longest = int((part != PAD).sum(1).max())
        assert part.shape[1] == -(-longest // multiple) * multiple


def test_sampled_batches_hold_the_budget_on_average(split: Split, sampler: SubwordSampler) -> None:
    """Half of the merges dropped: twice the tokens, so half as many pairs a batch."""
    plain, sampled = BatchStream(split, 150, 1), BatchStream(split, 150, 1, sampler)
    assert len(sampled.shard(0)) > len(plain.shard(0))
    positions = [part.numel() for part in (next(sampled).src for _ in range(40))]
    assert sum(positions) / len(positions) <= 150


def test_sampled_batches_repeat_and_differ_between_epochs(
    split: Split, sampler: SubwordSampler, tiny_subwords: Subwords, pairs: Pairs
) -> None:
    def loaded(epoch: int, number: int, seed: int = 1) -> list[list[int]]:
        batches = BatchStream(split, 150, seed, sampler)
        batch = batches.load(np.arange(6), epoch, number)
        assert tiny_subwords.decode_tgt(batch.tgt_out.tolist()) == [tgt for _, tgt in pairs[:6]]
        return batch.tgt_out.tolist()

    first = loaded(0, 3)
    assert loaded(0, 3) == first
    assert first not in (loaded(1, 3), loaded(0, 4), loaded(0, 3, seed=2))


def test_resuming_in_the_middle_gives_the_batches_that_were_left(split: Split, sampler: SubwordSampler) -> None:
    batches = BatchStream(split, 150, 1, sampler)
    whole = [batches.load(rows, 2, n).src for n, rows in enumerate(batches.shard(2))]
    again = BatchStream(split, 150, 1, sampler)
    left = [again.load(rows, 2, n).src for n, rows in enumerate(again.shard(2)) if n >= 3]
    assert len(left) == len(whole) - 3
    assert all(torch.equal(a, b) for a, b in zip(left, whole[3:], strict=True))


@pytest.fixture
def in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchStream:
    """A corpus of 300 pairs, planned in shards of 128."""
    monkeypatch.setattr(batches_module, "SHARD_SIZE", 128)
    monkeypatch.setattr(batches_module, "BLOCK_SIZE", 16)
    rng = np.random.default_rng(0)
    for side in ("src", "tgt"):
        writer = RaggedWriter(tmp_path, side, "uint16")
        writer.extend([[*range(4, 4 + n), EOS] for n in rng.integers(1, 60, 300).tolist()])
        writer.close()
    return BatchStream(
        Split(RaggedArray(tmp_path, "src", "uint16"), RaggedArray(tmp_path, "tgt", "uint16"), None), 200, seed=1
    )


def test_the_shards_of_an_epoch_hold_every_pair_once(in_shards: BatchStream) -> None:
    assert in_shards.shards == 3
    for epoch in (0, 1):
        parts = [np.concatenate(in_shards.shard(3 * epoch + n)) for n in range(3)]
        assert sorted(np.concatenate(parts).tolist()) == list(range(300))
        assert max(map(len, parts)) <= 128


def test_another_epoch_is_dealt_anew(in_shards: BatchStream) -> None:
    first, second = (set(np.concatenate(in_shards.shard(n)).tolist()) for n in (0, 3))
    assert first != second


def test_a_shard_can_be_planned_without_those_before_it(in_shards: BatchStream) -> None:
    again = BatchStream(in_shards.split, 200, seed=1)
    assert as_lists(again.shard(4)) == as_lists(in_shards.shard(4))
    assert as_lists(again.shard(4)) != as_lists(BatchStream(in_shards.split, 200, seed=2).shard(4))


WEIGHTED = {(0, 100): 1.0, (100, 130): 3.0, (130, 300): 0.5}
"""Rows of each file, and its weight."""


@pytest.fixture
def weighted(in_shards: BatchStream) -> Callable[..., BatchStream]:
    """``weighted(seed, state)``: the same corpus as three files, the second seen three times and the third half."""
    split = replace(in_shards.split, files=tuple(last - first for first, last in WEIGHTED))

    def stream(seed: int = 1, state: dict[str, int] | None = None) -> BatchStream:
        return BatchStream(split, 200, seed, multiple=1, state=state, weights=list(WEIGHTED.values()))

    return stream


@pytest.mark.parametrize("shard_size", [128, 1 << 18])
def test_an_epoch_has_each_pair_as_often_as_its_weight_says(
    weighted: Callable[..., BatchStream], shard_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "SHARD_SIZE", shard_size)
    stream, halves = weighted(), []
    for epoch in range(4):
        parts = [np.concatenate(stream.shard(epoch * stream.shards + n)) for n in range(stream.shards)]
        times = np.bincount(np.concatenate(parts), minlength=300)
        assert (times[:100] == 1).all() and (times[100:130] == 3).all() and times[130:].max() == 1
        halves.append(times[130:])
    assert all(75 <= half.sum() <= 95 for half in halves), "170 pairs at a weight of 0.5, within rounding a block"
    assert 0.85 < np.mean([(a != b).mean() for a, b in itertools.combinations(halves, 2)]) / 0.5 < 1.15, "drawn anew"
    assert (np.sum(halves, 0) > 0).mean() > 0.85


def test_a_weighted_stream_goes_on_where_it_was(weighted: Callable[..., BatchStream]) -> None:
    whole = weighted()
    batches = [next(whole) for _ in range(160)]
    assert whole.epoch > 2
    first = weighted()
    for _ in range(110):
        next(first)
    rest = weighted(state=first.state())
    assert all(torch.equal(a.src, next(rest).src) for a in batches[110:])
    assert not torch.equal(batches[0].src, next(weighted(seed=2)).src)


def test_files_of_weight_one_are_the_plain_stream_when_blocks_are_whole(in_shards: BatchStream) -> None:
    split = replace(in_shards.split, files=(160, 140))  # multiples of the block, so that the blocks are the same
    same = BatchStream(split, 200, seed=1, weights=[1.0, 1.0])
    assert all(torch.equal(next(same).src, next(in_shards).src) for _ in range(20))


def test_batches_of_a_shard_keep_to_the_budget(in_shards: BatchStream) -> None:
    for number, rows in enumerate(in_shards.shard(1)):
        batch = in_shards.load(rows, 1, number)
        assert max(batch.src.numel(), batch.tgt_out.numel()) <= 200


def test_batches_hold_every_number_once_and_no_more_than_their_positions() -> None:
    lengths = [3, 9, 1, 30, 4, 10, 2]
    found = list(batched(lengths, 20))
    assert found == [[3], [5, 1], [4, 0, 6, 2]]
    assert all(len(rows) == 1 or len(rows) * max(lengths[n] for n in rows) <= 20 for rows in found)


def test_a_long_sequence_counts_its_attention_and_the_beams_and_an_ordinary_one_neither() -> None:
    long = batches_module.QUADRATIC + 1
    assert list(batched([2 * long] * 4, 9 * long)) == [[0, 1], [2, 3]]
    assert list(batched([2 * long] * 4, 9 * long, beams=2)) == [[0], [1], [2], [3]]
    ordinary = [long - 1] * 4 + [9] * 50
    assert list(batched(ordinary, 2 * long, beams=50)) == list(batched(ordinary, 2 * long))


@pytest.mark.parametrize("taken", [0, 2, 3, 7])
def test_a_stream_goes_on_from_its_saved_state(in_shards: BatchStream, taken: int) -> None:
    """Over the ends of shards and epochs, and with the multiple that it began with."""
    whole = BatchStream(in_shards.split, 2_000, seed=1, multiple=2)
    for _ in range(taken):
        next(whole)
    again = BatchStream(in_shards.split, 2_000, seed=1, multiple=4, state=whole.state())
    assert again.epoch == whole.epoch
    for one, other in zip(itertools.islice(again, 5), whole, strict=False):
        assert same(one, other)
    assert again.state() == whole.state()


def test_an_epoch_is_counted_in_fractions(split: Split) -> None:
    stream = BatchStream(split, 150, seed=1)
    count = len(stream.planned)
    epochs = [stream.epoch, *(stream.epoch for _ in itertools.islice(stream, 2 * count + 1))]
    assert epochs == pytest.approx([n / count for n in range(2 * count + 2)])
