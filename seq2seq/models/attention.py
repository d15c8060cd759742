"""Scaled dot-product attention, alone and with several heads (Vaswani et al. 2017, section 3.2).

Shapes as in ``interface``; W = D / heads units of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.models.interface import SourceAttention
from seq2seq.models.kernels.attention import attention
from seq2seq.models.kernels.linear import Linear, trains_bf16
from seq2seq.models.positions import distance_bias, rotate

BLOCK = 8  # positions by which a cache grows, so that not every step copies it


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    weights: bool = False,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """softmax(QKᵀ/√W + bias)V (equation 1), and the softmax itself if ``weights`` asks for it.

    Args:
        query: (…, T, W).
        key, value: (…, S, W).
        mask: broadcastable to (…, T, S), True where attention is allowed; None: everywhere.
        bias: broadcastable to (…, T, S), added to the energies; it gets no gradient.

    Returns:
        (…, T, W) and (…, T, S) or None. Weights are zero where the mask is False; each row sums to one.
    """
    if mask is not None and not weights and trains_bf16(query):
        return attention(query, key, value, mask, bias), None
    query = query.to(key.dtype)
    if query.is_cuda and not weights:
        added = mask if bias is None else _masked(bias, mask).to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=added), None
    # On a CPU two products are faster in bf16 than the fused kernel (8 times at 16 positions; also at 1,024).
    with torch.autocast(query.device.type, enabled=False):  # products in the keys' type
        energies = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        if bias is not None:
            energies = energies + bias
        if mask is not None:
            energies = energies.masked_fill_(~mask, float("-inf"))
        # On short rows softmax in bf16 costs five times as much as in float32.
        probabilities = energies.softmax(-1, torch.promote_types(energies.dtype, torch.float32))
        return probabilities.to(value.dtype) @ value, probabilities if weights else None


def _masked(bias: Tensor, mask: Tensor | None) -> Tensor:
    """The bias, and -inf where the mask forbids attention."""
    return bias if mask is None else bias.masked_fill(~mask, float("-inf"))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) to (B, H, T, W)."""
    return heads_apart(x, heads).transpose(1, 2)


def heads_apart(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) to (B, T, H, W)."""
    return x.reshape(x.shape[0], x.shape[1], heads, -1)  # exported, one operator; ``unflatten`` is eight


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, W) to (B, T, D)."""
    x = x.transpose(1, 2)
    return x.reshape(x.shape[0], x.shape[1], -1)


def to_cache(x: Tensor) -> Tensor:
    """Cast keys or values for decoding: float32 on a CPU, where single-row bf16 products are three times slower."""
    return x if x.is_cuda else x.to(torch.promote_types(x.dtype, torch.float32))


def append(cache: Tensor, x: Tensor, place: int | None) -> tuple[Tensor, Tensor]:
    """Write ``x`` (B, K, H, W) at ``place`` of a cache (B, K, H, T, W); return the cache and its filled part.

    Under plain kernels ``place`` is None: the cache has no spare room, and ``x`` is concatenated to it.
    """
    if place is None:
        cache = torch.cat([cache, x[..., None, :].to(cache.dtype)], -2)
        return cache, cache
    if place == cache.shape[-2]:
        cache = torch.cat([cache, cache.new_empty(*cache.shape[:-2], BLOCK, cache.shape[-1])], -2)
    cache[..., place, :] = x
    return cache, cache[..., : place + 1, :]


class SelfAttention(nn.Module):
    """Multi-head attention of each position to the positions of its own sequence.

    ``positions`` "rotary" rotates queries and keys (``rotate``), "alibi" adds ``distance_bias``; others nothing.
    """

    def __init__(self, width: int, heads: int, positions: str = "none") -> None:
        super().__init__()
        self.heads, self.rotary, self.alibi = heads, positions == "rotary", positions == "alibi"
        self.needs_places = self.rotary or self.alibi
        self.project = Linear(width, 3 * width, output_parts=3 * heads)  # queries, keys and values in one product
        self.out = Linear(width, width, input_parts=heads)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x`` (B, T, D), ``mask`` broadcastable to (B, H, T, T)."""
        query, key, value = (split_heads(part, self.heads) for part in self._projections(x))
        bias = None
        if self.needs_places:
            places = torch.arange(x.shape[1], device=x.device)
            query, key, bias = self._placed(query, key, places, places)
        mixed, _ = scaled_dot_product_attention(query, key, value, mask, bias=bias)
        out: Tensor = self.out(merge_heads(mixed))
        return out

    def step(self, x: Tensor, keys: Tensor, values: Tensor, place: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """One token: ``x`` (B, K, D) at ``place`` (see ``append``) and the caches (B, K, H, T, W), which grow."""
        query, key, value = (heads_apart(part, self.heads) for part in self._projections(x))
        bias = None
        if self.needs_places:  # the cache holds keys that were turned
            places = torch.arange(1 + (keys.shape[-2] if place is None else place), device=x.device)
            query, key, bias = self._placed(query, key, places[-1:], places)
        keys, read_keys = append(keys, key, place)
        values, read_values = append(values, value, place)
        query = query[..., None, :]
        if place is not None:  # fused kernels want four dimensions; exported, each ``flatten`` is four operators
            query, read_keys, read_values = (part.flatten(0, 1) for part in (query, read_keys, read_values))
        mixed, _ = scaled_dot_product_attention(query, read_keys, read_values, None, bias=bias)
        return self.out(mixed.reshape(x.shape[0], x.shape[1], -1)), keys, values

    def _placed(self, query: Tensor, key: Tensor, own: Tensor, read: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Queries and keys, both at the places ``own``, turned; and the bias of queries there to keys at ``read``."""
        if self.rotary:
            query, key = rotate(query, own), rotate(key, own)
        return query, key, distance_bias(own, read, self.heads) if self.alibi else None

    def _projections(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.project(x).split(self.out.in_features, -1)


class CrossAttention(SourceAttention):
    """Multi-head attention of target positions, or of hypotheses, to the source; keys are computed once a sentence."""

    def __init__(self, width: int, heads: int, memory_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width, output_parts=heads)
        self.key_value = Linear(memory_width, 2 * width, output_parts=2 * heads)
        self.out = Linear(width, width, input_parts=heads)

    def precompute(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Memory states (B, S, D) to keys and values (B, H, S, W), contiguous for the products of every step."""
        key, value = (split_heads(part, self.heads).contiguous() for part in self.key_value(states).chunk(2, -1))
        return (key, value) if torch.is_grad_enabled() else (to_cache(key), to_cache(value))

    def forward(
        self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor, weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """``x`` (B, T, D) or (B, K, D): all hypotheses of a sentence share its keys. ``mask`` (B, S)."""
        mask, override = mask[:, None, None, :], self.attention_override
        query = split_heads(self.query(x), self.heads)
        mixed, maps = scaled_dot_product_attention(query, key, value, mask, weights or override is not None)
        if override is not None and maps is not None:
            maps = override(maps, mask)
            mixed = maps.to(value.dtype) @ value
        return self.out(merge_heads(mixed)), maps
