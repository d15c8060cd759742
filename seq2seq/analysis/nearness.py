"""Which test sentences have a training sentence within one word of them, so that they may have been learned by heart.

Two sources are near if they are equal, or if one word substituted, inserted or deleted makes one the other. Knows texts
and where a run keeps what was measured; no model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from seq2seq.analysis.training_text import MOST, TrainingText, kept
from seq2seq.config.schema import Config
from seq2seq.data.lengths import Unit, unit_of
from seq2seq.runs.records import Nearness
from seq2seq.runs.run import Run

VERSION = 2  # to be raised whenever the measurement changes, so that older records are made anew
WHOLE = -1  # in place of the place of the word that is left out


def nearness(run: Run, config: Config, src: Sequence[str]) -> Nearness:
    """Indices of the test sources ``src`` that are near one of the first ``MOST`` training sources.

    The record is kept in the run's ``measurements/nearness.json``, where the folder can be written, and made anew for
    other text.

    Args:
        config: the run's, with the places where its training text may be read.

    Raises:
        UserError: the training text is not there, or may not be read.
    """

    def measure(origin: str) -> Nearness:
        text = TrainingText(config, 0, MOST)
        near = near_any(src, text, unit_of(src))
        return Nearness(origin=origin, near=near, read=text.read, cut=text.cut)

    return kept(run, "nearness", Nearness, [VERSION, MOST, list(src)], measure)


def near_any(src: Sequence[str], training: Iterable[str], unit: Unit) -> list[int]:
    """Indices of the sources that are equal to a training line, or one word away from one; words are those of ``unit``.

    Each source is kept as hashes of its words and of its words without each one; training lines are read once and not
    kept. A line without a word that is a source without the word at the same place differs in that word alone. Hashes
    have 64 bits: that one of a thousand sources is falsely near one of a million lines has a chance of about 10⁻⁸.
    """
    patterns: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    lengths: set[int] = set()
    for index, line in enumerate(src):
        words = tuple(unit.split(line))
        lengths.update((len(words) - 1, len(words), len(words) + 1))
        for place, pattern in _patterns(words):
            patterns[pattern].append((index, place))
    near: set[int] = set()
    for line in training:
        words = tuple(unit.split(line))
        if len(words) not in lengths:
            continue
        for place, pattern in _patterns(words):
            near.update(
                index for index, other in patterns.get(pattern, ()) if place == other or WHOLE in (place, other)
            )
    return sorted(near)


def _patterns(words: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """The hash of the words, and of the words without each one, with the place of that one."""
    yield WHOLE, hash(words)
    for place in range(len(words)):
        yield place, hash(words[:place] + words[place + 1 :])
