"""No encoder: the same learned vector for every source, so that any decoder over it is a language model of the target.

Shapes as in ``interface``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq.config.schema import ConstantEncoderConfig
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Encoder, Memory


class ConstantEncoder(Encoder):
    """A memory of one state, which is also the sentence vector; the source gives nothing but the number of sentences.

    The loss is then an upper bound of the target's entropy H(y). Its difference from a translation model's loss
    estimates the information that the latter takes from the source.
    """

    def __init__(self, options: ConstantEncoderConfig, embedding: Embedding, dropout: float) -> None:
        """The embedding of the source is not used, and belongs to no module here."""
        super().__init__()
        self.vector = nn.Parameter(torch.randn(options.width))

    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        """``src`` (B, S') ids, of which none is read."""
        sentences = src.shape[0]  # an exporter takes ``len(src)`` for a constant
        vector, mask = self.vector.expand(sentences, -1), src_mask.new_ones(sentences, 1)
        return Memory(vector[:, None], mask, vector, pooling=(vector.new_zeros(sentences, 1, 0),))
