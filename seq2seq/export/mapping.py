"""A Transformer's weights and vocabularies as a specification of CTranslate2. Knows both layouts; checks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import TransformerSpec
from ctranslate2.specs.common_spec import Activation
from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec

from seq2seq.config.schema import BOS, EOS, UNK
from seq2seq.models.interface import Seq2Seq

ACTIVATIONS = {"relu": Activation.RELU, "gelu": Activation.GELU}
EPSILON = 1e-5  # of every layer norm: torch's default


def specification(model: Seq2Seq, options: Any, vocabularies: tuple[list[str], list[str]], positions: int) -> Any:
    """Copy a model into CTranslate2's ``TransformerSpec``, in float32 and sharing no memory with it.

    Args:
        model: a Transformer.
        options: its ``ModelConfig``.
        vocabularies: the tokens of both sides in the order of their ids.
        positions: rows of the tables of position encodings: the longest sequence that can be translated.
    """
    encoder, decoder = options.encoder, options.decoder
    spec = TransformerSpec(
        TransformerEncoderSpec(encoder.layers, encoder.heads, **_settings(encoder)),
        TransformerDecoderSpec(decoder.layers, decoder.heads, alignment_heads=decoder.heads, **_settings(decoder)),
    )
    weights = {name: _array(tensor) for name, tensor in model.state_dict().items()}
    sides = ("encoder", encoder, model.encoder, spec.encoder), ("decoder", decoder, model.decoder, spec.decoder)
    for side, kind, ours, stack in sides:
        _set_stack(stack, side, weights)
        if kind.positions != "rotary":  # which their self-attention has without a table
            stack.position_encodings.encodings = _position_encodings(ours, positions)
    spec.encoder.embeddings[0].weight = weights["encoder.embedding.weight"]
    spec.decoder.embeddings.weight = weights["decoder.embedding.weight"]
    spec.decoder.projection.weight, spec.decoder.projection.bias = weights["output.weight"], weights["output.bias"]
    spec.register_source_vocabulary(vocabularies[0])
    spec.register_target_vocabulary(vocabularies[1])
    special = vocabularies[1]
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = (special[n] for n in (UNK, BOS, EOS))
    spec.config.decoder_start_token = special[BOS]
    spec.config.add_source_eos = True  # our encoder reads EOS: so no caller needs to add it
    spec.config.layer_norm_epsilon = EPSILON
    return spec


def _settings(part: Any) -> dict[str, Any]:
    settings = {"pre_norm": part.norm == "pre", "activation": ACTIVATIONS[part.activation]}
    if part.positions == "rotary":
        settings |= {"rotary_dim": 0, "rotary_interleave": True}  # all units of a head; 2n and 2n + 1 are a pair
    return settings


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """A float32 copy of a tensor: for int8, CTranslate2 rounds arrays in place."""
    return np.array(tensor.detach().float().cpu().numpy(), dtype=np.float32, copy=True)


def _position_encodings(side: Any, positions: int) -> np.ndarray[Any, Any]:
    """What is added to the embeddings of an encoder or decoder, zeros for none: (positions, D)."""
    places = torch.arange(positions)
    with torch.inference_mode():
        return _array(side.positions(torch.zeros(1, positions, side.positions.width), places)[0])


def _set_stack(stack: Any, side: str, weights: dict[str, np.ndarray[Any, Any]]) -> None:
    for n, layer in enumerate(stack.layer):
        prefix = f"{side}.layers.{n}"
        _set_norm(layer.self_attention.layer_norm, f"{prefix}.around_attention.norm", weights)
        _set_linears(layer.self_attention.linear, prefix, ("attention.project", "attention.out"), weights)
        if side == "decoder":
            _set_norm(layer.attention.layer_norm, f"{prefix}.around_cross.norm", weights)
            _set_linears(layer.attention.linear, prefix, ("cross.query", "cross.key_value", "cross.out"), weights)
        _set_norm(layer.ffn.layer_norm, f"{prefix}.around_feed_forward.norm", weights)
        linears = (layer.ffn.linear_0, layer.ffn.linear_1)
        _set_linears(linears, prefix, ("feed_forward.0", "feed_forward.3"), weights)
    if f"{side}.norm.weight" in weights:  # pre-norm stacks end with one
        _set_norm(stack.layer_norm, f"{side}.norm", weights)


def _set_linears(linears: Sequence[Any], prefix: str, names: Sequence[str], weights: dict[str, Any]) -> None:
    for linear, name in zip(linears, names, strict=True):
        linear.weight, linear.bias = weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"]


def _set_norm(norm: Any, name: str, weights: dict[str, Any]) -> None:
    norm.gamma, norm.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
