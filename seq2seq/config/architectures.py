"""The options of models: encoders, decoders, and ``ModelConfig``, which holds one of each. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional

from seq2seq.config.option import option
from seq2seq.errors import UserError


@dataclass
class EncoderConfig:
    """Base of the encoders' options."""

    type: str = "???"
    slots: Optional[int] = option(
        None,
        "vectors that the decoder sees of the source, pooled by as many learned queries (default: every position)",
        low=1,
        high=1 << 16,
    )

    @property
    def reads_source(self) -> bool:
        """Whether the output depends on the source."""
        return True

    @property
    def biased_by_distance(self) -> bool:
        """Whether self-attention is biased by the distance of positions."""
        return False

    @property
    def output_width(self) -> int:
        """Units D of the encoder's output at a source position; each kind of encoder says its own."""
        raise UserError(
            f"{type(self).__name__} has no output_width: add the property in seq2seq/config/architectures.py"
        )


@dataclass
class DecoderConfig:
    """Base of the decoders' options. What a decoder sees of the source depends on the encoder too: ``ModelConfig``."""

    type: str = "???"

    def vector_width(self, memory_width: int) -> int:
        """Units of the single vector that the decoder reads of an encoder of D units; 0 if it reads every state."""
        return 0

    @property
    def needs_final_states(self) -> bool:
        """Whether each layer begins in the state in which the same layer of a recurrent encoder ends."""
        return False

    @property
    def biased_by_distance(self) -> bool:
        """As of an encoder."""
        return False

    @property
    def attention_maps(self) -> list[tuple[int, int]]:
        """Layer and head, both counted from 1, of each attention map over the encoder's states."""
        return []


@dataclass
class RecurrentEncoderConfig(EncoderConfig):
    """Recurrent encoder, in both directions or one (Bahdanau et al. 2014, section 3.2)."""

    type: str = option("recurrent", "kind of encoder", choices=("recurrent",))
    cell: str = option(
        "lstm",
        "recurrent cell; mingru, whose gates read no state (Feng et al. 2024), only in the encoder",
        choices=("lstm", "gru", "mingru"),
    )
    width: int = option(128, "units a direction", low=1, high=1 << 16)
    layers: int = option(1, "layers", low=1, high=256)
    bidirectional: bool = option(True, "read in both directions")
    reverse_source: bool = option(False, "feed the source back to front (Sutskever et al. 2014)")

    @property
    def output_width(self) -> int:
        """The states of all directions side by side."""
        return self.width * (2 if self.bidirectional else 1)


@dataclass
class ConstantEncoderConfig(EncoderConfig):
    """No encoder: one learned vector, the same for every source, so that the decoder is a language model."""

    type: str = option("constant", "kind of encoder", choices=("constant",))
    width: int = option(128, "units of the learned vector", low=1, high=1 << 16)

    @property
    def reads_source(self) -> bool:
        """Never."""
        return False

    @property
    def output_width(self) -> int:
        """The width of its vector."""
        return self.width


@dataclass
class RecurrentDecoderConfig(DecoderConfig):
    """Options of both recurrent decoders, which differ only in the context that they read."""

    cell: str = option("lstm", "recurrent cell", choices=("lstm", "gru"))
    width: int = option(256, "units", low=1, high=1 << 16)
    layers: int = option(1, "layers", low=1, high=256)


@dataclass
class FixedContextDecoderConfig(RecurrentDecoderConfig):
    """Recurrent decoder that reads the source as a single vector (Cho et al. 2014, Sutskever et al. 2014)."""

    type: str = option("fixed_context", "kind of decoder", choices=("fixed_context",))
    context: str = option(
        "every_step",
        "steps that read the vector: all, or the first through its state; final_states: the first state of each layer "
        "is that in which the encoder's layer ends (Sutskever et al. 2014)",
        choices=("every_step", "initial", "final_states"),
    )
    context_width: int = option(
        256, "units of the fixed vector c = tanh(V h), which final_states does not have", low=1, high=1 << 16
    )

    @property
    def needs_final_states(self) -> bool:
        return self.context == "final_states"

    def vector_width(self, memory_width: int) -> int:
        """Units of the fixed vector, or of the states of all layers side by side, h and c."""
        parts = 2 if self.cell == "lstm" else 1
        return self.layers * self.width * parts if self.needs_final_states else self.context_width


