"""How much of the training text has been read, and whether there is more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seq2seq.analysis import training_text
from seq2seq.analysis.training_text import TrainingText
from seq2seq.config.schema import Config, DataConfig, HubConfig


class Corpus:
    """The pairs that are at hand: of a stream the sample."""

    def __init__(self, size: int) -> None:
        self.size = size

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        return iter([("a", "b")] * self.size)


@pytest.mark.parametrize(("at_hand", "most", "cut"), [(100, 1_000, True), (100, 50, True), (60, 1_000, False)])
def test_of_a_stream_a_sample_is_not_all(at_hand: int, most: int, cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_text, "corpus_of", lambda config, split: Corpus(at_hand))
    streamed = Config(data=DataConfig(source="hub", hub=HubConfig(repo="a/b", streaming=True, sample=100)))
    text = TrainingText(streamed, 0, most)
    assert (len(list(text)), text.cut) == (min(at_hand, most), cut)
    whole = TrainingText(Config(), 0, 100)
    assert (len(list(whole)), whole.cut) == (at_hand, False)
