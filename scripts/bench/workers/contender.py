"""The skeleton of a worker: what all toolkits have in common. Knows SPEC.json, the corpus's files and the protocol.

A toolkit is a subclass of ``Contender`` that says how it builds its model, trains, translates and searches. Like the
protocol, this module uses the standard library alone.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.bench.workers.protocol import Channel

PAD, UNK, BOS, EOS = range(4)
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
SENTENCES = 1_000  # of the test split are decoded
INPUT_FEEDING = "attention as wide as the decoder, input feeding, output untied (its width is not the embedding's)"

Tokens = list[str]


def lines_of(path: Path, limit: int | None = None) -> list[Tokens]:
    """The tokens of each line of a file, of the first ``limit`` lines."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [line.rstrip("\n").split(" ") for line in itertools.islice(lines, limit)]


def decoding_batches(data: Path, size: int) -> list[list[Tokens]]:
    """Batches of ``size`` test sentences of similar length, the longest first; a smaller last batch is left out."""
    rows = sorted(lines_of(data / "test.tokens.src", SENTENCES), key=len, reverse=True)
    return [rows[first : first + size] for first in range(0, max(len(rows) - size, 0) + 1, size)]


class Vocabulary:
    """The tokens of ``vocab.txt`` and their ids."""

    def __init__(self, data: Path) -> None:
        self.tokens = (data / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
        self.ids = {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, tokens: Tokens) -> list[int]:
        """Ids, EOS at the end."""
        return [*(self.ids.get(token, UNK) for token in tokens), EOS]

    def decode(self, ids: Sequence[int]) -> Tokens:
        """Tokens up to EOS."""
        return [self.tokens[number] for number in itertools.takewhile(lambda number: number != EOS, ids)]


class Contender(ABC):
    """One toolkit in a worker process.

    Attributes:
        version: the toolkit's version, for the report.
        notes: differences from the SPEC's model and training, for the report.
    """

    version = ""
    together = 64  # sentences of similar length that are translated in one batch

    def __init__(self, channel: Channel) -> None:
        self.channel, self.spec = channel, channel.spec
        self.data = Path(self.spec["data"])
        self.notes: list[str] = []

    def unable(self) -> str | None:
        """Why the toolkit cannot do what the SPEC asks for, in one line; None where it can."""
        return None

    @abstractmethod
    def build(self) -> None:
        """Load the toolkit and make the model, with the weights of the SPEC's seed."""

    @abstractmethod
    def parameters(self) -> int:
        """Trained parameters, shared ones once."""

    # -------------------------------------------------------------------------------------------------------- training

    def prepare_training(self) -> dict[str, Any]:
        """Everything before the first update; further entries of the ``ready`` message."""
        raise NotImplementedError

    def train(self) -> None:
        """Train until the channel ends it."""
        raise NotImplementedError

    def check(self) -> dict[str, float]:
        """The loss a token of one batch: ``own`` as the toolkit computes it, ``recomputed`` from the logits."""
        raise NotImplementedError

    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        """Greedy translations of a batch, the longest source first; special tokens may be among their tokens."""
        raise NotImplementedError

    def translate(self, sources: list[Tokens]) -> list[Tokens]:
        """Greedy translations in the order given, in batches of similar length."""
        order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
        answers: list[Tokens] = [[] for _ in sources]
        for first in range(0, len(order), self.together):
            numbers = order[first : first + self.together]
            found = self.greedy([sources[number] for number in numbers])
            for number, tokens in zip(numbers, found, strict=True):
                answers[number] = [token for token in tokens if token not in ("<pad>", "<s>", "</s>")]
        return answers

    # -------------------------------------------------------------------------------------------------------- decoding

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        """Set up a search with ``beam`` hypotheses of exactly ``length`` tokens in batches of ``batch`` sentences."""
        raise NotImplementedError

    def encode(self, sources: list[Tokens]) -> Any:
        """A batch as ``search`` takes it; not part of the time that is measured."""
        return sources

    def search(self, batch: Any) -> Iterable[int]:
        """Search; the number of tokens of each sentence's best hypothesis."""
        raise NotImplementedError

    def decode(self) -> None:
        """Search on the test sentences, over and over, until the channel ends it."""
        size, length = self.spec["decode"]["batch"], self.spec["decode"]["length"]
        self.prepare_decoding(**self.spec["decode"])
        batches = [self.encode(sources) for sources in decoding_batches(self.data, size)]
        self.ready()
        for batch in self.channel.batches(itertools.cycle(batches), lambda _: size * length):
            if any(found != length for found in self.search(batch)):
                raise RuntimeError(f"a hypothesis has not the {length} tokens that were asked for")

    # ------------------------------------------------------------------------------------------------------------- run

    def ready(self, **more: Any) -> None:
        """Report that measuring can begin."""
        self.channel.ready(self.version, self.parameters(), self.notes, **more)

    def start_training(self) -> None:
        """Answer every order of a training worker."""
        about = self.prepare_training()
        self.channel.on("check", lambda _: self.check())
        self.channel.on("translate", self.translate)
        self.ready(**about)
        self.train()

    def tasks(self) -> dict[str, Callable[[], None]]:
        """The tasks that a SPEC may name."""
        return {"train": self.start_training, "decode": self.decode}

    def run(self) -> None:
        """The whole life of the worker."""
        why = self.unable()
        if why:
            self.channel.fail(why)
        self.build()
        self.tasks()[self.spec["task"]]()


class TorchContender(Contender):
    """A toolkit whose ``model`` is a PyTorch module."""

    model: Any

    def run(self) -> None:
        import torch

        torch.set_num_threads(self.spec["threads"])
        super().run()

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def check(self) -> dict[str, float]:
        import torch

        self.model.eval()
        with torch.no_grad():
            own, recomputed = self.losses()
        self.model.train()
        return {"own": float(own), "recomputed": float(recomputed)}

    def losses(self) -> tuple[Any, Any]:
        """The loss a token of one batch without smoothing: the toolkit's own, and cross-entropy of the logits."""
        raise NotImplementedError

    def translate(self, sources: list[Tokens]) -> list[Tokens]:
        training = self.model.training
        self.model.eval()
        answers = super().translate(sources)
        self.model.train(training)
        return answers
