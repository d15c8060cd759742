"""Token embeddings. Knows ids and vectors, no vocabulary."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


class Embedding(nn.Embedding):
    """Embeddings of variance 1/D scaled by √D, so that the same table serves as output layer (Vaswani, section 3.4)."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (…) to embeddings (…, D)."""
        return F.embedding(ids, self.weight) * math.sqrt(self.embedding_dim)
