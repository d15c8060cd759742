"""Random segmentations: SentencePiece's own, and the same in every process."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.config.schema import EOS, UNK, SubwordConfig
from seq2seq.data import subwords
from seq2seq.data.sampling import SubwordSampler
from seq2seq.data.subwords import Subwords, normalise
from tests.data.test_subwords import NASTY

Pairs = list[tuple[str, str]]
KINDS = ("bpe", "unigram")
PROGRAM = """
import sys
from pathlib import Path
from seq2seq.config.schema import SubwordConfig
from seq2seq.data.sampling import SubwordSampler
from seq2seq.data.subwords import Subwords
folder, kind, *lines = sys.argv[1:]
sampler = SubwordSampler(Subwords.load(Path(folder)), SubwordConfig(type=kind, sampling=0.4))
print(sampler.sample([lines, lines], [1, 2, 3]))
"""


def trained(pairs: Pairs, kind: str, **options: object) -> Subwords:
    config = SubwordConfig(**{"type": kind, "byte_fallback": False, "vocab_size": 56} | options)  # type: ignore[arg-type]
    return subwords.train((s for s, _ in pairs), (t for _, t in pairs), config)


def syllables() -> Pairs:
    """Words of few syllables, so that a vocabulary knows many parts of each."""
    rng = random.Random(1)
    words = ["".join(rng.choices(["ba", "na", "za", "zi", "n"], k=rng.randint(1, 5))) for _ in range(400)]
    return [(" ".join(words[n : n + 5]),) * 2 for n in range(0, 400, 5)]


def sampler(vocabulary: Subwords, kind: str, amount: float) -> SubwordSampler:
    return SubwordSampler(vocabulary, SubwordConfig(type=kind, sampling=amount))


@pytest.mark.parametrize("kind", KINDS)
def test_two_fresh_processes_sample_the_same(pairs: Pairs, kind: str, tmp_path: Path) -> None:
    """SentencePiece's own generator is salted anew in each process."""
    vocabulary, lines = trained(pairs, kind), [tgt for _, tgt in pairs[:5]]
    vocabulary.save(tmp_path)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), kind, *lines]
    first, second = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2))
    assert first == second == f"{sampler(vocabulary, kind, 0.4).sample([lines, lines], [1, 2, 3])}\n"


@pytest.mark.parametrize("kind", KINDS)
def test_each_seed_is_another_sample_of_the_same_text(pairs: Pairs, kind: str) -> None:
    vocabulary, texts = trained(pairs, kind), list(zip(*pairs, strict=True))
    noisy = sampler(vocabulary, kind, 0.4)
    first = noisy.sample(texts, [1, 0, 0])
    assert noisy.sample(texts, [1, 0, 0]) == first
    for seed in ([2, 0, 0], [1, 1, 0], [1, 0, 1]):
        other = noisy.sample(texts, seed)
        assert other != first
        assert vocabulary.decode_tgt(other[1]) == vocabulary.decode_tgt(first[1]) == list(texts[1])
        assert all(ids[-1] == EOS for side in other for ids in side)


