"""The part ``machine``: the highest rate of the machine's matrix products. Knows torch; no model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scripts.bench.context import Bench
from scripts.bench.figures import Record

if TYPE_CHECKING:
    import torch

# (m, k, n): squares, and the narrow ones that a batch of 2,000 positions makes.
SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (2048, 256, 1024), (2048, 1024, 256), (2048, 256, 8000))
SHAPES_CUDA = ((4096, 4096, 4096), (8192, 8192, 8192), (16384, 8192, 8192))
SECONDS = 1.0  # for each shape and precision


def measure(bench: Bench) -> Iterator[Record]:
    """10^9 operations a second of each shape in each precision, and the highest of each precision."""
    import torch

    torch.set_num_threads(bench.threads)
    shapes = SHAPES_CUDA if bench.device == "cuda" else SHAPES
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    found = {
        name: {"x".join(map(str, shape)): giga(shape, types[name], bench.device) for shape in shapes}
        for name in bench.precisions
    }
    yield {"gflops": found, "peak": {name: max(each.values()) for name, each in found.items()}}


def giga(shape: tuple[int, int, int], dtype: torch.dtype, device: str, seconds: float = SECONDS) -> float:
    """10^9 operations a second of one product: the best of several batches of products."""
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    m, k, n = shape
    a = torch.randn(m, k, device=device).to(dtype)
    b = torch.randn(k, n, device=device).to(dtype)
    out = torch.empty(m, n, device=device, dtype=dtype)
    torch.mm(a, b, out=out)
    repeats = 20 if device == "cuda" else 1
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        wait()
        began = time.perf_counter()
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        wait()
        best = max(best, 2e-9 * m * k * n * repeats / (time.perf_counter() - began))
    return best
