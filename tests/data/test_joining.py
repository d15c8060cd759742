"""Joined pairs: which neighbours, how long, the same ids as their text, and a stream that goes on to the same bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seq2seq.config.schema import EOS, PAD, Config, DataConfig, GrammarConfig, HubConfig, SplitConfig, SubwordConfig
from seq2seq.config.validation import validate
from seq2seq.data import batches as batches_module
from seq2seq.data.batches import Batch, BatchStream
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.data.joining import joined_pairs, joined_text, spans
from seq2seq.data.lengths import CHARACTERS, WORDS, Unit
from seq2seq.data.sources import open_source
from seq2seq.data.streamed import batches_of
from seq2seq.errors import UserError
from seq2seq.system.processes import Group

ENGLISH_TEXT = "the old dog sees a small cat near our house and runs home quickly while it rains on that long day"
GERMAN_TEXT = "der alte Hund sieht eine Katze bei unserem Haus und läuft heim während es regnet an jenem langen Tag"
ENGLISH, GERMAN = ENGLISH_TEXT.split(), GERMAN_TEXT.split()
CHINESE = "老狗看见一只小猫在我们的房子附近跑回家因为下雨了今天很长"
MOST = 60


def sentences(words: Sequence[str], count: int, between: str = " ", seed: int = 0) -> list[str]:
    """Lines of 4 to 19 words, each with a number of its own."""
    rng = np.random.default_rng(seed)
    return [between.join([*rng.choice(words, int(rng.integers(3, 19))), str(n)]) for n in range(count)]


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    return corpus_in(tmp_path, sentences(ENGLISH, 1_500), sentences(GERMAN, 1_500, seed=1))


def corpus_in(folder: Path, src: list[str], tgt: list[str], **options: Any) -> DataConfig:
    """Files of which the last hundred pairs are validation and test."""
    splits = {"train": slice(0, -200), "valid": slice(-200, -100), "test": slice(-100, None)}
    given: dict[str, Any] = {}
    for split, part in splits.items():
        for side, lines in (("src", src), ("tgt", tgt)):
            (folder / f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines[part]), encoding="utf-8")
        given[split] = SplitConfig(src=str(folder / f"{split}.src"), tgt=str(folder / f"{split}.tgt"))
    subwords = SubwordConfig(vocab_size=500)
    config = DataConfig(name="toy", source="text", join=MOST, cache=str(folder / "cache"), subwords=subwords, **given)
    return replace(config, **options)


def stream(data: DataConfig, corpus: Corpus, seed: int = 1, state: dict[str, int] | None = None) -> BatchStream:
    return batches_of(data, corpus, 2_000, seed, 4, state)


def epoch(batches: BatchStream) -> Iterator[Batch]:
    """The batches of the epoch that comes next."""
    begun = int(batches.epoch)
    while int(batches.epoch) == begun or not batches.batch_number:
        yield next(batches)
        if batches.batch_number == len(batches.planned) and (batches.shard_number + 1) % batches.shards == 0:
            return


def texts(batches: Iterator[Batch], corpus: Corpus) -> list[tuple[str, str]]:
    src, tgt = corpus.subwords.processors
    return [
        (src.decode(one.tolist()), tgt.decode(other.tolist()))
        for batch in batches
        for one, other in zip(batch.src, batch.tgt_out, strict=True)
    ]


# ------------------------------------------------------------------------------------------------------ which


def test_neighbours_follow_each_other_and_sums_stay_within_all_limits() -> None:
    rng = np.random.default_rng(0)
    sizes = [(int(a), int(b)) for a, b in rng.integers(1, 15, (3_000, 2))]
    found = list(spans(sizes, (40, 50), rng.random))
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])] and found[-1][1] == 3_000
    sums = [np.sum(sizes[start:end], 0) for start, end in found]
    assert max(total[0] for total in sums) <= 40 and max(total[1] for total in sums) <= 50
    assert max(total[0] for total in sums) == 40 and max(total[1] for total in sums) == 50, "the limits are reached"


def test_sums_are_as_many_of_each_length() -> None:
    rng = np.random.default_rng(0)
    sizes = [(int(length),) for length in rng.normal(12, 4, 30_000).clip(4, 37)]  # Multi30k's lengths are so
    sums = [sum(size for (size,) in sizes[start:end]) for start, end in spans(sizes, (60,), rng.random)]
    counts = Counter((total - 1) // 12 for total in sums)
    shares = [counts[bucket] / len(sums) for bucket in range(5)]
    assert sum(shares) == pytest.approx(1)
    assert all(0.12 < share < 0.28 for share in shares), shares  # a fifth each would be even
    alone = Counter((size - 1) // 12 for (size,) in sizes)
    assert alone[0] / len(sizes) > 0.5 and alone[3] + alone[4] == 0, "which no sentence is by itself"


def test_what_is_above_the_limit_stays_alone_and_nothing_is_lost() -> None:
    assert list(spans([(90,), (3,), (70,), (2,)], (60,), lambda: 0.99)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert list(spans([], (60,), lambda: 0.5)) == []
    assert list(spans([(0,), (5,)], (60,), lambda: 0.99)) == [(0, 2)]


# ----------------------------------------------------------------------------------------------------- training


def test_each_pair_is_in_exactly_one_joined_pair_of_an_epoch_beside_its_neighbours(data: DataConfig) -> None:
    corpus = prepare(data)
    batches = stream(data, corpus)
    given = list(open_source(data).pairs("train"))
    orders = []
    for _ in range(2):
        found = texts(epoch(batches), corpus)
        numbers = [[int(word) for word in src.split() if word.isdigit()] for src, _ in found]
        assert sorted(n for each in numbers for n in each) == list(range(1_300))
        assert all(each == list(range(each[0], each[-1] + 1)) for each in numbers)
        for each, (src, tgt) in zip(numbers, found, strict=True):
            assert src == " ".join(given[n][0] for n in each) and tgt == " ".join(given[n][1] for n in each)
        assert max(len(src.split()) for src, _ in found) <= MOST
        orders.append({tuple(each) for each in numbers})
    shared = len(orders[0] & orders[1]) / len(orders[0])
    assert shared < 0.5, "other neighbours are joined in another epoch"


def test_lengths_that_training_covers_are_even(data: DataConfig) -> None:
    found = texts(epoch(stream(data, corpus := prepare(data))), corpus)
    counts = Counter((len(src.split()) - 1) // 12 for src, _ in found)
    shares = [counts[bucket] / len(found) for bucket in range(5)]
    assert max(shares) / min(shares) < 2.2, shares


def test_the_ids_are_those_of_the_joined_text(data: DataConfig) -> None:
    corpus = prepare(data)
    batches = stream(data, corpus)
    for rows in batches.planned:
        batch = batches.load(rows, 0, 0)
        src, tgt = batches._texts(rows)
        for found, wanted in (
            (batch.src, corpus.subwords.encode_src(src)),
            (batch.tgt_out, corpus.subwords.encode_tgt(tgt)),
        ):
            assert [[i for i in row if i != PAD] for row in found.tolist()] == wanted
            assert all(row.count(EOS) == 1 for row in found.tolist())


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_odd_spaces_and_unknown_signs_join_to_the_ids_of_their_text(tmp_path: Path, kind: str) -> None:
    odd = [" the dog", "a  cat ", "☃☃", "▁", "x☃", "\u00a0day", "´e", "\u0301e dog"] * 40
    lines = sentences(ENGLISH, 300)
    src = [odd[n] if n < len(odd) else line for n, line in enumerate(lines[:-200])] + lines[-200:]
    src = [*src[:320], *lines]
    options = SubwordConfig(vocab_size=70, byte_fallback=False, character_coverage=0.99, type=kind)
    data = corpus_in(tmp_path, src, src, subwords=options)
    test_the_ids_are_those_of_the_joined_text(data)


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_a_stream_goes_on_to_the_same_bits(data: DataConfig, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    monkeypatch.setattr(batches_module, "BLOCK_SIZE", 100)
    monkeypatch.setattr(batches_module, "SHARD_SIZE", 400)
    corpus = prepare(data)
    whole = stream(data, corpus)
    expected = whole.take(40)
    assert whole.epoch > 1, "into another epoch"
    begun = stream(data, corpus)
    begun.take(stop)
    rest = stream(data, corpus, state=begun.state()).take(40 - stop)
    for one, other in zip(expected[stop:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


def test_another_seed_joins_others_and_the_same_seed_the_same(data: DataConfig) -> None:
    corpus = prepare(data)
    first, again, other = (set(texts(epoch(stream(data, corpus, seed)), corpus)) for seed in (1, 1, 2))
    assert first == again and len(first & other) < 0.5 * len(first)


class Place(Group):
    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world


@pytest.mark.parametrize("number", [4, 3])
def test_two_processes_share_what_one_would_have(data: DataConfig, number: int) -> None:
    corpus = prepare(data)

    def rows(batches: Sequence[Batch]) -> Counter[tuple[int, ...]]:
        return Counter(tuple(i for i in row if i != PAD) for batch in batches for row in batch.tgt_out.tolist())

    whole = rows(stream(data, corpus).take(number))
    parts = [rows(stream(data, corpus).take(number, Place(rank, 2))) for rank in (0, 1)]
    assert parts[0] + parts[1] == whole


def test_weighted_files_are_joined_as_often_as_they_are_seen(tmp_path: Path) -> None:
    src, tgt = sentences(ENGLISH, 800), sentences(GERMAN, 800)
    data = corpus_in(tmp_path, src, tgt, weights=[1.0, 2.5])
    for side, lines in (("src", src), ("tgt", tgt)):
        (tmp_path / f"a.{side}").write_text("".join(f"{line}\n" for line in lines[:400]), encoding="utf-8")
        (tmp_path / f"b.{side}").write_text("".join(f"{line}\n" for line in lines[400:600]), encoding="utf-8")
    files = {side: [str(tmp_path / f"{name}.{side}") for name in "ab"] for side in ("src", "tgt")}
    data = replace(data, train=SplitConfig(**files))
    corpus = prepare(data)
    found = texts(epoch(stream(data, corpus)), corpus)
    times = Counter(int(word) for src, _ in found for word in src.split() if word.isdigit())
    assert {times[n] for n in range(400)} == {1} and {times[n] for n in range(400, 600)} == {2, 3}
    assert all(len({int(w) < 400 for w in src.split() if w.isdigit()}) == 1 for src, _ in found), "never across files"


def test_sampled_segmentations_are_of_the_joined_text(tmp_path: Path) -> None:
    subwords = SubwordConfig(vocab_size=500, sampling=0.3)
    data = corpus_in(tmp_path, sentences(ENGLISH, 600), sentences(GERMAN, 600), subwords=subwords)
    corpus = prepare(data)
    found = texts(epoch(stream(data, corpus)), corpus)
    assert sorted(int(w) for src, _ in found for w in src.split() if w.isdigit()) == list(range(400))
    assert max(len(src.split()) for src, _ in found) > 40


def test_no_joined_pair_is_longer_than_the_longest_training_pair_may_be(data: DataConfig) -> None:
    data = replace(data, join=25, filters=replace(data.filters, max_length=30))
    corpus = prepare(data)
    lengths = [int((row != PAD).sum()) for batch in epoch(stream(data, corpus)) for row in batch.src]
    assert max(lengths) == 30


def test_a_language_without_spaces_has_none_between_sentences(tmp_path: Path) -> None:
    src, tgt = sentences(list(CHINESE), 600, ""), sentences(ENGLISH, 600)
    data = corpus_in(tmp_path, src, tgt)
    corpus = prepare(data)
    batches = stream(data, corpus)
    found = texts(epoch(batches), corpus)
    assert not any(" " in src for src, _ in found) and all(" " in tgt for _, tgt in found)
    assert max(len(src) for src, _ in found) > 50
    assert sum(len(src) for src, _ in found) == sum(map(len, src[:-200]))
    rows = batches.planned[0]
    ids = corpus.subwords.encode_src(batches._texts(rows)[0])
    assert [[i for i in row if i != PAD] for row in batches.load(rows, 0, 0).src.tolist()] == ids


# --------------------------------------------------------------------------------------------- validation, test


def test_references_are_joined_as_their_sources_never_across_splits_and_always_alike(data: DataConfig) -> None:
    plain = open_source(replace(data, join=None))
    for split in ("valid", "test"):
        given, found = list(plain.pairs(split)), list(open_source(data).pairs(split))
        assert len(found) < len(given) and found == list(open_source(data, split).pairs(split))
        for side in (0, 1):
            assert " ".join(pair[side] for pair in found) == " ".join(pair[side] for pair in given)
        lines = dict(given)
        for src, tgt in found:
            parts = [line for line in lines if f" {line} " in f" {src} "]
            assert tgt == " ".join(lines[line] for line in parts)
    corpus = prepare(data)
    assert corpus.splits["test"].lines(0) == [src for src, _ in open_source(data).pairs("test")]
    assert corpus.counts["test"]["kept"] == len(list(open_source(data).pairs("test")))


def test_a_fixed_joining_is_the_same_everywhere() -> None:
    pairs = [(" ".join("abcdefg"[: n % 7 + 1]), str(n)) for n in range(12)]
    found = [tgt for _, tgt in joined_pairs(pairs, 12, "test")]
    assert found == [tgt for _, tgt in joined_pairs(iter(pairs), 12, "test")]
    assert " ".join(found).split() == [str(n) for n in range(12)]
    assert found == ["0 1 2", "3 4", "5", "6 7 8", "9", "10 11"]


def test_training_alone_may_stay_as_it_is_beside_the_same_test(data: DataConfig) -> None:
    single = replace(data, join_training=False)
    corpus, joined = prepare(single), prepare(data)
    assert corpus.splits["test"].lines(1) == joined.splits["test"].lines(1) and corpus.fingerprint != joined.fingerprint
    assert corpus.subwords.models == joined.subwords.models
    found = texts(epoch(stream(single, corpus)), corpus)
    assert len(found) == 1_300 and max(len(src.split()) for src, _ in found) < 20
    assert corpus.splits["train"].text is None


def test_further_test_sets_stay_as_they_are_and_leaks_are_found_among_single_pairs(data: DataConfig) -> None:
    data = replace(data, tests={"single": data.test})
    given = list(open_source(replace(data, join=None)).pairs("test"))
    assert list(open_source(data, "single").pairs("single")) == given
    leaking = replace(data, test=data.train)
    assert prepare(leaking).counts["train"]["test_in_train"] == 1_300


def test_nothing_changes_without_the_option(data: DataConfig) -> None:
    plain = replace(data, join=None)
    assert open_source(plain).fingerprint() == open_source(replace(plain, join_training=False)).fingerprint()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "grammar", "grammar": GrammarConfig()}, "set data.grammar.max_words"),
        ({"source": "hub", "hub": HubConfig(repo="a/b", streaming=True)}, "leave data.hub.streaming out"),
        ({"source": "text", "join": 128}, "do not fit into data.filters.max_length=128"),
        ({"source": "text", "join": 1}, "data.join=1 is too small"),
    ],
)
def test_what_does_not_go_together_is_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(Config(data=DataConfig(**{"join": MOST, **options})))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        (["ผมไปโรงเรียน", "วันนี้อากาศดีมาก"], "ผมไปโรงเรียน วันนี้อากาศดีมาก"),
        (["我用Python", "Java也可以。", "好。"], "我用Python Java也可以。好。"),
        (["今日は。", "", "いい天気。"], "今日は。いい天気。"),
        (["3", "4岁"], "3 4岁"),
        (["ผม", "", "วัน", ""], "ผม วัน"),
    ],
)
def test_a_space_stands_where_two_lines_would_become_one_word(lines: list[str], whole: str) -> None:
    assert joined_text(lines, CHARACTERS) == whole


@pytest.mark.parametrize("blank", ["", "  ", "\u3000"])
@pytest.mark.parametrize("unit", [WORDS, CHARACTERS])
def test_a_blank_line_leaves_no_space_in_a_joined_text(unit: Unit, blank: str) -> None:
    assert joined_text([blank, "a b", blank, "c", blank], unit) == "a b c"