@pytest.mark.parametrize("byte_fallback", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_next_to_no_noise_is_sentencepieces_own_segmentation(pairs: Pairs, kind: str, byte_fallback: bool) -> None:
    vocabulary = trained(pairs, kind, byte_fallback=byte_fallback, vocab_size=312 if byte_fallback else 56)
    lines = [*NASTY.values(), *(side for pair in pairs for side in pair), "漢漢 漢x漢漢"]
    encoded = sampler(vocabulary, kind, 1e-9).sample([lines, lines], [1])
    assert encoded[0] == vocabulary.encode_src(lines)
    assert any(UNK in ids for ids in encoded[0]) != byte_fallback


def test_all_merges_dropped_is_single_characters(pairs: Pairs) -> None:
    vocabulary = trained(pairs, "bpe")
    ids = sampler(vocabulary, "bpe", 1.0).sample([["the cat"], ["the cat"]], [1])[0][0]
    assert vocabulary.src_tokens(ids[:-1]) == list("▁the▁cat")


@pytest.mark.parametrize(("kind", "amount"), [("bpe", 0.1), ("bpe", 0.6), ("unigram", 0.5), ("unigram", 0.8)])
def test_the_distribution_is_sentencepieces(kind: str, amount: float) -> None:
    """Each segmentation of a word is as frequent as SentencePiece draws it, within five standard errors."""
    vocabulary, draws = trained(syllables(), kind), 4_000
    noisy = sampler(vocabulary, kind, amount)
    alpha = amount if kind == "bpe" else (1 - amount) / amount
    for word in ("banana", "nabaza", "zanzibana"):
        ours = Counter(map(tuple, noisy.sample([[word] * draws, []], [7])[0]))
        theirs = Counter(
            tuple(ids)
            for ids in vocabulary.processors[0].encode(
                [normalise(word)] * draws, add_eos=True, enable_sampling=True, alpha=alpha, nbest_size=-1, num_threads=1
            )
        )
        assert len(ours) > 1, word
        for ids in ours.keys() | theirs.keys():
            both = (ours[ids] + theirs[ids]) / (2 * draws)
            error = math.sqrt(2 * both * (1 - both) / draws)
            assert abs(ours[ids] - theirs[ids]) / draws <= 5 * error + 1 / draws, (word, ids)


def test_unigram_noise_of_one_makes_all_segmentations_equally_likely() -> None:
    noisy, draws = sampler(trained(syllables(), "unigram"), "unigram", 1.0), 6_000
    counts = Counter(map(tuple, noisy.sample([["banana"] * draws, []], [1])[0]))
    share = 1 / len(counts)
    assert len(counts) > 2
    for count in counts.values():
        assert abs(count / draws - share) < 5 * math.sqrt(share / draws)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_word_costs_time_in_proportion(pairs: Pairs, kind: str) -> None:
    """A line without spaces is one word."""
    line = "".join(src.replace(" ", "") for src, _ in pairs)[:600] * 4
    vocabulary = trained(pairs, kind)
    ids = sampler(vocabulary, kind, 0.3).sample([[line], [line]], [1])
    assert vocabulary.decode_tgt(ids[1]) == [line]


@pytest.mark.parametrize("kind", KINDS)
def test_symbols_stay_whole_in_every_sample(pairs: Pairs, kind: str) -> None:
    symbols = ["⟨NUM⟩", "<b>", "<b", "e\u0301X"]
    options = SubwordConfig(type=kind, vocab_size=312, keep=symbols)
    vocabulary = subwords.train((s for s, _ in pairs), (t for _, t in pairs), options)
    lines = ["the ⟨NUM⟩ cat", "⟨NUM⟩", "<b>the</b> dog⟨NUM⟩⟨NUM⟩ ", "  <b>,<b the", "éXthe éX", ""]
    assert vocabulary.decode_tgt(vocabulary.encode_tgt(lines)) == lines
    calm = SubwordSampler(vocabulary, replace(options, sampling=1e-9)).sample([lines, lines], [1])
    assert calm[0] == vocabulary.encode_src(lines)
    assert calm[1] == vocabulary.encode_tgt(lines)
    for noise in (0.3, 1.0):
        noisy = SubwordSampler(vocabulary, replace(options, sampling=noise))
        for seed in range(5):
            for ids, line in zip(noisy.sample([lines, []], [seed])[0], lines, strict=True):
                tokens = vocabulary.src_tokens(ids)
                assert vocabulary.decode_tgt([ids]) == [line]
                assert tokens.count("⟨NUM⟩") == line.count("⟨NUM⟩")
                assert tokens.count("<b>") == line.count("<b>")
                assert tokens.count("éX") == line.count("éX")
