"""The machine that is measured: processor, memory, versions, commit. Knows torch's capabilities; measures nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


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
    """The machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return None


def commit() -> str:
    """The commit that is measured, ending in ``-dirty`` where files differ from it; empty outside a repository."""
    describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def about(device: str, threads: int) -> dict[str, Any]:
    """Hardware, versions, threads and date, for the head of the report."""
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
