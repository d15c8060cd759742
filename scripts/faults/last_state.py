"""Fault 1: the encoder's last state is taken from padding.

A batch is as long as its longest sentence; behind the others stands padding. An RNN that is called without lengths
reads on through it: the forward direction's last state has read the padding last, and the backward direction begins in
it. So the vector of a sentence depends on the sentences beside it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from scripts.faults.replacing import replaced
from seq2seq.config.schema import RecurrentEncoderConfig
from seq2seq.models import build
from seq2seq.models.interface import Memory
from seq2seq.models.recurrent import RecurrentEncoder


class LastStateOfPadding(RecurrentEncoder):
    """The sound encoder, to which padding is text; what an attention may look at stays right."""

    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        memory: Memory = super().forward(src, torch.ones_like(src_mask))
        return memory._replace(mask=src_mask)


def applied() -> AbstractContextManager[None]:
    """Inside, every recurrent encoder that is built has the fault."""
    return replaced(build, "ENCODERS", {**build.ENCODERS, RecurrentEncoderConfig: LastStateOfPadding})
