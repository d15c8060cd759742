"""Exercise 2: masks, so that padding changes nothing.

Sentences of a batch have different lengths, so ``PAD`` is put behind the shorter ones. Everything that is computed must
be the same as for each sentence alone. (What it costs where it is not: docs/seven-faults.md.)

Shapes: B sentences, S positions, D units, V tokens of the vocabulary.
"""

from __future__ import annotations

from torch import Tensor

PAD = 0


def padding_mask(ids: Tensor) -> Tensor:
    """True where ``ids`` (B, S) is a real token, False at padding: (B, S)."""
    raise NotImplementedError("padding_mask in docs/exercises/masking.py")


def causal_mask(length: int) -> Tensor:
    """(S, S): True where position i (the row) may look at position j (the column), itself and what stands before it."""
    raise NotImplementedError("causal_mask in docs/exercises/masking.py")


def mean_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The mean cross-entropy of the real tokens of the batch.

    A token of a short sentence weighs as much as one of a long sentence. Use no ``ignore_index``.

    Args:
        logits: (B, S, V).
        target: (B, S) ids.
    """
    raise NotImplementedError("mean_loss in docs/exercises/masking.py")


def last_states(states: Tensor, mask: Tensor) -> Tensor:
    """The state (B, D) at each sentence's last real position, of ``states`` (B, S, D) and their ``mask`` (B, S)."""
    raise NotImplementedError("last_states in docs/exercises/masking.py")
