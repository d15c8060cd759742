"""Every option of the program, a dataclass for each section: data, training, search; ``Config`` holds all.

Knows defaults, units and limits. ``validation`` checks them, and ``configs/`` holds the values of the presets. Imports
nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from seq2seq.config.architectures import DECODERS as DECODERS
from seq2seq.config.architectures import ENCODERS as ENCODERS
from seq2seq.config.architectures import AttentionDecoderConfig as AttentionDecoderConfig
from seq2seq.config.architectures import ConstantEncoderConfig as ConstantEncoderConfig
from seq2seq.config.architectures import DecoderConfig as DecoderConfig
from seq2seq.config.architectures import EncoderConfig as EncoderConfig
from seq2seq.config.architectures import FixedContextDecoderConfig as FixedContextDecoderConfig
from seq2seq.config.architectures import ModelConfig as ModelConfig
from seq2seq.config.architectures import RecurrentDecoderConfig as RecurrentDecoderConfig
from seq2seq.config.architectures import RecurrentEncoderConfig as RecurrentEncoderConfig
from seq2seq.config.architectures import TransformerDecoderConfig as TransformerDecoderConfig
from seq2seq.config.architectures import TransformerEncoderConfig as TransformerEncoderConfig
from seq2seq.config.architectures import TransformerOptions as TransformerOptions
from seq2seq.config.codes import Codes
from seq2seq.config.option import option, several

PAD, UNK, BOS, EOS = range(4)
"""Ids of padding, unknown subword, begin and end of sentence, the same in every vocabulary."""
LEARN = "new"
"""The value of data.subwords.from for subwords of the corpus, whatever ``init`` has."""
LIMITS = ("trainer.max_steps", "trainer.max_epochs", "trainer.max_tokens", "trainer.max_hours")
"""Keys of the limits of a training."""


@dataclass
class SplitConfig:
    """Files of one split, or its name on the hub. ``data.source`` decides which of the keys are read.

    Files are a path, a pattern such as ``corpus/*.en``, or a list of both: OmegaConf has no type for this.
    """

    src: Any = option(None, "text file, or [a,b] or 'a*', with a source sentence in each line (source: text)")
    tgt: Any = option(None, "the same with the translation of each line of src (source: text)")
    file: Any = option(
        None, "file, or [a,b] or 'a*', with both sides (source: tsv, csv, jsonl, parquet; text: zip, TMX, XLIFF)"
    )
    split: Optional[str] = option(None, "name of the split in the repository (source: hub)")


@dataclass
class HubConfig:
    """A dataset repository on the Hugging Face hub (source: hub)."""

    repo: Optional[str] = option(None, "repository, owner/name")
    name: Optional[str] = option(None, "configuration of the repository, e.g. de-en")
    revision: Optional[str] = option(None, "branch, tag or commit")
    data_dir: Optional[str] = option(None, "folder inside the repository")
    streaming: bool = option(False, "read training pairs from the hub while training goes on; nothing is kept of them")
    sample: int = option(100_000, "streaming: pairs at the beginning that subwords are learned from", low=1)


@dataclass
class GrammarConfig:
    """The embedded English-German corpus, generated with its gold alignments (source: grammar)."""

    pairs: int = option(100_000, "training pairs", low=1)
    valid: int = option(500, "validation pairs", low=1)
    test: int = option(1_000, "test pairs", low=1)
    min_words: int = option(3, "shortest English sentence, in words", low=3)
    max_words: int = option(60, "longest English sentence, in words", low=3)
    seed: int = option(1, "seed of the generator", low=0)
    exponent: Optional[float] = option(
        None, "exponent of Zipf's law of the words of a class, 0: all are as frequent (default: 1.5)", low=0, high=4
    )
    version: int = option(2, "version of the corpus; 1: that of figures published before the second", low=1, high=2)


@dataclass
class FilterConfig:
    """Limits that drop pairs from the training split. Validation and test are never filtered."""

    max_length: int = option(128, "longest training sentence on either side, in tokens, EOS included", low=2)
    max_ratio: Optional[float] = option(None, "longer side of a pair over the shorter, both in tokens, at most", low=1)
    deduplicate: bool = option(False, "keep only the first of identical pairs")
    drop: Optional[str] = option(None, "file of further pairs to leave out, which seq2seq doctor … --drop FILE writes")


@dataclass
class SubwordConfig:
    """SentencePiece, trained on the training split only."""

    type: str = option("bpe", "algorithm", choices=("bpe", "unigram"))
    vocab_size: int = option(8_000, "subwords in the vocabulary (of each side, if joint=false)", low=16, high=1 << 24)
    joint: bool = option(True, "one vocabulary for both languages")
    byte_fallback: bool = option(True, "spell unknown characters in bytes (costs 256 subwords)")
    character_coverage: float = option(1.0, "share of the characters that get a subword of their own", above=0, high=1)
    training_pairs: int = option(
        1_000_000, "train SentencePiece on at most so many pairs, spread over the split", low=1
    )
    sampling: float = option(
        0.0,
        "noise of the segmentation, 0 (none) to 1: BPE's p of dropping a merge, unigram's 1 / (1 + α) for P(x)^α",
        low=0,
        high=1,
    )
    keep: list[str] = several([], "symbols that stay whole, such as placeholders: ['⟨NUM⟩','<b>']")
    from_run: Optional[str] = option(
        None, "run whose subwords are taken, also written data.subwords.from (default: that of init; new: learn them)"
    )


@dataclass
class DataConfig(Codes):
    """The corpus, and how its text becomes ids."""

    name: str = option("embedded", "name of the corpus: first folder below outputs/")
    source: str = option(
        "grammar", "kind of source", choices=("grammar", "text", "tsv", "csv", "jsonl", "parquet", "hub")
    )
    src: Optional[str] = option(None, "source language code (default: by the letters, where they tell it)")
    tgt: Optional[str] = option(None, "target language code, which decides BLEU's tokeniser (default: as for src)")
    src_column: Optional[str] = option(None, "column of the source side (default: its language code, or en; in TSV, 1)")
    tgt_column: Optional[str] = option(None, "column of the target side (default: its language code, or de; in TSV, 2)")
    train: SplitConfig = field(default_factory=SplitConfig)
    valid: SplitConfig = field(default_factory=SplitConfig)
    test: SplitConfig = field(default_factory=SplitConfig)
    tests: dict[str, SplitConfig] = several({}, "further test sets, each as test: data.tests.NAME.src=… and so on")
    reverse: bool = option(False, "train the other direction: sides, columns and codes change places, name gets both")
    holdout: int = option(
        1_000, "pairs held out of train for each of valid and test that is not given (a small text: a twentieth)", low=1
    )
    take: Optional[int] = option(None, "use at most so many training pairs", low=1)
    join: Optional[int] = option(
        None,
        "join neighbouring pairs of train, valid and test to at most so many source words (without spaces: characters)",
        low=2,
    )
    join_training: bool = option(True, "with join: join the training pairs too, not those of valid and test alone")
    weights: list[float] = several(
        [], "times that the pairs of each training file are seen in an epoch: [1,3]", above=0, high=1_000
    )
    hub: HubConfig = field(default_factory=HubConfig)
    grammar: GrammarConfig = field(default_factory=GrammarConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)
    subwords: SubwordConfig = field(default_factory=SubwordConfig)
    split: str = option("test", "split that evaluate scores; training ignores it", choices=("valid", "test"))
    cache: str = option("data", "folder for generated, downloaded and encoded corpora")

    @property
    def is_streamed(self) -> bool:
        """Whether training pairs are read from the hub while training goes on."""
        return self.source == "hub" and self.hub.streaming

    @property
    def joins_training(self) -> bool:
        """Whether neighbouring training pairs are joined."""
        return self.join is not None and self.join_training

    def key_of_split(self, name: str) -> str:
        """The key below which the options of a split, or of a further test set, stand."""
        return f"data.tests.{name}" if name in self.tests else f"data.{name}"

    def split_options(self, name: str) -> SplitConfig:
        """The options of the split ``train``, ``valid`` or ``test``, or of one of the further ``tests``."""
        return {"train": self.train, "valid": self.valid, "test": self.test, **self.tests}[name]


OPTIMIZERS = ("adamw", "muon")


@dataclass
class OptimizerConfig:
    """The optimiser and its learning rate."""

    name: str = option(
        "adamw", "optimiser: AdamW, or Muon for hidden matrices and AdamW for the rest", choices=OPTIMIZERS
    )
    lr: float = option(1e-3, "peak learning rate", above=0)
    beta1: float = option(0.9, "decay of the first moment", low=0, high=0.9999)
    beta2: float = option(0.98, "decay of the second moment", low=0, high=0.99999)
    eps: float = option(1e-9, "AdamW's epsilon", above=0)
    weight_decay: float = option(0.0, "decoupled weight decay of the matrices", low=0)
    schedule: str = option(
        "inverse_sqrt", "learning rate after warm-up", choices=("inverse_sqrt", "cosine", "plateau", "constant")
    )
    warmup_steps: Optional[int] = option(None, "updates of linear warm-up (default: a tenth of the training)", low=0)
    final_lr: float = option(0.02, "cosine: rate at the end, as a share of lr", low=0, high=1)
    plateau_factor: float = option(
        0.5, "plateau: multiply the rate by this when plateau_patience runs out", above=0, high=0.99
    )
    plateau_patience: int = option(2, "plateau: validations without a better NLL before the rate falls", low=1)
    clip_norm: float = option(1.0, "largest gradient norm (0: no clipping)", low=0)


@dataclass
class TrainerConfig:
    """The training loop, which ends at the first of its limits."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_tokens: int = option(
        2_000, "batch size: sentences x longest sentence of either side, padded, in tokens", low=8
    )
    accumulate: int = option(1, "batches whose gradients are added up for an update", low=1)
    max_steps: Optional[int] = option(None, "limit, in updates", low=1)
    max_epochs: Optional[int] = option(None, "limit, in passes over the training split", low=1)
    max_tokens: Optional[int] = option(
        None, "limit, in target tokens (default: by the size of the corpus, where no other limit is given)", low=1
    )
    max_hours: Optional[float] = option(None, "limit, in hours of updates; validations are not counted", above=0)
    label_smoothing: float = option(
        0.0, "share of the target's probability spread over the vocabulary", low=0, high=0.9
    )
    guided_attention: float = option(
        0.0,
        "weight of a second loss, which leads the attention of a target token to the source tokens that the gold "
        "alignment of the training pairs links with it (0: off)",
        low=0,
    )
    precision: str = option(
        "auto", "number format of the matrix products (autocast)", choices=("auto", "fp32", "bf16", "fp16")
    )
    log_every: int = option(25, "updates between two points of the training curves", low=1)
    valid_every: Optional[int] = option(
        None, "updates between validations (default: twenty in the whole training)", low=1
    )
    valid_pairs: Optional[int] = option(None, "translate only the first so many validation pairs", low=1)
    samples: int = option(3, "translations shown in TensorBoard at each validation", low=0, high=1_000)
    save_every: int = option(500, "updates between checkpoints; each validation saves one as well", low=1)
    metric: str = option("bleu", "validation metric that chooses the best checkpoint", choices=("bleu", "chrf", "nll"))
    patience: Optional[int] = option(None, "validations without a better metric before training stops", low=1)
    ema: float = option(
        0.0, "EMA decay per update; the EMA weights are evaluated and saved (0: off)", low=0, high=0.9999
    )
    average: int = option(0, "test with the mean weights of the last so many validations (0: the best)", low=0)
    keep: int = option(0, "keep the weights of the last N validations and of the N best", low=0)
    max_skipped: int = option(20, "stop after so many updates in a row with a non-finite gradient", low=1)
    threads: Optional[int] = option(None, "CPU threads (default: torch's choice)", low=1)
    track: list[str] = several(
        ["tensorboard"],
        "where curves go beside metrics.jsonl: [tensorboard,trackio]",
        choices=("tensorboard", "trackio"),
    )
    compile: bool = option(False, "compile the model's forward and backward pass with torch.compile (only on CUDA)")
    shard: bool = option(False, "several processes: each keeps a part of every layer (FSDP), not the whole model (DDP)")
    freeze: list[str] = several([], "parameters that keep their values, as patterns: ['embedding*','encoder.*']")

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by their keys."""
        numbers = (self.max_steps, self.max_epochs, self.max_tokens, self.max_hours)
        return {key: number for key, number in zip(LIMITS, numbers, strict=True) if number is not None}

    @property
    def needs_budget(self) -> bool:
        """Whether ``max_tokens`` is to be chosen: no limit is given, or hours alone, at which no cosine can end."""
        limited = not self.max_steps is self.max_epochs is self.max_tokens is None
        return not limited and (self.max_hours is None or self.optimizer.schedule == "cosine")


@dataclass
class DecodeConfig:
    """The search, the same for all models."""

    beam: int = option(1, "beam size: hypotheses kept for each sentence (1: greedy)", low=1, high=1_000)
    nbest: int = option(1, "hypotheses returned for each sentence; at most the beam size", low=1, high=1_000)
    length_penalty: str = option(
        "average", "how the score of a hypothesis is normalised by length", choices=("none", "average", "gnmt")
    )
    alpha: float = option(0.6, "strength of the gnmt length penalty (Wu et al. 2016, equation 14)", low=0, high=50)
    min_length: int = option(0, "shortest translation, in tokens", low=0)
    max_ratio: float = option(2.0, "longest translation: max_ratio x source + max_extra tokens", above=0, high=1e6)
    max_extra: int = option(10, "longest translation: max_ratio x source + max_extra tokens", low=0, high=100_000)
    no_repeat_ngram: int = option(0, "n-grams of this size occur at most once in a translation (0: off)", low=0)
    sample: bool = option(False, "draw tokens instead of searching; nbest independent draws")
    temperature: float = option(1.0, "divides the logits when sampling", above=0)
    top_k: int = option(0, "sample from the k likeliest tokens (0: all)", low=0)
    top_p: float = option(1.0, "sample from the likeliest tokens whose probabilities sum to this", above=0, high=1)
    batch_tokens: int = option(
        4_000, "batch size of the search, in padded source tokens (a beam of less than 4: more in proportion)", low=1
    )
    max_input: int = option(
        1_024, "longest line that is read, source or reference, in tokens, EOS included", low=2, high=1 << 20
    )
    too_long: str = option(
        "cut", "what becomes of a longer line: its first tokens are read, or none of it", choices=("cut", "refuse")
    )


TRANSLATION = ("decode", "device", "seed", "trainer.precision", "trainer.threads")
EVALUATION = ("data.split", "data.tgt", "data.valid", "data.test", "data.tests", "data.cache", *TRANSLATION)
"""Options and sections of options that can be changed for a trained run, where it translates and where it is scored."""


@dataclass
class Config:
    """One training run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    decode: DecodeConfig = field(default_factory=lambda: DecodeConfig(beam=5))
    seed: int = option(1, "seed of the weights, the batches and the dropout", low=0)
    init: Optional[str] = option(None, "run, checkpoint or folder whose weights and subwords the training starts from")
    init_skip: list[str] = several([], "parameters that are not taken from init, as patterns: ['decoder.*']")
    device: str = option("auto", "device to compute on", choices=("auto", "cpu", "cuda", "mps"))
    outputs: str = option("outputs", "folder of all runs")
    name: Optional[str] = option(None, "run folder below outputs/ (default: data.name/model.name/seed<seed>)")
    overwrite: bool = option(False, "delete an existing run of this name first")
    extend: bool = option(False, "train a run that is there longer, to the larger trainer.max_… that are given")

    @property
    def subwords_of(self) -> str | None:
        """The run whose subwords are taken; None where they are learned from the corpus."""
        path = self.data.subwords.from_run or self.init
        return None if path == LEARN else path
