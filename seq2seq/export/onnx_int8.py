"""Weights of exported graphs as int8. Knows onnxruntime's dynamic quantisation; compares nothing."""

from __future__ import annotations

import logging
from pathlib import Path

from seq2seq.runs.onnx_files import ENCODER, STEP
from seq2seq.runs.onnx_model import onnxruntime


def quantise(folder: Path) -> None:
    """Replace the graphs of ``folder`` by graphs with int8 matrices, whose inputs are rounded at run time."""
    onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises, on the root logger, to prepare graphs that need none
    try:
        for name in (ENCODER, STEP):
            whole = folder / f"whole-{name}"
            (folder / name).rename(whole)
            # Embeddings stay as they are: rounded, they make a graph smaller, but not faster.
            quantize_dynamic(whole, folder / name, ["MatMul", "LSTM"], per_channel=True, weight_type=QuantType.QInt8)
            whole.unlink()
    finally:
        logging.disable(logging.NOTSET)
