"""Floating-point operations of an update's matrix products, from sizes and shapes alone. Knows no toolkit.

They are counted by formula, because counters that observe PyTorch miss fused kernels (an LSTM's, for one). A product of
an (m, k) and a (k, n) matrix has 2 m k n operations; backward has two such products for each of forward's. Padded
positions count, except in the projection to the vocabulary, which is computed at target tokens only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def update_flops(spec: dict[str, Any], src: Sequence[int], tgt: Sequence[int], tokens: int) -> float:
    """Operations of a batch's forward and backward pass.

    Args:
        spec: a SPEC.json.
        src: shape (B, S) of the source batch.
        tgt: shape (B, T) of the target batch.
        tokens: target tokens that are not padding.
    """
    forward = {"transformer": transformer, "bahdanau": bahdanau, "lstm": lstm}[spec["model"]]
    (sentences, s), t = src, tgt[1]
    products = forward(spec["size"], sentences, s, t) + tokens * spec["size"]["embedding"] * spec["vocabulary"]
    return 3 * 2.0 * products


def transformer(size: dict[str, int], sentences: int, s: int, t: int) -> int:
    """Multiplications of encoder and decoder in the forward pass."""
    width, inner = size["width"], size["feed_forward"]
    encoder = s * (4 * width**2 + 2 * width * inner + 2 * s * width)
    own = t * (4 * width**2 + 2 * t * width + 2 * width * inner)
    across = t * 2 * width**2 + s * 2 * width**2 + t * 2 * s * width
    return sentences * size["layers"] * (encoder + own + across)


def _recurrent(size: dict[str, int], s: int, t: int) -> int:
    """Multiplications of one sentence that do not depend on the context: both encoder directions, cell, readout."""
    encoder, decoder, embedding = size["encoder"], size["decoder"], size["embedding"]
    read = 2 * s * 4 * encoder * (embedding + encoder)
    written = t * 4 * decoder * (embedding + decoder)
    return read + written + t * (decoder + embedding) * embedding


def bahdanau(size: dict[str, int], sentences: int, s: int, t: int) -> int:
    """Multiplications of encoder and decoder in the forward pass."""
    memory, attention, decoder = 2 * size["encoder"], size["attention"], size["decoder"]
    keys = s * memory * attention
    looks = t * (decoder * attention + s * attention + s * memory)
    reads = t * (4 * decoder + size["embedding"]) * memory
    return sentences * (_recurrent(size, s, t) + reads + keys + looks)


def lstm(size: dict[str, int], sentences: int, s: int, t: int) -> int:
    """Multiplications in the forward pass; the context is constant, so it is multiplied once a sentence."""
    context = size["decoder"]
    once = (2 * size["encoder"] + 4 * size["decoder"] + size["embedding"]) * context
    return sentences * (_recurrent(size, s, t) + once)
