"""The device and the precision of computations. Knows only torch and the hardware."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

import torch

from seq2seq.errors import UserError

Autocast = Callable[[], AbstractContextManager[object]]


def choose_device(name: str, number: int = 0) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA, else MPS, else the CPU.

    Args:
        number: of the process among those of this machine, each of which takes a GPU of its own.

    Raises:
        UserError: a device that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, present in there.items() if present)
    if not there[name]:
        raise UserError(f"device={name} is not available here: use device=auto or device=cpu")
    if number and name == "cuda":
        if number >= torch.cuda.device_count():
            raise UserError(f"{number + 1} processes, but {torch.cuda.device_count()} GPUs here: start one for each")
        return torch.device(name, number)
    return torch.device(name)


def prepare_process() -> None:
    """Let this process keep freed memory and compiled kernels. To be called before the first tensor is made.

    By default glibc returns each freed matrix above 32 MB to the system, and to get it anew costs 0.4 ms a megabyte;
    oneDNN keeps 1024 kernels, which are fewer than the shapes of a training need.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    if sys.platform == "linux":
        allocator = ctypes.CDLL(None)
        if hasattr(allocator, "mallopt"):  # glibc's
            trim_threshold, mmap_threshold = -1, -3
            if not allocator.mallopt(mmap_threshold, 1 << 30):  # an older glibc, whose limit this is:
                allocator.mallopt(mmap_threshold, 1 << 25)
            allocator.mallopt(trim_threshold, (1 << 31) - 1)


def use_threads(number: int | None) -> None:
    """Compute with so many CPU threads, at most one a core; None: torch's choice."""
    if number:
        torch.set_num_threads(min(number, os.cpu_count() or 1))


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products; ``auto`` is bf16 where the hardware multiplies it natively, else float32.

    Raises:
        UserError: fp16 elsewhere than on CUDA, since gradients are scaled into its range only there; bf16 on a CPU
            that emulates it, where products take hundreds of times as long and LSTM layers have no kernel.
    """
    if name == "auto":
        name = "bf16" if multiplies_bf16(device) else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise UserError("trainer.precision=fp16 needs a GPU with CUDA: use auto, bf16 or fp32")
    if name == "bf16" and device.type == "cpu" and not multiplies_bf16(device):
        raise UserError("trainer.precision=bf16 needs a CPU with instructions for it, or a GPU: use auto or fp32")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def multiplies_bf16(device: torch.device) -> bool:
    """Whether this hardware has instructions for matrix products in bf16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
    return False


def gpu_load(device: torch.device) -> dict[str, float]:
    """Points of curves, only of a GPU: GiB that this process has held at most, and their share of its memory.

    With the package nvidia-ml-py also the share of the last second or less in which the GPU was computing.
    """
    if device.type != "cuda":
        return {}
    held, whole = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
    figures = {"train/gpu_gib": held / (1 << 30), "train/gpu_memory": held / whole}
    with suppress(Exception):  # not installed, or not told: of a part of a GPU (MIG), or in a container
        figures["train/gpu_busy"] = torch.cuda.utilization(device) / 100
    return figures


def autocast(device: torch.device, precision: torch.dtype) -> Autocast:
    """A context in which matrix products run in ``precision``; weights and sums stay in float32."""
    if precision == torch.float32:
        return nullcontext
    return partial(torch.autocast, device.type, dtype=precision)
