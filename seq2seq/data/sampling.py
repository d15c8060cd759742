"""Subword regularisation: random segmentations that depend on their seed alone. Knows texts and ids; no batches.

SentencePiece samples too, but since version 0.2.2 it salts its random generator in each process, so that a run that
goes on would train on other segmentations than the run that was stopped. Its subwords never cross a space (``▁``): a
sentence is segmented word by word, and what does not depend on chance is computed once for each word.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from seq2seq.config.schema import EOS, UNK, SubwordConfig
from seq2seq.data.subwords import Subwords, normalise

SPACE = "▁"
UNKNOWN_PENALTY = 10.0  # SentencePiece scores an unknown character that much below its worst subword
LONGEST_KEPT = 24  # characters; a longer word, or a sentence of a language without spaces, hardly comes again
Ids = tuple[int, ...]


class SubwordSampler:
    """Segments both sides of a batch at random, as SentencePiece would, but as a pure function of a seed."""

    def __init__(self, subwords: Subwords, options: SubwordConfig) -> None:
        """``options.sampling``, in (0, 1], is the amount of noise: see ``BpeDropout`` and ``UnigramSampling``."""
        algorithm = BpeDropout if options.type == "bpe" else UnigramSampling
        self.kept = frozenset(map(normalise, options.keep))
        longest_first = sorted(self.kept, key=len, reverse=True)
        self.symbols = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self.sides = [algorithm(Vocabulary(side), options.sampling) for side in subwords.processors]

    def sample(self, texts: Sequence[Sequence[str]], seed: Sequence[int]) -> list[list[list[int]]]:
        """Ids of each line of the source and of the target ``texts``, EOS at the end."""
        sampled = []
        for number, (side, lines) in enumerate(zip(self.sides, texts, strict=True)):
            segment = side.segmenter(np.random.default_rng([*seed, number]))
            ids = [list(chain.from_iterable(self._ids(line, side.vocabulary, segment))) for line in lines]
            sampled.append([[*(line if side.vocabulary.bytes else one_unk_a_run(line)), EOS] for line in ids])
        return sampled

    def _ids(self, line: str, vocabulary: Vocabulary, segment: Callable[[str], Ids]) -> Iterator[Ids]:
        """Ids of each word of a line; a symbol that is kept whole, and what stands before and after it, are words."""
        if not self.kept:
            return map(segment, words(line))
        parts = (part for word in words(line) for part in self.symbols.split(word) if part)
        return (vocabulary.spell(part) if part in self.kept else segment(part) for part in parts)


class Segmenter:
    """Segments both sides of a batch as SentencePiece does, where their text is not that of single lines on disk."""

    def __init__(self, subwords: Subwords) -> None:
        self.subwords = subwords

    def sample(self, texts: Sequence[Sequence[str]], seed: Sequence[int]) -> list[list[list[int]]]:
        """As that of ``SubwordSampler``, but nothing is left to chance."""
        return [self.subwords.encode_src(texts[0]), self.subwords.encode_tgt(texts[1])]


def words(line: str) -> list[str]:
    """The words of a line, each with the sign of the space before it; the first word has that sign too."""
    return [SPACE + word for word in normalise(line).replace(" ", SPACE).split(SPACE)] if line else []


def one_unk_a_run(ids: Sequence[int]) -> list[int]:
    """SentencePiece writes one UNK for neighbouring unknown characters."""
    return [i for before, i in zip([None, *ids], ids, strict=False) if not i == before == UNK]


class Vocabulary:
    """The subwords of a SentencePiece model that spell text, with their scores."""

    def __init__(self, processor: SentencePieceProcessor) -> None:
        special = (processor.is_control, processor.is_unknown, processor.is_byte, processor.is_unused)
        ordinary = [i for i in range(processor.vocab_size()) if not any(test(i) for test in special)]
        self.ids: dict[str, int] = {processor.id_to_piece(i): i for i in ordinary}
        self.scores: dict[str, float] = {subword: processor.get_score(i) for subword, i in self.ids.items()}
        self.longest = max(map(len, self.ids))
        bytes_ = [processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        self.bytes = bytes_ if processor.is_byte(bytes_[0]) else None

    def spell(self, subword: str) -> Ids:
        """The id of a subword; an unknown character becomes its bytes, or UNK where the model knows no bytes."""
        if subword in self.ids:
            return (self.ids[subword],)
        return tuple(self.bytes[byte] for byte in subword.encode()) if self.bytes else (UNK,)


class BpeDropout:
    """Byte-pair encoding in which each merge is dropped with probability ``p`` (Provilkov et al. 2020, algorithm 1).

    ``p`` = 0 is the plain segmentation, ``p`` = 1 single characters. As in SentencePiece, a dropped pair is not tried
    again unless one of its sides has grown.
    """

    def __init__(self, vocabulary: Vocabulary, p: float) -> None:
        self.vocabulary, self.p = vocabulary, p
        self._remembered = lru_cache(1 << 17)(self._merge)

    def segmenter(self, rng: np.random.Generator) -> Callable[[str], Ids]:
        """A function that segments one word after the other.

        The number of merges up to the next dropped one is drawn at once, and words mostly drop the same few.
        """
        kept = _endless(lambda: rng.geometric(self.p, 256) - 1)

        def segment(word: str) -> Ids:
            merge = self._remembered if len(word) <= LONGEST_KEPT else self._merge
            dropped: Ids = ()
            place = next(kept)  # of the next pair to be dropped
            ids, tried = merge(word, dropped)
            while place < tried:
                while place < tried:
                    dropped += (place,)
                    place += 1 + next(kept)
                ids, tried = merge(word, dropped)
            return ids

        return segment

    def _merge(self, word: str, dropped: Ids) -> tuple[Ids, int]:
        """Ids of a word, and the number of pairs that were tried: the best first, then the leftmost.

        ``dropped``: which of the pairs, in the order of trying them, are not merged.
        """
        scores = self.vocabulary.scores
        symbols = list(word)  # a symbol that was merged into its left neighbour is empty
        before, after = list(range(-1, len(word) - 1)), list(range(1, len(word) + 1))
        pairs = [(-scores[pair], n, pair) for n, pair in enumerate(map("".join, pairwise(word))) if pair in scores]
        heapify(pairs)
        tried = 0
        while pairs:
            _, left, pair = heappop(pairs)
            right = after[left]
            if right == len(word) or symbols[left] + symbols[right] != pair or not symbols[left]:
                continue  # one of the two has been merged with another neighbour
            tried += 1
            if tried - 1 in dropped:
                continue
            symbols[left], symbols[right] = pair, ""
            after[left] = after[right]
            if after[left] < len(word):
                before[after[left]] = left
            for start, end in ((before[left], left), (left, after[left])):
                grown = symbols[start] + symbols[end] if start >= 0 and end < len(word) else ""
                if grown in scores:
                    heappush(pairs, (-scores[grown], start, grown))
        return tuple(chain.from_iterable(self.vocabulary.spell(symbol) for symbol in symbols if symbol)), tried


class UnigramSampling:
    """Segmentations x of a word with probability proportional to P(x)^α, α = (1 - amount) / amount (Kudo 2018, eq. 8).

    P is the unigram model's. ``amount`` towards 0 is its likeliest segmentation, 0.5 its own distribution, 1 makes all
    segmentations equally likely; Kudo's α of 0.2 and 0.5 are the amounts 0.83 and 0.67.
    """

    def __init__(self, vocabulary: Vocabulary, amount: float) -> None:
        self.vocabulary, self.alpha = vocabulary, (1 - amount) / amount
        self.unknown = min(vocabulary.scores.values()) - UNKNOWN_PENALTY
        self._remembered = lru_cache(1 << 14)(self._forward)

    def segmenter(self, rng: np.random.Generator) -> Callable[[str], Ids]:
        """A function that segments one word after the other, each from its end (backward sampling)."""
        draws = _endless(lambda: rng.random(256))

        def segment(word: str) -> Ids:
            lattice = self._remembered(word) if len(word) <= LONGEST_KEPT else self._forward(word)
            end = len(word)
            ids: Ids = ()
            while end:
                cumulative, arcs = lattice[end]
                end, spelled = arcs[bisect(cumulative, next(draws)) if len(arcs) > 1 else 0]
                ids = spelled + ids
            return ids

        return segment

    def _forward(self, word: str) -> list[tuple[list[float], list[tuple[int, Ids]]]]:
        """For each place in the word the subwords that may end there: cumulative probabilities, starts and ids."""
        scores, total = self.vocabulary.scores, [0.0]
        lattice: list[tuple[list[float], list[tuple[int, Ids]]]] = [([], [])]
        for end in range(1, len(word) + 1):
            starts = [n for n in range(max(end - self.vocabulary.longest, 0), end - 1) if word[n:end] in scores]
            starts.append(end - 1)
            logs = [total[n] + self.alpha * scores.get(word[n:end], self.unknown) for n in starts]
            highest = max(logs)
            weights = list(accumulate(math.exp(log - highest) for log in logs))
            total.append(highest + math.log(weights[-1]))
            arcs = [(n, self.vocabulary.spell(word[n:end])) for n in starts]
            lattice.append(([weight / weights[-1] for weight in weights], arcs))
        return lattice


def _endless(draw: Callable[[], NDArray[Any]]) -> Iterator[Any]:
    """The numbers of one ``draw`` after the other."""
    while True:
        yield from draw().tolist()
