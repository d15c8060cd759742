"""What tests of all storeys share: every architecture, tiny, and random sentences as ids."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seq2seq.config.compose import compose
from seq2seq.config.schema import (
    BOS,
    EOS,
    PAD,
    AttentionDecoderConfig,
    Config,
    ConstantEncoderConfig,
    FixedContextDecoderConfig,
    ModelConfig,
    RecurrentEncoderConfig,
    SubwordConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seq2seq.data import subwords
from seq2seq.data.subwords import Subwords
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.system.devices import multiplies_bf16

pytest_plugins = ["tests.fake_runs"]

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as once it is activated
torch.set_num_threads(1)  # tiny products are seven times slower on two threads that share two busy cores
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same for the processes that tests start

VOCAB = 20
E = 8  # units of an embedding

READER = RecurrentEncoderConfig(width=6)
FIXED = FixedContextDecoderConfig(width=10, context_width=9)
ATTENTION = AttentionDecoderConfig(width=10, attention_width=7)
SELF = TransformerEncoderConfig(width=E, heads=2, feed_forward=16)
LAST = RecurrentEncoderConfig(width=10, layers=2, bidirectional=False, reverse_source=True)
NOTHING = ConstantEncoderConfig(width=7)
CROSS = TransformerDecoderConfig(width=E, heads=2, feed_forward=16)


@pytest.fixture(scope="session")
def bf16() -> torch.dtype:
    """bfloat16, where this CPU multiplies it: elsewhere ``nn.LSTM`` has no kernel for it, and it is not offered."""
    if not multiplies_bf16(torch.device("cpu")):
        pytest.skip("this CPU has no instructions for bf16")
    return torch.bfloat16


def _model(encoder: object, decoder: object, **options: object) -> ModelConfig:
    return ModelConfig(name="tiny", embedding=E, encoder=encoder, decoder=decoder, **options)  # type: ignore[arg-type]


TINY = {
    "lstm": _model(READER, FIXED),
    "lstm-initial": _model(READER, replace(FIXED, context="initial"), tie="output"),
    "lstm-reverse": _model(replace(READER, reverse_source=True), FIXED),
    "lstm-one-direction": _model(replace(READER, bidirectional=False, reverse_source=True), FIXED, tie="none"),
    "lstm-two-layers": _model(replace(READER, layers=2), replace(FIXED, layers=2)),
    "gru": _model(replace(READER, cell="gru"), replace(FIXED, cell="gru")),
    "mingru": _model(replace(READER, cell="mingru", layers=2), ATTENTION),
    "mingru-vector": _model(replace(READER, cell="mingru", reverse_source=True), FIXED),
    "bahdanau": _model(READER, ATTENTION),
    "bahdanau-dot": _model(READER, replace(ATTENTION, score="dot", width=12)),
    "bahdanau-general": _model(READER, replace(ATTENTION, score="general")),
    "bahdanau-after": _model(READER, replace(ATTENTION, order="after")),
    "bahdanau-gru": _model(replace(READER, cell="gru"), replace(ATTENTION, cell="gru")),
    "bahdanau-two-layers": _model(replace(READER, layers=2), replace(ATTENTION, layers=2), tie="none"),
    "transformer": _model(SELF, CROSS),
    "transformer-post": _model(
        replace(SELF, norm="post", activation="gelu"), replace(CROSS, norm="post", activation="gelu")
    ),
    "transformer-learned": _model(
        replace(SELF, positions="learned"), replace(CROSS, positions="learned", layers=1), tie="output"
    ),
    **{
        f"transformer-{kind}": _model(replace(SELF, positions=kind), replace(CROSS, positions=kind))
        for kind in ("rotary", "alibi", "none")
    },
    "hybrid": _model(SELF, ATTENTION),
    "transformer-fixed": _model(SELF, FIXED),
    "recurrent-transformer": _model(READER, CROSS),
    "bahdanau-uniform": _model(READER, replace(ATTENTION, score="uniform")),
    "bahdanau-slots": _model(replace(READER, slots=3), ATTENTION),
    "transformer-slots": _model(replace(SELF, slots=2), CROSS),
    "hybrid-one-slot": _model(replace(SELF, slots=1), ATTENTION),
    "transformer-one-slot": _model(replace(SELF, slots=1), CROSS),
    "final-states": _model(LAST, replace(FIXED, context="final_states", layers=2)),
    "final-states-gru": _model(
        replace(LAST, cell="gru", layers=1), replace(FIXED, context="final_states", cell="gru"), tie="none"
    ),
    "language-model": _model(NOTHING, CROSS),
    "language-model-lstm": _model(NOTHING, FIXED, tie="output"),
}

TELLING = [
    *("lstm", "lstm-two-layers", "final-states-gru", "mingru", "bahdanau", "bahdanau-after", "hybrid"),
    *("transformer-learned", "transformer-rotary", "transformer-slots", "language-model"),
]
"""Every kind of encoder, decoder, positions and slots at least once."""

Build = Callable[..., Seq2Seq]
Sentences = Callable[..., Tensor]


@pytest.fixture(scope="session")
def tiny_models() -> dict[str, ModelConfig]:
    """The options of every architecture and of its variants, by name."""
    return TINY


@pytest.fixture(scope="session")
def build_tiny() -> Build:
    """``build_tiny(name, seed=1, vocab=VOCAB, **options)``: a tiny model in evaluation mode, no parameter at 0 or 1."""

    def build_one(name: str, seed: int = 1, vocab: int = VOCAB, **options: object) -> Seq2Seq:
        torch.manual_seed(seed)
        model = build(replace(TINY[name], **options), vocab, vocab)  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return model.eval()

    return build_one


@pytest.fixture(params=TINY)
def name(request: pytest.FixtureRequest) -> str:
    """Each architecture in turn."""
    return str(request.param)


@pytest.fixture
def model(name: str, build_tiny: Build) -> Seq2Seq:
    """Each architecture in turn."""
    return build_tiny(name)


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name not in TELLING)) for name in TINY])
def telling(request: pytest.FixtureRequest) -> str:
    """Each architecture in turn, in the ordinary suite the telling ones: for tests that take a second with each."""
    return str(request.param)


@pytest.fixture
def telling_model(telling: str, build_tiny: Build) -> Seq2Seq:
    """The model of ``telling``."""
    return build_tiny(telling)


_composed: dict[str, Config] = {}


@pytest.fixture
def composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and studies take the config that was composed before from the same arguments: a third of a second."""

    def once(arguments: Sequence[str], model: ModelConfig | None = None) -> Config:
        key = f"{list(arguments)} {model}"
        if key not in _composed:
            _composed[key] = compose(arguments, model)
        return deepcopy(_composed[key])

    for module in ("seq2seq.config.compose", "seq2seq.study.plan"):
        monkeypatch.setattr(f"{module}.compose", once)


