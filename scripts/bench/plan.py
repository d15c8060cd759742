"""The plan of a benchmark: cases, sizes, contenders, precisions, rounds and seconds. Plain data; measures nothing.

``full`` runs every contender in every precision that it supports; ``quick`` runs every model and every contender with
shorter slices and fewer precisions: 15 minutes on two slow cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

PARTS = ("machine", "train", "profile", "decode", "startup", "parallel", "scaling", "memory", "quality")
FRAMEWORKS = ("marian", "joeynmt", "eole")
LABELS = {
    "ours": "seq2seq (ours)",
    "tutorial": "PyTorch tutorial",
    "marian": "transformers Marian",
    "joeynmt": "JoeyNMT",
    "eole": "eole",
    "ctranslate2": "CTranslate2",
}
"""Contenders and their names in the report. The worker of each is the module ``workers/NAME.py``."""
CONTENDERS = tuple(LABELS)

Size = dict[str, int]
TRANSFORMER: Size = {"embedding": 256, "width": 256, "layers": 3, "heads": 4, "feed_forward": 1024}
TRANSFORMER_PRESET: Size = {"embedding": 128, "width": 128, "layers": 2, "heads": 4, "feed_forward": 768}
RECURRENT: Size = {"embedding": 256, "encoder": 256, "decoder": 512, "attention": 256}
RECURRENT_PRESET: Size = {"embedding": 128, "encoder": 128, "decoder": 256, "attention": 128}


@dataclass(frozen=True)
class Case:
    """One model of one size on one corpus, the same for every contender. Targets are ratios: our speed over theirs."""

    name: str
    model: str
    size: Size
    corpus: str = "text"  # or "embedded"
    batch_tokens: int = 2_000
    dropout: float = 0.1
    label_smoothing: float = 0.1
    lr: float = 1e-3
    warmup: int = 100
    contenders: tuple[str, ...] = ("ours", "tutorial", "joeynmt", "eole")
    target: float = 3.0  # against the fastest peer, each in its fastest precision
    target_fp32: float | None = None  # against the fastest peer in float32
    target_tutorial: float | None = 2.0  # against the tutorial's loop
    target_share: float | None = None  # share of the machine's peak in matrix products

    def spec(self) -> dict[str, Any]:
        """The entries of a worker's SPEC.json that the case decides."""
        names = ("model", "size", "batch_tokens", "dropout", "label_smoothing", "lr", "warmup")
        return {**{name: getattr(self, name) for name in names}, "clip_norm": 1.0, "seed": 1}


EMBEDDED: dict[str, Any] = {"corpus": "embedded", "batch_tokens": 1_200, "dropout": 0.0, "label_smoothing": 0.0}
"""Training options of the presets of the embedded corpus."""

_EVERYONE = ("ours", "tutorial", *FRAMEWORKS)
_COMPETITIVE: dict[str, Any] = {
    "contenders": _EVERYONE,
    "target": 2.0,
    "target_fp32": 3.0,
    "target_tutorial": None,
}
"""Everybody has a Transformer, so its targets differ from those of the recurrent models."""
TRAIN_CASES = (
    Case("transformer-256", "transformer", TRANSFORMER, **_COMPETITIVE),
    Case("transformer-embedded", "transformer", TRANSFORMER_PRESET, **EMBEDDED, **_COMPETITIVE),
    Case("bahdanau", "bahdanau", RECURRENT),
    Case("lstm", "lstm", RECURRENT),
)
MEMORY_CASE = replace(TRAIN_CASES[0], batch_tokens=4_000)  # the budget of a corpus of that size
DECODE_CASES = (TRAIN_CASES[0], *TRAIN_CASES[2:])  # one of each model
_QUALITY: dict[str, Any] = {**EMBEDDED, "lr": 4e-3, "warmup": 400}
QUALITY_CASES = (
    Case("transformer-embedded", "transformer", TRANSFORMER_PRESET, **_QUALITY, contenders=_EVERYONE),
    Case("bahdanau-embedded", "bahdanau", RECURRENT_PRESET, **_QUALITY),
)


