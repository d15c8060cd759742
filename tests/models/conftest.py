"""The sentences that several tests of the models read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

Sentences = Callable[..., Tensor]


@pytest.fixture
def src(sentences: Sentences) -> Tensor:
    """Three sources of unequal length, in a batch."""
    return sentences([6, 3, 5], seed=1)


@pytest.fixture
def tgt(sentences: Sentences) -> Tensor:
    """Their targets."""
    return sentences([4, 7, 2], seed=2)
