"""A model whose forward and backward pass are compiled (``trainer.compile``). Knows the interface of models; no loss.

The loss is not compiled: it is a loop over blocks of rows, whose number is another in every batch. CUDA graphs
(``mode="reduce-overhead"``) are not used: one would be recorded for every shape of a batch, and others report wrong
gradients where several batches make an update (pytorch issues 96693 and 169545).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from seq2seq.errors import UserError
from seq2seq.models.interface import Seq2Seq

BACKEND = "inductor"


def compiled(model: Seq2Seq) -> nn.Module:
    """A module that computes what ``model`` does, on the same parameters, for batches of all shapes.

    ``model`` itself, which is evaluated and saved, is computed as before. It is compiled at the first call.
    """
    model.leave_uncompiled()
    made: nn.Module = torch.compile(model, dynamic=True, backend=BACKEND)  # type: ignore[assignment]  # of a module
    return made


@contextmanager
def told_of_failure() -> Iterator[None]:
    """Raise ``UserError`` for what the compiler raises inside, as where it has no Triton or no C compiler to use."""
    from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        inner = error.inner_exception if isinstance(error, BackendCompilerFailed) else error
        reason = str(inner).strip().splitlines()
        raise UserError(
            f"trainer.compile=true: torch.compile has failed ({type(inner).__name__}: {reason[0] if reason else ''}): "
            "install what it asks for, or leave trainer.compile out"
        ) from error
