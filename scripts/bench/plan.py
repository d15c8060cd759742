"""What is measured: cases, sizes, contenders, precisions, rounds and seconds. Plain data; measures nothing.

``full`` has every contender in every precision it has; ``quick`` has every model and every contender, with shorter
slices and fewer precisions: 15 minutes on two slow cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

PARTS = ("machine", "train", "profile", "decode", "startup", "parallel", "scaling", "quality")
FRAMEWORKS = ("marian", "joeynmt", "eole")
CONTENDERS = ("ours", "tutorial", *FRAMEWORKS, "ctranslate2")
SCRIPTS = {
    "ours": "ours.py",
    "tutorial": "tutorial.py",
    "marian": "marian.py",
    "joeynmt": "joeynmt_.py",
    "eole": "eole_.py",
    "ctranslate2": "ctranslate2_.py",
}
LABELS = {
    "ours": "seq2seq (ours)",
    "tutorial": "PyTorch tutorial",
    "marian": "transformers Marian",
    "joeynmt": "JoeyNMT",
    "eole": "eole",
    "ctranslate2": "CTranslate2",
}

Size = dict[str, int]
TRANSFORMER: Size = {"embedding": 256, "width": 256, "layers": 3, "heads": 4, "feed_forward": 1024}
TRANSFORMER_PRESET: Size = {"embedding": 128, "width": 128, "layers": 2, "heads": 4, "feed_forward": 768}
RECURRENT: Size = {"embedding": 256, "encoder": 256, "decoder": 512, "attention": 256}
RECURRENT_PRESET: Size = {"embedding": 128, "encoder": 128, "decoder": 256, "attention": 128}


@dataclass(frozen=True)
class Case:
    """One model of one size on one corpus, the same for every contender."""

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
    target: float = 3.0  # the issue's: against the best peer, each at its best
    target_fp32: float | None = None  # against the best peer in float32
    target_tutorial: float | None = 2.0
    target_share: float | None = None  # of the machine's matrix-product peak

    def spec(self) -> dict[str, Any]:
        """The part of SPEC.json that the case decides."""
        plain = {"model": self.model, "size": self.size, "batch_tokens": self.batch_tokens, "dropout": self.dropout}
        return {
            **plain,
            "label_smoothing": self.label_smoothing,
            "lr": self.lr,
            "warmup": self.warmup,
            "clip_norm": 1.0,
            "seed": 1,
        }


EMBEDDED: dict[str, Any] = {"corpus": "embedded", "batch_tokens": 1_200, "dropout": 0.0, "label_smoothing": 0.0}
"""How the presets of the embedded corpus are trained."""

_everyone = ("ours", "tutorial", "marian", "joeynmt", "eole")
TRAIN_CASES = (
    Case(
        "transformer-256",
        "transformer",
        TRANSFORMER,
        contenders=_everyone,
        target=2.0,
        target_fp32=3.0,
        target_tutorial=None,
    ),
    Case(
        "transformer-embedded",
        "transformer",
        TRANSFORMER_PRESET,
        **EMBEDDED,
        contenders=_everyone,
        target=2.0,
        target_fp32=3.0,
        target_tutorial=None,
    ),
    Case("bahdanau", "bahdanau", RECURRENT),
    Case("lstm", "lstm", RECURRENT),
)
QUALITY_CASES = (
    Case(
        "transformer-embedded",
        "transformer",
        TRANSFORMER_PRESET,
        **EMBEDDED,
        lr=4e-3,
        warmup=400,
        contenders=("ours", "tutorial", *FRAMEWORKS),
    ),
    Case(
        "bahdanau-embedded",
        "bahdanau",
        RECURRENT_PRESET,
        **EMBEDDED,
        lr=4e-3,
        warmup=400,
        contenders=("ours", "tutorial", "joeynmt", "eole"),
    ),
)
QUALITY = {
    "bleu": 80.0,
    "max_tokens": 3_500_000,
    "valid_every_tokens": 100_000,
    "cap_seconds": 900.0,
    "peers": 2,
    "ema": 0.99,  # decay of the moving average of weights, which those validate that keep one
}
# What a GPU is for: the size of Transformer-big (Vaswani et al. 2017), and the others with batches that fill it.
BIG: Size = {"embedding": 1024, "width": 1024, "layers": 6, "heads": 16, "feed_forward": 4096}
BATCH = 64  # decoding: sentences a batch
TARGETS = {
    "decode": 3.0,
    "ctranslate2": 0.7,
    "quality": 3.0,
    "parallel": 1.2,
    "startup": 0.3,
    "scaling": 0.05,
    "exponent": 1.0,
}


def train_cases(device: str) -> tuple[Case, ...]:
    """What is trained on a device."""
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
    """A variant of the bench."""

    variant: str
    rounds: int = 3
    seconds: float = 8.0  # of a slice
    decode_seconds: float = 6.0
    decode_length: int = 32  # tokens a hypothesis
    longest: float = float("inf")  # seconds of decoding after which who is far behind is not asked again
    precisions: dict[str, tuple[str, ...]] = field(default_factory=dict)  # see precisions_of
    startup_repeats: int = 5
    scaling_pairs: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    scaling_turns: int = 1
    decode_lengths: tuple[int, ...] = (10, 25, 50, 100, 200)
    starts_at_once: int = 1  # workers started side by side: faster, but the times to the first update are then not fair
    left_out: tuple[str, ...] = ()  # parts

    def precisions_of(self, contender: str, task: str, case: str) -> tuple[str, ...]:
        """The precisions a contender runs in, by the first rule that fits.

        ``auto`` is our default, ``native`` is bf16 where the device has instructions for it, else float32.
        """
        rules = {**_PRECISIONS, **self.precisions}
        asked = (f"{contender} {task} {case}", f"{contender} {task}", contender)
        return next((rules[key] for key in asked if key in rules), ("fp32", "bf16"))


_PRECISIONS = {"ours": ("auto", "fp32", "bf16")}
_ONE, _BOTH, _NATIVE = ("fp32",), ("fp32", "bf16"), ("native",)
FULL = Plan(
    "full",
    rounds=5,
    scaling_pairs=(10_000, 100_000, 1_000_000, 10_000_000),
    scaling_turns=3,
    startup_repeats=9,
)
QUICK = Plan(
    "quick",
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
    decode_lengths=(10, 50, 200),
    starts_at_once=2,
    left_out=("quality",),
)
PLANS = {"full": FULL, "quick": QUICK}
