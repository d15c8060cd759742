"""How many floating-point operations an update's matrix products are. Knows sizes and shapes; no framework.

Counted by hand, because counters that listen to a framework do not see fused kernels (an LSTM's, for one). A product of
an (m, k) and a (k, n) matrix is 2 m k n operations; backward is two such products for each of forward's. Positions are
those that are really run, padding included, except that the vocabulary is projected to only where there is a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def update_operations(spec: dict[str, Any], src: Sequence[int], tgt: Sequence[int], tokens: int) -> float:
    """Operations of forward and backward of a batch.

    Args:
        spec: a SPEC.json with ``pieces``.
        src, tgt: (B, S) and (B, T).
        tokens: target tokens that are not padding.
    """
    forward = {"transformer": transformer, "bahdanau": bahdanau, "lstm": lstm}[spec["model"]]
    (sentences, s), t = src, tgt[1]
    products = forward(spec["size"], sentences, s, t) + tokens * spec["size"]["embedding"] * spec["pieces"]
    return 3 * 2.0 * products


def transformer(size: dict[str, int], sentences: int, s: int, t: int) -> int:
    """Multiplications of encoder and decoder, forward."""
    width, inner = size["width"], size["feed_forward"]
    encoder = s * (4 * width**2 + 2 * width * inner + 2 * s * width)
    own = t * (4 * width**2 + 2 * t * width + 2 * width * inner)
    across = t * 2 * width**2 + s * 2 * width**2 + t * 2 * s * width
    return sentences * size["layers"] * (encoder + own + across)


def _recurrent(size: dict[str, int], s: int, t: int) -> int:
    """Encoder of both directions, the decoder's cell and the readout without their contexts' parts; a sentence."""
    encoder, decoder, embedding = size["encoder"], size["decoder"], size["embedding"]
    read = 2 * s * 4 * encoder * (embedding + encoder)
    written = t * 4 * decoder * (embedding + decoder)
    return read + written + t * (decoder + embedding) * embedding


def bahdanau(size: dict[str, int], sentences: int, s: int, t: int) -> int:
    """Multiplications of encoder and decoder, forward."""
    memory, attention, decoder = 2 * size["encoder"], size["attention"], size["decoder"]
    keys = s * memory * attention
    looks = t * (decoder * attention + s * attention + s * memory)
    reads = t * (4 * decoder + size["embedding"]) * memory
    return sentences * (_recurrent(size, s, t) + reads + keys + looks)


def lstm(size: dict[str, int], sentences: int, s: int, t: int) -> int:
    """Multiplications of encoder and decoder, forward; the context never changes, so that it is multiplied once."""
    context = size["decoder"]
    once = (2 * size["encoder"] + 4 * size["decoder"] + size["embedding"]) * context
    return sentences * (_recurrent(size, s, t) + once)
