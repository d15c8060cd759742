"""From options to a model: the one place where architectures are named."""

from __future__ import annotations

from torch import nn

from seq2seq.config import schema as options
from seq2seq.models.bahdanau import AttentiveContext
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Decoder, Encoder, Seq2Seq
from seq2seq.models.kernels.linear import Linear
from seq2seq.models.lstm import FixedContext
from seq2seq.models.recurrent import RecurrentDecoder, RecurrentEncoder
from seq2seq.models.transformer import TransformerDecoder, TransformerEncoder


def build(model: options.ModelConfig, src_vocab: int, tgt_vocab: int) -> Seq2Seq:
    """A new model with random weights, from torch's global generator: seed that first.

    Args:
        src_vocab, tgt_vocab: pieces a side; equal where the source embedding is shared (``tie: all``).
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
    """The encoder that ``model.encoder`` describes."""
    if isinstance(model.encoder, options.RecurrentEncoderConfig):
        return RecurrentEncoder(model.encoder, embedding, model.dropout)
    assert isinstance(model.encoder, options.TransformerEncoderConfig)
    encoder = TransformerEncoder(model.encoder, embedding, model.dropout)
    initialise_transformer(encoder)
    return encoder


def build_decoder(model: options.ModelConfig, embedding: Embedding) -> Decoder:
    """The decoder that ``model.decoder`` describes, for the encoder beside it."""
    decoder, memory_width = model.decoder, options.memory_width(model.encoder)
    if isinstance(decoder, options.FixedContextDecoderConfig):
        fixed = FixedContext(decoder, memory_width)
        return RecurrentDecoder(decoder, embedding, fixed, decoder.context_width, model.dropout)
    if isinstance(decoder, options.AttentionDecoderConfig):
        attentive = AttentiveContext(decoder, memory_width)
        return RecurrentDecoder(decoder, embedding, attentive, memory_width, model.dropout)
    assert isinstance(decoder, options.TransformerDecoderConfig)
    transformer = TransformerDecoder(decoder, embedding, memory_width, model.dropout)
    initialise_transformer(transformer)
    return transformer


def initialise_transformer(part: nn.Module) -> None:
    """Xavier for every matrix of a Transformer, zero for every bias."""
    for module in part.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


def parameters_by_part(model: Seq2Seq) -> dict[str, int]:
    """Numbers of parameters: embeddings, encoder, decoder, output layer, total; a shared table counts once."""
    counts = {"embeddings": 0, "encoder": 0, "decoder": 0, "output": 0}
    for name, parameter in model.named_parameters():  # names each shared parameter once, at its first place
        part = "embeddings" if "embedding.weight" in name else name.split(".")[0]
        counts[part] += parameter.numel()
    return {**counts, "total": sum(counts.values())}
