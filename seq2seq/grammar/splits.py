"""The corpus: sentences of all lengths, in splits that share no sentence.

Knows lengths and duplicates; knows no grammar. The number of sentences of a length is proportional to 1 / length, so
that each length contributes about as many words. Each (split, length) has a random generator of its own, seeded by a
string and used through `random()` alone, so that the corpus is the same on every platform and version of Python.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable

from seq2seq.grammar import lexicon
from seq2seq.grammar.sentences import AlignedPair, sentence

# By version of the corpus, part of the fingerprint: raise it if the code makes other sentences from the same lexicon.
GENERATOR = {1: 1, 2: 1}
PATIENCE = 40  # duplicates in a row after which a length counts as exhausted


def quotas(total: int, lengths: range) -> dict[int, int]:
    """The number of sentences of each length, proportional to 1 / length; the largest remainders are rounded up."""
    mass = sum(1 / length for length in lengths)
    exact = {length: total / length / mass for length in lengths}
    counts = {length: int(share) for length, share in exact.items()}
    by_remainder = sorted(lengths, key=lambda length: (counts[length] - exact[length], length))
    for length in by_remainder[: total - sum(counts.values())]:
        counts[length] += 1
    return counts


def _split(
    name: str,
    total: int,
    lengths: range,
    seed: int,
    taken: set[str],
    version: int = lexicon.LATEST,
    exponent: float | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> list[AlignedPair]:
    """One split, without duplicates and without the sentences in `taken`. `done` is told of each sentence.

    There are few sentences of three words: if a length is exhausted, the longer ones share what is missing, again in
    proportion to 1 / length.
    """
    wanted = quotas(total, lengths)
    pairs: list[AlignedPair] = []
    own: set[str] = set()
    for length in lengths:
        rng = random.Random(f"{seed}/{name}/{length}")
        missing, failures = wanted[length], 0
        while missing and failures < PATIENCE:
            pair = sentence(rng, length, version, exponent)
            if pair.src in own or pair.src in taken or pair.tgt in taken:
                failures += 1
                continue
            own.add(pair.src)
            pairs.append(pair)
            done(1)
            missing, failures = missing - 1, 0
        if missing and length + 1 in lengths:
            for longer, more in quotas(missing, range(length + 1, lengths.stop)).items():
                wanted[longer] += more
    rng = random.Random(f"{seed}/{name}/order")
    for last in range(len(pairs) - 1, 0, -1):  # Fisher-Yates; random.shuffle may change with the version of Python
        other = int(rng.random() * (last + 1))
        pairs[last], pairs[other] = pairs[other], pairs[last]
    return pairs


def corpus(
    *,
    pairs: int,
    valid: int,
    test: int,
    min_words: int,
    max_words: int,
    seed: int,
    version: int = lexicon.LATEST,
    exponent: float | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, list[AlignedPair]]:
    """The splits "train" (`pairs` sentences), "valid" and "test", of `min_words` to `max_words` English words.

    No sentence of either language is in two splits, and no English sentence is twice in a split. If there are too few
    sentences even of the longest length, the split is smaller. Test and valid are made first, so that they do not
    depend on the size of train. `version` is 1 or 2: version 1 gives the sentences of published figures.
    `exponent` is that of Zipf's law (None: the rules' own): 0 makes all words of a class equally frequent. `done` is
    told of each sentence that is made.
    """
    lengths = range(min_words, max_words + 1)
    taken: set[str] = set()
    splits: dict[str, list[AlignedPair]] = {}
    for name, total in (("test", test), ("valid", valid), ("train", pairs)):
        splits[name] = _split(name, total, lengths, seed, taken, version, exponent, done)
        taken.update(text for pair in splits[name] for text in (pair.src, pair.tgt))
    return {name: splits[name] for name in ("train", "valid", "test")}


@functools.cache
def fingerprint(version: int = lexicon.LATEST) -> str:
    """A hash of a version's lexicon, rules and generator, which names the folder of a generated corpus."""
    return hashlib.sha256(f"{GENERATOR[version]} {lexicon.digest(version)}".encode()).hexdigest()[:16]
