"""Fast kernels behind the plain operations of the models, and the switch that turns them off. Knows only tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_plain_blocks = 0  # how many blocks of ``plain`` are open


@contextmanager
def plain() -> Iterator[None]:
    """Inside, models and the loss run by plain torch operations only: the reference for the kernels, and for export.

    Recurrent decoders loop over steps, cross-entropy is autograd's in float32, products are ``F.linear``, dropout is
    ``F.dropout``. The results are the same up to rounding, but dropout draws other random numbers. Blocks may be
    nested; the switch is one for all threads.
    """
    global _plain_blocks
    _plain_blocks += 1
    try:
        yield
    finally:
        _plain_blocks -= 1


def is_plain() -> bool:
    """Whether a block of ``plain`` is open."""
    return _plain_blocks > 0
