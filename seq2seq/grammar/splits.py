"""The corpus: as many sentences of each length as asked, dealt into splits that share none.

Knows lengths and duplicates; nothing of grammar. Sentences per length are in proportion to 1 / length, so that every
length has about the same number of words. Each (split, length) has a generator of its own, seeded by a string: the
same sentences on every platform and version of Python (only `random()` is drawn from).
"""

from __future__ import annotations

import functools
import hashlib
import random
from pathlib import Path

from seq2seq.grammar import lexicon as lexicons
from seq2seq.grammar.sentences import AlignedPair, Sentences

GENERATOR = 1  # raised whenever the code emits other sentences from the same lexicon: caches go by it
PATIENCE = 40  # sentences in a row that were there before, after which a length counts as used up


def sentence(rng: random.Random, length: int) -> AlignedPair:
    """A sentence of exactly `length` English words (3 or more; punctuation is glued to words and does not count)."""
    return Sentences(lexicons.load(), rng).sentence(length)


def quotas(total: int, lengths: range) -> dict[int, int]:
    """`total` sentences dealt over the lengths in proportion to 1 / length; the largest remainders are rounded up."""
    mass = sum(1 / length for length in lengths)
    exact = {length: total / length / mass for length in lengths}
    counts = {length: int(share) for length, share in exact.items()}
    by_remainder = sorted(lengths, key=lambda length: (counts[length] - exact[length], length))
    for length in by_remainder[: total - sum(counts.values())]:
        counts[length] += 1
    return counts


def _split(name: str, total: int, lengths: range, seed: int, taken: set[str]) -> list[AlignedPair]:
    """One split, none of whose sentences is in `taken` or comes twice.

    There are only so many sentences of three words: where a length is used up, what is missing is dealt over the
    longer ones, again by 1 / length.
    """
    wanted = quotas(total, lengths)
    pairs: list[AlignedPair] = []
    own: set[str] = set()
    for length in lengths:
        writer = Sentences(lexicons.load(), random.Random(f"{seed}/{name}/{length}"))
        missing, failures = wanted[length], 0
        while missing and failures < PATIENCE:
            pair = writer.sentence(length)
            if pair.src in own or pair.src in taken or pair.tgt in taken:
                failures += 1
                continue
            own.add(pair.src)
            pairs.append(pair)
            missing, failures = missing - 1, 0
        if missing and length + 1 in lengths:
            for longer, more in quotas(missing, range(length + 1, lengths.stop)).items():
                wanted[longer] += more
    rng = random.Random(f"{seed}/{name}/order")
    for last in range(len(pairs) - 1, 0, -1):  # Fisher and Yates; random.shuffle may change with Python
        other = int(rng.random() * (last + 1))
        pairs[last], pairs[other] = pairs[other], pairs[last]
    return pairs


def corpus(
    *, pairs: int, valid: int, test: int, min_words: int, max_words: int, seed: int
) -> dict[str, list[AlignedPair]]:
    """The splits "train" (`pairs` sentences), "valid" and "test", of `min_words` to `max_words` English words.

    No English and no German sentence is in two splits, no English one twice in a split. Where that leaves too few
    sentences even at the longest length, a split is smaller than asked. Test and valid come first, so that they do
    not depend on the size of train.
    """
    lengths = range(min_words, max_words + 1)
    taken: set[str] = set()
    splits: dict[str, list[AlignedPair]] = {}
    for name, total in (("test", test), ("valid", valid), ("train", pairs)):
        splits[name] = _split(name, total, lengths, seed, taken)
        if name != "train":
            taken.update(pair.src for pair in splits[name])
            taken.update(pair.tgt for pair in splits[name])
    return {name: splits[name] for name in ("train", "valid", "test")}


@functools.lru_cache(maxsize=4)
def fingerprint(folder: Path | None = None) -> str:
    """A hash of lexicon, rules and generator version: caches of the corpus are keyed by it."""
    return hashlib.sha256(f"{GENERATOR} {lexicons.digest(folder)}".encode()).hexdigest()[:16]