@dataclass
class AttentionDecoderConfig(RecurrentDecoderConfig):
    """Recurrent decoder with attention over every source position (Bahdanau et al. 2014)."""

    type: str = option("attention", "kind of decoder", choices=("attention",))
    score: str = option(
        "additive",
        "score function of a source position; uniform: every position weighs the same",
        choices=("additive", "dot", "general", "uniform"),
    )
    order: str = option(
        "before",
        "when a step attends: before its cell, which reads the context, by the previous state (Bahdanau et al. 2014); "
        "after its cell, by the new state, and the next cell reads the context (Luong et al. 2015, input feeding)",
        choices=("before", "after"),
    )
    attention_width: int = option(128, "hidden units of the additive score function", low=1, high=1 << 16)

    def vector_width(self, memory_width: int) -> int:
        """With uniform weights, of the mean of the states and of the sentence vector, from which it starts."""
        return 2 * memory_width if self.score == "uniform" else 0

    @property
    def attention_maps(self) -> list[tuple[int, int]]:
        """A single map; none with uniform weights, which say nothing."""
        return [] if self.score == "uniform" else [(1, 1)]


@dataclass
class TransformerOptions:
    """Options of a stack of Transformer layers, in encoder and decoder (Vaswani et al. 2017, section 3)."""

    width: int = option(128, "units of each position", low=1, high=1 << 16)
    layers: int = option(2, "layers", low=1, high=256)
    heads: int = option(4, "attention heads; must divide the width", low=1, high=1_024)
    feed_forward: int = option(512, "units inside the feed-forward layer", low=1, high=1 << 18)
    activation: str = option("relu", "activation function of the feed-forward layer", choices=("relu", "gelu"))
    norm: str = option("pre", "layer norm before or after each sub-layer", choices=("pre", "post"))
    positions: str = option(
        "sinusoidal",
        "position encoding: added to embeddings, or rotary (Su et al. 2021) or alibi (Press et al. 2022) in "
        "self-attention, or none",
        choices=("sinusoidal", "learned", "rotary", "alibi", "none"),
    )
    max_positions: int = option(
        512,
        "rows of the table of learned positions, in tokens; later positions share the last",
        low=2,
        high=1 << 20,
    )

    @property
    def biased_by_distance(self) -> bool:
        """Whether self-attention is biased by the distance of positions: ALiBi."""
        return self.positions == "alibi"


@dataclass
class TransformerEncoderConfig(TransformerOptions, EncoderConfig):
    """Self-attention encoder."""

    type: str = option("transformer", "kind of encoder", choices=("transformer",))

    @property
    def output_width(self) -> int:
        """The width of its layers."""
        return self.width


@dataclass
class TransformerDecoderConfig(TransformerOptions, DecoderConfig):
    """Self- and cross-attention decoder."""

    type: str = option("transformer", "kind of decoder", choices=("transformer",))

    @property
    def attention_maps(self) -> list[tuple[int, int]]:
        """The cross-attention of every head, layer by layer."""
        return [(layer, head) for layer in range(1, self.layers + 1) for head in range(1, self.heads + 1)]


ENCODERS: dict[str, type[EncoderConfig]] = {
    "recurrent": RecurrentEncoderConfig,
    "transformer": TransformerEncoderConfig,
    "constant": ConstantEncoderConfig,
}
DECODERS: dict[str, type[DecoderConfig]] = {
    "fixed_context": FixedContextDecoderConfig,
    "attention": AttentionDecoderConfig,
    "transformer": TransformerDecoderConfig,
}


@dataclass
class ModelConfig:
    """An encoder, a decoder and their embedding tables."""

    name: str = option("???", "name of the model: second folder below outputs/")
    embedding: int = option(128, "units of the embedding of a token", low=1, high=1 << 16)
    tie: str = option(
        "all",
        "shared weights: none; output = target embedding and output layer; all = source embedding too",
        choices=("none", "output", "all"),
    )
    dropout: float = option(0.0, "dropout probability, rounded to a multiple of 1/256", low=0, high=0.95)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    @property
    def sees(self) -> Literal["nothing", "vector", "slots", "positions"]:
        """What the decoder knows of the source: nothing, one vector, several slots, or a state for each position."""
        names: dict[int | None, Literal["nothing", "vector", "positions"]] = {
            0: "nothing",
            1: "vector",
            None: "positions",
        }
        return names.get(self.vectors, "slots")

    @property
    def vectors(self) -> int | None:
        """Number of vectors through which the source reaches the decoder; None: as many as there are positions."""
        if not self.encoder.reads_source:
            return 0
        return 1 if self.decoder.vector_width(self.encoder.output_width) else self.encoder.slots

    @property
    def vector_width(self) -> int:
        """Units of the single vector through which the source reaches the decoder; 0 unless ``sees`` is "vector"."""
        width = self.encoder.output_width
        return (self.decoder.vector_width(width) or width) if self.sees == "vector" else 0

    @property
    def attention_maps(self) -> list[tuple[int, int]]:
        """Layer and head, both counted from 1, of each attention map over source positions, in the model's order."""
        return self.decoder.attention_maps if self.encoder.reads_source else []

    @property
    def guided_map(self) -> int:
        """The index of the map that gold alignments train: the first of the last layer but one (Garg et al. 2019)."""
        layers = [layer for layer, _ in self.attention_maps]
        return layers.index(max(layers[-1] - 1, 1))
