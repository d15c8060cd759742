"""Exercise 1: attention, as a weighted mean.

A query asks, a key for each source position answers how well it fits, and the result is the mean of the values,
weighted by how well their keys fit. Write both score functions. No loop over positions is needed.

Shapes: B sentences, T queries of each, S source positions, D units of a key, V of a value, A of the additive score.
"""

from __future__ import annotations

from torch import Tensor


def dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √D) V over the positions that ``mask`` allows (Vaswani et al. 2017, equation 1).

    A position where the mask is False gets the weight 0, and the weights of a query sum to 1. To multiply the weights
    by the mask after the softmax is not enough: why?

    Args:
        query: (B, T, D).
        key: (B, S, D).
        value: (B, S, V).
        mask: (B, S), True at real positions.

    Returns:
        The context (B, T, V) and the weights (B, T, S).
    """
    raise NotImplementedError("dot_product_attention in docs/exercises/attention.py")


def additive_energies(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    """e_ij = v · tanh(q_i + k_j) (Bahdanau et al. 2014, appendix A.1.2, where q_i = W s_{i-1} and k_j = U h_j).

    Args:
        query: (B, T, A), multiplied by W already.
        key: (B, S, A), multiplied by U already.
        energy: (A), the vector v.

    Returns:
        The energies (B, T, S), before any softmax.
    """
    raise NotImplementedError("additive_energies in docs/exercises/attention.py")
