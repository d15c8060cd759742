"""Where to compute, and in what arithmetic."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from seq2seq.errors import UserError
from seq2seq.system import devices
from seq2seq.system.devices import autocast, choose_device, choose_precision, prepare_process

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch: Any) -> Any:
    """``machine(cuda, mps)`` pretends to be a machine that has them."""

    def pretend(cuda: bool = False, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_there_is(cuda: bool, mps: bool, expected: str, machine: Any) -> None:
    machine(cuda, mps)
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(name: str, machine: Any) -> None:
    machine()
    with pytest.raises(UserError, match=f"device={name} is not available here: use device=auto"):
        choose_device(name)


def test_the_cpu_can_be_asked_for_beside_a_gpu(machine: Any) -> None:
    machine(cuda=True)
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bf16_only_where_it_is_native(native: bool, expected: torch.dtype, monkeypatch: Any) -> None:
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: native)
    assert choose_precision("auto", CPU) == expected


@pytest.mark.parametrize(
    ("features", "native"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": False, "avx2": True}, False),
        ({}, False),
    ],
)
def test_the_processor_says_whether_it_multiplies_bf16(
    features: dict[str, bool], native: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert devices.multiplies_bf16(CPU) == native


def test_bf16_is_refused_on_a_cpu_that_does_not_multiply_it(monkeypatch: Any) -> None:
    """There it is emulated hundreds of times slower than float32, and ``nn.LSTM`` ends in an error of oneDNN's."""
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: False)
    with pytest.raises(UserError, match=r"trainer\.precision=bf16 needs a CPU with .*: use auto or fp32"):
        choose_precision("bf16", CPU)
    assert choose_precision("bf16", torch.device("cuda")) == torch.bfloat16
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: True)
    assert choose_precision("bf16", CPU) == torch.bfloat16


def test_half_precision_is_refused_on_a_cpu() -> None:
    with pytest.raises(UserError, match=r"trainer\.precision=fp16 needs a GPU"):
        choose_precision("fp16", CPU)
    assert choose_precision("fp16", torch.device("cuda")) == torch.float16


def test_products_run_in_the_precision_and_weights_stay_in_float32() -> None:
    layer, x = torch.nn.Linear(4, 4), torch.randn(2, 4)
    with autocast(CPU, torch.bfloat16)():
        assert layer(x).dtype == torch.bfloat16
    with autocast(CPU, torch.float32)():
        assert layer(x).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


class Gpu:
    total_memory = 8 << 30


@pytest.mark.parametrize(
    ("told", "curves"),
    [
        (lambda device: 85, {"train/gpu_gib": 2.0, "train/gpu_memory": 0.25, "train/gpu_busy": 0.85}),
        (None, {"train/gpu_gib": 2.0, "train/gpu_memory": 0.25}),  # torch's own function, without nvidia-ml-py
    ],
)
def test_the_load_of_a_gpu(told: Any, curves: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 2 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Gpu)
    if told:
        monkeypatch.setattr(torch.cuda, "utilization", told)
    else:
        monkeypatch.setattr(torch.cuda, "_HAS_PYNVML", False)
    assert devices.gpu_load(torch.device("cuda")) == curves
    assert devices.gpu_load(CPU) == {}


def test_kernels_are_kept_but_a_users_own_limit_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "")  # so that it is put back as it was
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    prepare_process()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "8192"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    prepare_process()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another allocator than glibc's")
def test_freed_memory_is_used_again() -> None:
    """A large matrix made again and again costs page faults at first, not each time."""
    script = """
import resource, torch
from seq2seq.system.devices import prepare_process
torch.set_num_threads(1)
for prepare in (lambda: None, prepare_process):
    prepare()
    for _ in range(20):
        torch.zeros(10 << 20)  # 40 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.zeros(10 << 20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    unprepared, prepared = map(int, ran.stdout.split())
    assert prepared * 10 < unprepared
