"""Where to compute, and in what arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seq2seq import devices
from seq2seq.devices import autocast, choose_device, choose_precision
from seq2seq.errors import UserError

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
