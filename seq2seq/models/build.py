"""From options to a model: the one place where architectures are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from seq2seq.config import architectures as options
from seq2seq.errors import UserError
from seq2seq.models.bahdanau import attentive_context
from seq2seq.models.constant import ConstantEncoder
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Decoder, Encoder, Seq2Seq
from seq2seq.models.kernels.linear import Linear
from seq2seq.models.lstm import fixed_context
from seq2seq.models.recurrent import Context, RecurrentDecoder, RecurrentEncoder
from seq2seq.models.slots import SlotEncoder
from seq2seq.models.transformer import TransformerDecoder, TransformerEncoder


def build(model: options.ModelConfig, src_vocab: int, tgt_vocab: int) -> Seq2Seq:
    """A new model with random weights, from torch's global generator: seed that first.

    Args:
        src_vocab, tgt_vocab: sizes of the vocabularies; equal where the source embedding is shared (``tie: all``).
    """
    tgt_embedding = Embedding(tgt_vocab, model.embedding)
    src_embedding = tgt_embedding if model.tie == "all" else Embedding(src_vocab, model.embedding)
    encoder = build_encoder(model, src_embedding)
    decoder = build_decoder(model, tgt_embedding)
    output = Linear(model.embedding, tgt_vocab)
    nn.init.zeros_(output.bias)
    if model.tie == "none":
        nn.init.normal_(output.weight, std=model.embedding**-0.5)
    else:
        output.weight = tgt_embedding.weight
    return Seq2Seq(encoder, decoder, output)


def build_encoder(model: options.ModelConfig, embedding: Embedding) -> Encoder:
    """The encoder that ``model.encoder`` describes. Raises ``UserError`` for options without a builder."""
    encoder = builder_of(model.encoder, ENCODERS, "ENCODERS")(model.encoder, embedding, model.dropout)
    if model.decoder.needs_final_states:
        assert isinstance(encoder, RecurrentEncoder)  # by ``config.validation``
        encoder.hands_over = True
    slots = model.encoder.slots
    return encoder if slots is None else SlotEncoder(encoder, slots, model.encoder.output_width)


def build_decoder(model: options.ModelConfig, embedding: Embedding) -> Decoder:
    """The decoder that ``model.decoder`` describes, for the encoder beside it. Raises as ``build_encoder``."""
    build_one = builder_of(model.decoder, DECODERS, "DECODERS")
    return build_one(model.decoder, embedding, model.encoder.output_width, model.dropout)


Builder = TypeVar("Builder")


def builder_of(part: object, builders: Mapping[Any, Builder], table: str) -> Builder:
    """The builder of an options class."""
    kind = type(part)
    if kind not in builders:
        raise UserError(f"{kind.__name__} has no builder: name one in {table} of seq2seq/models/build.py")
    return builders[kind]


def recurrent_decoder(context: Callable[[Any, int], Context]) -> Callable[[Any, Embedding, int, float], Decoder]:
    """The builder of RNN decoders with one kind of ``Context``."""
    return lambda decoder, embedding, memory_width, dropout: RecurrentDecoder(
        decoder, embedding, context(decoder, memory_width), dropout
    )


ENCODERS: dict[type[options.EncoderConfig], Callable[[Any, Embedding, float], Encoder]] = {
    options.RecurrentEncoderConfig: RecurrentEncoder,
    options.TransformerEncoderConfig: TransformerEncoder,
    options.ConstantEncoderConfig: ConstantEncoder,
}
"""From the class of an encoder's options to its builder: (options, source embedding, dropout)."""

DECODERS: dict[type[options.DecoderConfig], Callable[[Any, Embedding, int, float], Decoder]] = {
    options.FixedContextDecoderConfig: recurrent_decoder(fixed_context),
    options.AttentionDecoderConfig: recurrent_decoder(attentive_context),
    options.TransformerDecoderConfig: TransformerDecoder,
}
"""From the class of a decoder's options to its builder: (options, target embedding, the encoder's width, dropout)."""


def parameters_by_part(model: Seq2Seq) -> dict[str, int]:
    """Numbers of parameters: embeddings, encoder, decoder, output layer, total; a shared table counts once."""
    counts = {"embeddings": 0, "encoder": 0, "decoder": 0, "output": 0}
    for name, parameter in model.named_parameters():  # names each shared parameter once, at its first place
        part = "embeddings" if "embedding.weight" in name else name.split(".")[0]
        counts[part] += parameter.numel()
    return {**counts, "total": sum(counts.values())}
