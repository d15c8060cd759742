"""What the machine is, and the most that its matrix products give. Knows torch and /proc; no model."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speed import Bench

# (m, k, n): squares, and the skinny ones that a batch of 2,000 positions makes.
SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (2048, 256, 1024), (2048, 1024, 256), (2048, 256, 8000))
SHAPES_CUDA = ((4096, 4096, 4096), (8192, 8192, 8192), (16384, 8192, 8192))
SECONDS = 1.0  # a shape and precision


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """The machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return None


def busy_seconds() -> float | None:
    """Processor seconds that anybody has used of our cores since the system's start, those of other guests included."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        used = [[int(field) for field in line[1:9]] for line in lines if line and line[0] in ours]
    except (OSError, ValueError):
        return None
    waiting = (3, 4)  # idle, and idle until a disk answers
    return sum(sum(core) - sum(core[n] for n in waiting) for core in used) / os.sysconf("SC_CLK_TCK")


def used_seconds(session: int) -> float:
    """Processor seconds that the processes of a session have used and are still there to say so."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def commit() -> str:
    """The commit that is measured, and whether files differ from it; empty outside a repository."""
    describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def about(device: str, threads: int) -> dict[str, Any]:
    """Hardware, versions, threads and date, for the report's foot."""
    import torch

    versions = {"python": platform.python_version(), "torch": torch.__version__}
    for package in ("numpy", "sentencepiece", "ctranslate2"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    features = [name for name, there in torch.cpu.get_capabilities().items() if there is True]
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": cores(),
        "threads": threads,
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "commit": commit(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "versions": versions,
        "features": features,
    }


def measure(bench: Bench) -> Iterator[dict[str, Any]]:
    """Billions of operations a second of each shape and precision there is, and the best of each precision."""
    import torch

    torch.set_num_threads(bench.threads)
    shapes = SHAPES_CUDA if bench.device == "cuda" else SHAPES
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    found = {
        name: {"x".join(map(str, shape)): giga(shape, types[name], bench.device) for shape in shapes}
        for name in bench.precisions
    }
    yield {"gflops": found, "peak": {name: max(each.values()) for name, each in found.items()}}


def giga(shape: tuple[int, int, int], dtype: Any, device: str, seconds: float = SECONDS) -> float:
    """10^9 operations a second of one product: the best of several batches of products."""
    import torch

    m, k, n = shape
    a = torch.randn(m, k, device=device).to(dtype)
    b = torch.randn(k, n, device=device).to(dtype)
    out = torch.empty(m, n, device=device, dtype=dtype)
    torch.mm(a, b, out=out)
    repeats = 20 if device == "cuda" else 1
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2e-9 * m * k * n * repeats / (time.perf_counter() - began))
    return best
