"""The skeleton of a worker: what all toolkits have in common. Knows SPEC.json, the corpus's files and the protocol.

A toolkit is a subclass that says how it builds its model, trains, translates and searches. On loading, this module
needs the standard library alone, as the protocol does.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.bench.workers.protocol import Channel

PAD, UNK, BOS, EOS = range(4)
SENTENCES = 1_000  # of the test split are decoded
INPUT_FEEDING = "attention as wide as the decoder, input feeding, output untied (its width is not the embedding's)"

Tokens = list[str]


def lines_of(path: Path, limit: int | None = None) -> list[Tokens]:
    """The tokens of each line of a file, of the first ``limit`` lines."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [line.rstrip("\n").split(" ") for line in itertools.islice(lines, limit)]


def training_ids(data: Path, side: str) -> list[Any]:
    """The ids of each training sentence on a side, EOS at the end: NumPy arrays."""
    import numpy as np

    with np.load(data / "train.ids.npz") as arrays:
        return np.split(arrays[side], arrays[f"{side}_offsets"][1:-1])


def decoding_batches(data: Path, size: int) -> list[list[Tokens]]:
    """Batches of ``size`` test sentences of similar length, the longest first; a smaller last batch is left out."""
    rows = sorted(lines_of(data / "test.tokens.src", SENTENCES), key=len, reverse=True)
    return [rows[first : first + size] for first in range(0, max(len(rows) - size, 0) + 1, size)]


def settings(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``peers/NAME.yaml``, in the toolkit's own words; each string ``$key`` is replaced by its value.

    Where there is a section ``model`` for each of the models, only that of ``values["model"]`` is kept.
    """
    import yaml

    path = Path(__file__).parents[1] / "peers" / f"{name}.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    found["model"] = found["model"].get(values["model"], found["model"])

    def filled(template: Any) -> Any:
        if isinstance(template, dict):
            return {key: filled(inner) for key, inner in template.items()}
        if isinstance(template, list):
            return [filled(inner) for inner in template]
        return values[template[1:]] if isinstance(template, str) and template.startswith("$") else template

    return dict(filled(found))


class Vocabulary:
    """The tokens of ``vocab.txt`` and their ids."""

    def __init__(self, data: Path) -> None:
        self.tokens = (data / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
        self.ids = {token: number for number, token in enumerate(self.tokens)}

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

    @abstractmethod
    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        """Set up a search with ``beam`` hypotheses of exactly ``length`` tokens in batches of ``batch`` sentences."""

    def encode(self, sources: list[Tokens]) -> Any:
        """A batch as ``search`` takes it; not part of the time that is measured."""
        return sources

    @abstractmethod
    def search(self, batch: Any) -> Iterable[int]:
        """Search; the number of tokens of each sentence's best hypothesis."""

    def decode(self) -> None:
        """Search on the test sentences, over and over, until the channel ends it."""
        size, length = self.spec["decode"]["batch"], self.spec["decode"]["length"]
        self.prepare_decoding(**self.spec["decode"])
        batches = [self.encode(sources) for sources in decoding_batches(self.data, size)]
        self.ready()
        for batch in self.channel.batches(itertools.cycle(batches), lambda _: size * length):
            if any(found != length for found in self.search(batch)):
                raise RuntimeError(f"a hypothesis has not the {length} tokens that were asked for")

    def ready(self, **more: Any) -> None:
        """Report that measuring can begin."""
        self.channel.ready(self.version, self.parameters(), self.notes, **more)

    def tasks(self) -> dict[str, Callable[[], None]]:
        """The tasks that a SPEC may name."""
        return {"decode": self.decode}

    def run(self) -> None:
        """The whole life of the worker."""
        why = self.unable()
        if why:
            self.channel.fail(why)
        self.build()
        self.tasks()[self.spec["task"]]()


class TorchContender(Contender):
    """A toolkit that trains; its ``model`` is a PyTorch module.

    Attributes:
        together: sentences of similar length that a validation translates in one batch.
    """

    model: Any
    together = 64

    def run(self) -> None:
        import torch

        torch.set_num_threads(self.spec["threads"])
        super().run()

    def tasks(self) -> dict[str, Callable[[], None]]:
        return {**super().tasks(), "train": self.start_training}

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def start_training(self) -> None:
        """Prepare, say so, and train."""
        about = self.prepare_training()
        self.channel.on("check", lambda _: self.check())
        self.channel.on("translate", self.translate)
        self.ready(**about)
        self.train()

    @abstractmethod
    def prepare_training(self) -> dict[str, Any]:
        """Everything before the first update; further entries of the ``ready`` message."""

    @abstractmethod
    def train(self) -> None:
        """Train until the channel ends it."""

    @abstractmethod
    def losses(self) -> tuple[Any, Any]:
        """The loss a token of one batch without smoothing: the toolkit's own, and cross-entropy of the logits."""

    def check(self) -> dict[str, float]:
        """Both losses, in evaluation mode."""
        import torch

        self.model.eval()
        with torch.no_grad():
            own, recomputed = self.losses()
        self.model.train()
        return {"own": float(own), "recomputed": float(recomputed)}

    @abstractmethod
    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        """Greedy translations of a batch, the longest source first; special tokens may be among their tokens."""

    def translate(self, sources: list[Tokens]) -> list[Tokens]:
        """Greedy translations in the order given, in batches of similar length."""
        training = self.model.training
        self.model.eval()
        order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
        answers: list[Tokens] = [[] for _ in sources]
        for first in range(0, len(order), self.together):
            numbers = order[first : first + self.together]
            found = self.greedy([sources[number] for number in numbers])
            for number, tokens in zip(numbers, found, strict=True):
                answers[number] = [token for token in tokens if token not in ("<pad>", "<s>", "</s>")]
        self.model.train(training)
        return answers


class IdContender(TorchContender):
    """A toolkit that is given ids: those of ``vocab.txt``, which are also the ids of ``train.ids.npz``."""

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.data)

    def encode(self, sources: list[Tokens]) -> list[list[int]]:
        return [self.vocabulary.encode(tokens) for tokens in sources]
