"""Solution of exercise 1: attention, as a weighted mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √D) V over the positions that ``mask`` allows.

    Multiplied by the mask after the softmax, the weights would no longer sum to 1.
    """
    energies = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])  # (B, T, S)
    weights = energies.masked_fill(~mask[:, None], float("-inf")).softmax(-1)
    return weights @ value, weights


def additive_energies(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    """e_ij = v · tanh(q_i + k_j): each of the two gets a dimension for the other, and broadcasting adds all pairs."""
    return torch.tanh(query[:, :, None] + key[:, None]) @ energy  # (B, T, S, A) to (B, T, S)
