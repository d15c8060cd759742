"""Whole Transformer layers against torch's, with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seq2seq.config.schema import TransformerDecoderConfig, TransformerEncoderConfig
from seq2seq.models.attention import CrossAttention, SelfAttention
from seq2seq.models.transformer import DecoderLayer, EncoderLayer

MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])
VARIANTS = [("pre", "relu"), ("post", "relu"), ("pre", "gelu"), ("post", "gelu")]


def randomise(module: nn.Module) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))


def copy_(target: nn.Module, source: nn.Module) -> None:
    target.load_state_dict(source.state_dict())


def copy_attention(target: nn.MultiheadAttention, source: SelfAttention | CrossAttention) -> None:
    if isinstance(source, SelfAttention):
        weight, bias = source.project.weight, source.project.bias
    else:
        weight = torch.cat([source.query.weight, source.key_value.weight])
        bias = torch.cat([source.query.bias, source.key_value.bias])
    target.load_state_dict(
        {
            "in_proj_weight": weight,
            "in_proj_bias": bias,
            "out_proj.weight": source.out.weight,
            "out_proj.bias": source.out.bias,
        }
    )


@pytest.mark.parametrize(("norm", "activation"), VARIANTS)
def test_encoder_layer_is_torchs(norm: str, activation: str) -> None:
    options = TransformerEncoderConfig(width=8, heads=2, feed_forward=12, norm=norm, activation=activation)
    layer = EncoderLayer(options, 0.0)
    randomise(layer)
    reference = nn.TransformerEncoderLayer(8, 2, 12, 0.0, activation, batch_first=True, norm_first=norm == "pre")
    copy_attention(reference.self_attn, layer.attention)
    copy_(reference.linear1, layer.feed_forward[0])
    copy_(reference.linear2, layer.feed_forward[3])
    copy_(reference.norm1, layer.around_attention.norm)
    copy_(reference.norm2, layer.around_feed_forward.norm)
    x = torch.randn(2, 5, 8)
    expected = reference(x, src_key_padding_mask=~MASK)
    torch.testing.assert_close(layer(x, MASK[:, None, None])[MASK], expected[MASK])


@pytest.mark.parametrize(("norm", "activation"), VARIANTS)
def test_decoder_layer_is_torchs(norm: str, activation: str) -> None:
    options = TransformerDecoderConfig(width=8, heads=2, feed_forward=12, norm=norm, activation=activation)
    layer = DecoderLayer(options, 8, 0.0)
    randomise(layer)
    reference = nn.TransformerDecoderLayer(8, 2, 12, 0.0, activation, batch_first=True, norm_first=norm == "pre")
    copy_attention(reference.self_attn, layer.attention)
    copy_attention(reference.multihead_attn, layer.cross)
    copy_(reference.linear1, layer.feed_forward[0])
    copy_(reference.linear2, layer.feed_forward[3])
    copy_(reference.norm1, layer.around_attention.norm)
    copy_(reference.norm2, layer.around_cross.norm)
    copy_(reference.norm3, layer.around_feed_forward.norm)
    x, memory = torch.randn(2, 4, 8), torch.randn(2, 5, 8)
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    expected = reference(x, memory, tgt_mask=~causal, memory_key_padding_mask=~MASK)
    y, _ = layer(x, causal, *layer.precompute(memory), MASK, weights=False)
    torch.testing.assert_close(y, expected)
