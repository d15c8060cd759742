"""A finished run with its model and its texts, ready for questions, and which of its sentences are looked at.

The choice of sentences depends on the text alone, so that all models get the same ones. Knows run folders; measures
nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seq2seq.config.overrides import override
from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data import files
from seq2seq.data.blank import is_blank
from seq2seq.data.lengths import unit_of
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Gold, Links, parse_links, read_gold
from seq2seq.evaluation.words import Pair, encode_pairs, splitter
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.loading import gold_file, load, saved_split, split_of_source
from seq2seq.runs.run import Run, find

SEED = 20  # of every choice of sentences


@dataclass(frozen=True)
class LoadedRun:
    """A run of one model, with its test and validation splits and word alignments of the test pairs."""

    run: Run
    config: Config
    translator: Translator
    src: list[str]  # of the test split, as the run has saved it
    references: list[str]
    valid: tuple[list[str], list[str]]
    gold: list[Gold] | None = None  # correct alignments, where the corpus has them or the user gave them
    links: list[Links] | None = None  # alignments that may be another model's

    @property
    def model(self) -> Seq2Seq:
        """The model of the run."""
        return self.translator.models[0]

    @property
    def longest(self) -> int:
        """Tokens of a line, EOS included, that are read of it, here as in the run's test."""
        return self.config.decode.max_input

    @classmethod
    def open(cls, folder: Path, links: Path | None = None, correct: bool = False, corpus: bool = False) -> LoadedRun:
        """Load a finished run, and the validation split and alignments of its corpus.

        Args:
            links: word alignment of the test pairs (Pharaoh format) in place of the corpus's own.
            correct: whether these links are gold as well.
            corpus: whether the files and the cache that the run's config names may be used.

        Raises:
            UserError: no finished run there, its validation split is gone, or links that do not fit.
        """
        run, checkpoint = find(folder)
        test = saved_split(run, "test")
        if not run.finished or test is None:
            raise UserError(f"{folder}: not finished: start the same `seq2seq train` again")
        config = override(run.load_config(), [], corpus)
        file = gold_file(config, "test", test)
        own = None if file is None else [parse_links(line) for line in files.lines(str(file))]
        gold = None if own is None else [Gold(sure, sure) for sure in own]
        valid = saved_split(run, "valid") or split_of_source(config, "valid")
        loaded = load([(run, checkpoint)], config)
        opened = cls(run, config, loaded.translator, *test, valid, gold, own)
        if links is None:
            return opened
        src, references = ([*map(splitter(config, side), side)] for side in test)
        given = read_gold(str(links), src, references)
        return replace(opened, links=[pair.possible for pair in given], gold=given if correct else gold)

    def encode_pairs(self, src: Sequence[str], references: Sequence[str]) -> list[Pair]:
        """Segment pairs with the run's vocabulary, into the corpus's words; of longer lines what the run reads."""
        split, split_tgt = (splitter(self.config, side) for side in (self.src, self.references))
        return encode_pairs(self.translator.subwords, src, references, split, self.longest, split_tgt)

    def search_options(self, **changes: Any) -> DecodeConfig:
        """Options of a search that can be compared between runs: one deterministic answer; ``changes`` to the rest."""
        return replace(self.config.decode, **{"nbest": 1, "sample": False, **changes})


def evenly(lines: Sequence[str], count: int) -> list[int]:
    """Indices of at most ``count`` lines, at even distances in the order of their lengths."""
    lengths = unit_of(lines).counts(lines)
    order = sorted(range(len(lines)), key=lambda n: lengths[n])
    count = min(count, len(lines))
    return sorted(order[(2 * k + 1) * len(order) // (2 * count)] for k in range(count))


def draw(src: Sequence[str], references: Sequence[str], count: int) -> list[int]:
    """Sorted indices of at most ``count`` pairs with text on both sides, drawn at random from a fixed seed."""
    full = [n for n, pair in enumerate(zip(src, references, strict=True)) if not any(map(is_blank, pair))]
    return sorted(random.Random(SEED).sample(full, min(count, len(full))))
