"""The fixed context: a single vector of the whole sentence, whatever its length (Cho et al. 2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq.config.schema import FixedContextDecoderConfig
from seq2seq.models.interface import Memory
from seq2seq.models.kernels.scan import Attended, lstm_scan
from seq2seq.models.recurrent import Context


class FixedContext(Context):
    """c = tanh(V h), read at every step (Cho et al. 2014) or only by the first state (Sutskever et al. 2014)."""

    changes = False

    def __init__(self, options: FixedContextDecoderConfig, vector_width: int) -> None:
        super().__init__()
        self.every_step = options.context == "every_step"
        self.width = options.context_width if self.every_step else 0
        self.first_width = options.context_width
        self.compress = nn.Linear(vector_width, options.context_width)

    def precompute(self, memory: Memory) -> Memory:
        return memory._replace(precomputed=(torch.tanh(self.compress(memory.sentence_vector)),))

    def first(self, memory: Memory) -> Tensor:
        return memory.precomputed[0]

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, None]:
        return memory.precomputed[0][:, None, : self.width], None

    def scan(
        self, gates: Tensor, reading: Tensor, recurrent: Tensor, state: Tensor, cell: Tensor, memory: Memory
    ) -> Attended:
        """The gates include the context's part already, because it is the same at every step."""
        return Attended(lstm_scan(gates, recurrent, state, cell), None, None)