@dataclass(frozen=True)
class Quality:
    """Rules of the part ``quality``: training until validation BLEU reaches ``bleu``."""

    bleu: float = 80.0
    max_tokens: int = 3_500_000  # target tokens after which a contender stops
    valid_every_tokens: int = 100_000
    cap_seconds: float = 900.0
    peers: int = 2  # contenders beside ours: those that train the model fastest
    ema: float = 0.99  # EMA decay of the weights that are validated, for contenders that keep an average


QUALITY = Quality()
# Transformer-big (Vaswani et al. 2017): a size that fills a GPU.
BIG: Size = {"embedding": 1024, "width": 1024, "layers": 6, "heads": 16, "feed_forward": 4096}
BATCH = 64  # sentences in a batch of decoding
TARGETS = {
    "decode": 3.0,
    "ctranslate2": 0.7,
    "quality": 3.0,
    "parallel": 1.2,
    "startup": 0.3,
    "scaling": 0.05,
    "exponent": 1.0,
    "memory": 0.5,
    "memory_speed": 0.98,
}


def train_cases(device: str) -> tuple[Case, ...]:
    """The training cases of a device; on a GPU with batches that fill it."""
    if device == "cpu":
        return TRAIN_CASES
    filled = tuple(replace(case, batch_tokens=16_000) for case in TRAIN_CASES if case.corpus == "text")
    big = replace(filled[0], name="transformer-big", size=BIG, target_share=0.5)
    return (
        big,
        *(replace(case, target_tutorial=5.0) if case.model == "bahdanau" else case for case in filled),
    )


@dataclass(frozen=True)
class Plan:
    """A variant of the benchmark; the defaults are those of ``full``."""

    variant: str
    rounds: int = 5  # slices of each contender
    seconds: float = 8.0  # length of a slice of training
    decode_seconds: float = 6.0  # length of a slice of decoding
    decode_length: int = 32  # tokens of each hypothesis
    longest: float = float("inf")  # a contender far behind whose first slice takes more seconds keeps that slice alone
    precisions: dict[str, tuple[str, ...]] = field(default_factory=dict)  # see precisions_of
    startup_repeats: int = 9
    scaling_pairs: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    scaling_turns: int = 3
    memory_epochs: int = 3
    decode_lengths: tuple[int, ...] = (10, 25, 50, 100, 200)
    starts_at_once: int = 1  # workers started side by side; above 1 their times to the first update are not comparable
    left_out: tuple[str, ...] = ()  # parts that are not run unless --only names them

    def precisions_of(self, contender: str, task: str, case: str) -> tuple[str, ...]:
        """The precisions a contender runs in, by the first rule that fits.

        ``auto`` is our default, ``native`` is bf16 where the device has instructions for it, else float32.
        """
        rules = {**_PRECISIONS, **self.precisions}
        asked = (f"{contender} {task} {case}", f"{contender} {task}", contender)
        return next((rules[key] for key in asked if key in rules), ("fp32", "bf16"))


_PRECISIONS = {"ours": ("auto", "fp32", "bf16")}
_ONE, _BOTH, _NATIVE = ("fp32",), ("fp32", "bf16"), ("native",)
FULL = Plan("full")
QUICK = Plan(
    "quick",
    rounds=3,
    seconds=1.5,
    decode_seconds=1.0,
    decode_length=16,
    longest=4.0,
    precisions={
        "ours": ("auto",),
        "ours train transformer-256": ("auto", "fp32"),
        "ours decode transformer-256": ("auto", "fp32"),  # CTranslate2 is compared with in float32
        **dict.fromkeys(("tutorial train", "marian train", "eole train"), _BOTH),
        **dict.fromkeys(("tutorial decode", "marian decode", "eole decode"), _NATIVE),
        **dict.fromkeys(("tutorial", *FRAMEWORKS, "ctranslate2"), _ONE),
    },
    startup_repeats=3,
    scaling_pairs=(10_000, 1_000_000),
    scaling_turns=1,
    memory_epochs=1,
    decode_lengths=(10, 50, 200),
    starts_at_once=2,
    left_out=("quality", "memory"),
)
PLANS = {"full": FULL, "quick": QUICK}
