"""Plain torch implementations in place of our kernels, with which `operations.py` and `curves.py` compare."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from torch import Tensor
from torch.nn import functional as F

from seq2seq.config.schema import PAD
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loss import Loss
from seq2seq.models.recurrent import RecurrentDecoder


def sequence_loss(model: Seq2Seq, hidden: Tensor, target: Tensor, smoothing: float) -> Loss:
    """``models.loss.sequence_loss`` with autograd's backward pass, over all logits in float32."""
    logits, right = model.logits(hidden).float().flatten(0, 1), target.flatten()
    options: dict[str, Any] = {"ignore_index": PAD, "reduction": "sum"}
    loss = F.cross_entropy(logits, right, label_smoothing=smoothing, **options)
    return Loss(loss, F.cross_entropy(logits.detach(), right, **options))


def recurrent_decoder(*without: str) -> AbstractContextManager[object]:
    """A context in which recurrent decoders lack the methods given: ``_forward_fused``, ``_forward_cudnn``, or both.

    Without both they run a loop over the steps.
    """
    methods: dict[str, Any] = dict.fromkeys(without, lambda *_: None)
    return mock.patch.multiple(RecurrentDecoder, **methods)
