"""Where a token stands, told to a Transformer: added to embeddings, or inside self-attention, or not at all.

Shapes as in ``interface``; W units of a head. Positions are counted from 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seq2seq.config.schema import TransformerOptions


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Positions (…) to signals (…, D): sines, then cosines (Vaswani et al. 2017, section 3.5, as in tensor2tensor).

    The rates fall from 1 to 1/10,000, both included, in equal ratios.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half, device=positions.device) * -(math.log(10_000) / max(half - 1, 1)))
    angles = positions[..., None].float() * rates
    signals = torch.cat([angles.sin(), angles.cos()], -1)
    return nn.functional.pad(signals, (0, 1)) if width % 2 else signals


class Positions(nn.Module):
    """Adds a sinusoidal or learned signal of its position to each embedding; the identity for all other positions."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        self.width, self.sinusoidal = options.width, options.positions == "sinusoidal"
        self.learned = nn.Embedding(options.max_positions, options.width) if options.positions == "learned" else None
        if self.learned is not None:
            nn.init.normal_(self.learned.weight, std=0.02)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """``x`` (B, T, D) at the positions ``places`` (T), or (B, K, D) of hypotheses at the same position (1)."""
        if self.learned is not None:
            # Positions beyond the table share its last row: worse output, but no crash on a user's long sentence.
            return x + self.learned(places.clamp(max=self.learned.num_embeddings - 1))
        return x + sinusoids(places, self.width) if self.sinusoidal else x


def rotate(x: Tensor, places: Tensor) -> Tensor:
    """Turn each pair of units by an angle that grows with the position (Su et al. 2021, equation 34).

    Units 2n and 2n + 1 at position m turn by m θ_n, θ_n = 10,000^(-2n / W), so that the product of a query and a key
    depends on the distance of their positions. Computed in float32, given back in the type of ``x``.

    Args:
        x: queries or keys (…, T, W), W even; or (…, W) of a single position (1).
        places: their positions (T).
    """
    width = x.shape[-1]
    rates = torch.exp(torch.arange(0, width, 2, device=x.device) * -math.log(10_000) / width)
    angles = places[:, None].float() * rates
    cos, sin = angles.cos(), angles.sin()
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2).to(x.dtype)


def distance_bias(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """What ALiBi adds to energies: -m_h times the distance of query and key, (H, T, S) (Press et al. 2022, section 3).

    Its slopes are a geometric sequence, m_h = 2^(-8h / H) for the heads h = 1 … H. In an encoder, which looks both
    ways, positions at the same distance to the left and to the right weigh alike.

    Args:
        queries, keys: their positions, (T) and (S).
    """
    slopes = torch.exp2(torch.arange(1, heads + 1, device=keys.device) * (-8 / heads))
    return -slopes[:, None, None] * (queries[:, None] - keys).abs()
