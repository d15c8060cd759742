"""Where to compute, and in what arithmetic. Knows torch and the hardware alone."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch

from seq2seq.errors import UserError

Autocast = Callable[[], AbstractContextManager[object]]


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU. Raises ``UserError`` for a device that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, present in there.items() if present)
    if not there[name]:
        raise UserError(f"device={name} is not available here: use device=auto or device=cpu")
    return torch.device(name)


def prepare_process() -> None:
    """Let this process keep what it has made: memory that was freed, kernels for shapes that were met.

    Without it each matrix above 32 MB is new memory whenever it is made, at 0.4 ms a megabyte, and oneDNN throws away
    kernels as soon as a training has more shapes than 1024 kernels serve. Called before the first tensor is made.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    if sys.platform == "linux":
        allocator = ctypes.CDLL(None)
        if hasattr(allocator, "mallopt"):  # glibc's
            trim_threshold, mmap_threshold = -1, -3
            if not allocator.mallopt(mmap_threshold, 1 << 30):  # an older glibc, whose limit this is:
                allocator.mallopt(mmap_threshold, 1 << 25)
            allocator.mallopt(trim_threshold, (1 << 31) - 1)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` takes bf16 where the hardware multiplies it natively, else float32.

    Raises:
        UserError: fp16 but on CUDA, where alone gradients are scaled into its range; bf16 on a CPU that only emulates
            it, where products take hundreds of times as long and LSTM layers have no kernel.
    """
    if name == "auto":
        name = "bf16" if multiplies_bf16(device) else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise UserError("trainer.precision=fp16 needs a GPU with CUDA: use auto, bf16 or fp32")
    if name == "bf16" and device.type == "cpu" and not multiplies_bf16(device):
        raise UserError("trainer.precision=bf16 needs a CPU with instructions for it, or a GPU: use auto or fp32")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def multiplies_bf16(device: torch.device) -> bool:
    """Whether matrix products in bf16 are instructions of this hardware, not emulated ones."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
    return False


def autocast(device: torch.device, precision: torch.dtype) -> Autocast:
    """A context in which matrix products run in ``precision``; weights and sums stay in float32."""
    if precision == torch.float32:
        return nullcontext
    return partial(torch.autocast, device.type, dtype=precision)