@pytest.fixture(scope="session")
def sentences() -> Sentences:
    """``sentences(lengths, seed=0, vocab=VOCAB)``: random ids (B, S), each row ending with EOS, PAD behind."""

    def draw(lengths: Sequence[int], seed: int = 0, vocab: int = VOCAB) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.full((len(lengths), max(lengths)), PAD)
        for row, length in zip(ids, lengths, strict=True):
            row[: length - 1] = torch.randint(4, vocab, (length - 1,), generator=generator)
            row[length - 1] = EOS
        return ids

    return draw


@pytest.fixture(scope="session")
def shift() -> Callable[[Tensor], Tensor]:
    """Targets (B, T) that end with EOS to the decoder's input, which begins with BOS."""

    def shifted(tgt_out: Tensor) -> Tensor:
        return torch.cat([torch.full((len(tgt_out), 1), BOS), tgt_out[:, :-1]], 1)

    return shifted


@pytest.fixture(scope="session")
def pairs() -> list[tuple[str, str]]:
    """Forty pairs of three to ten words."""
    english = "the cat sees a small dog near our old house and runs home quickly"
    german = "die Katze sieht einen kleinen Hund nahe unserem alten Haus und läuft schnell heim"
    en, de = english.split(), german.split()
    rows = [
        range(start, start + 7 * step, step)[: 3 + (start + step) % 5] for start in range(8) for step in range(1, 6)
    ]
    return [(" ".join(en[n % 14] for n in row), " ".join(de[n % 14] for n in row)) for row in rows]


@pytest.fixture(scope="session")
def tiny_subwords(pairs: list[tuple[str, str]]) -> Subwords:
    """A joint vocabulary of 320 pieces, bytes among them."""
    return subwords.train((src for src, _ in pairs), (tgt for _, tgt in pairs), SubwordConfig(vocab_size=320))
