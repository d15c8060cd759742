"""The files of a run that was exported to ONNX, and what is checked before onnxruntime gets them, for the folder may be
a stranger's. Knows the record and the operators of the two graphs; computes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from seq2seq.errors import UserError
from seq2seq.system.files import os_errors_as_user_errors, write_json
from seq2seq.system.typed_json import read_record

if TYPE_CHECKING:
    import onnx

KIND = "seq2seq onnx 1"
RECORD, ENCODER, STEP = "onnx.json", "encoder.onnx", "step.onnx"
LARGEST = (1 << 31) - 1  # bytes of a graph, the most that its format allows
EXTRA = "pip install 'seq2seq-trainer[onnx]'"
AGAIN = "export the run again, or copy the folder again"
DOMAINS = ("", "com.microsoft")  # of operators: ONNX's own and onnxruntime's
OPERATORS = frozenset(
    [
        "Abs",
        "Add",
        "Cast",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Cos",
        "Div",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "GRU",
        "Gather",
        "GatherElements",
        "Gemm",
        "Identity",
        "LSTM",
        "LayerNormalization",
        "MatMul",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Pad",
        "Pow",
        "Range",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Shape",
        "Sigmoid",
        "Sin",
        "Slice",
        "Softmax",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "Transpose",
        "Unsqueeze",
        "Where",
        "DequantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeLinear",
        "MatMulInteger",
    ]
)
"""What graphs are made of; none of them holds another graph, reads a file or repeats for as long as it likes."""


class GraphFile(TypedDict):
    """The size and the SHA-256 of a graph."""

    bytes: int
    sha256: str


class Record(TypedDict):
    """``onnx.json``; an export adds what it compared."""

    kind: str
    quantization: str
    files: dict[str, GraphFile]


def write_record(folder: Path, quantization: str, more: dict[str, Any]) -> None:
    """Describe the graphs in ``folder``."""
    contents = {name: (folder / name).read_bytes() for name in (ENCODER, STEP)}
    files = {name: {"bytes": len(each), "sha256": hashlib.sha256(each).hexdigest()} for name, each in contents.items()}
    write_json(folder / RECORD, {"kind": KIND, "quantization": quantization, "files": files, **more})


def read_graphs(folder: Path) -> dict[str, bytes]:
    """The checked content of both graphs, by name.

    Raises:
        UserError: a file that is missing, damaged, too large or not of this program's kind, or onnx is not installed.
    """
    record = read_record(folder / RECORD, Record, "record of ONNX graphs", AGAIN)
    if record["kind"] != KIND:
        raise UserError(f"{folder / RECORD}: not a record of this version: {record['kind'][:40]!r}: {AGAIN}")
    graphs = {}
    for name in (ENCODER, STEP):
        path, expected = folder / name, record["files"].get(name)
        if expected is None:
            raise UserError(f"{folder / RECORD}: it does not describe {name}: {AGAIN}")
        graphs[name] = _read(path, expected)
        check_graph(graphs[name], path)
    return graphs


def _read(path: Path, expected: GraphFile) -> bytes:
    with os_errors_as_user_errors(path, AGAIN):
        size = path.stat().st_size if path.is_file() else -1
    if size < 0:
        raise UserError(f"{path}: no such file: {AGAIN}")
    if size != expected["bytes"] or not 0 < size <= LARGEST:
        raise UserError(f"{path}: damaged: {size:,} bytes instead of {expected['bytes']:,}: {AGAIN}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise UserError(f"{path}: damaged: its checksum does not fit its content: {AGAIN}")
    return content


def check_graph(content: bytes, path: Path) -> None:
    """Refuse a graph that is not as ours are, by a ``UserError`` that names ``path``.

    One that names files of weights outside itself, has operators or functions of its own, loops or branches.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(f"onnx is not installed: {EXTRA}") from error
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's; its class differs from version to version
        raise UserError(f"{path}: not an ONNX graph: {AGAIN}") from error
    wrong = next(_unlike_ours(model), None)
    if wrong:
        raise UserError(f"{path}: not a graph of this program: {wrong}")


def _unlike_ours(model: onnx.ModelProto) -> Iterator[str]:
    """What a graph has that ours have not."""
    import onnx

    graph = model.graph
    if not graph.node:
        yield "it is empty"
    if model.functions or model.training_info:
        yield "it defines functions or a training"
    if graph.sparse_initializer:
        yield "it has sparse weights"
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.domain not in DOMAINS or node.op_type not in OPERATORS:
            yield f"the operator {node.domain[:40]}:{node.op_type[:40]} is unknown here"
        for attribute in node.attribute:
            if attribute.graphs or attribute.HasField("g") or attribute.sparse_tensors or attribute.ref_attr_name:
                yield f"{node.op_type} holds a graph or sparse weights"
            tensors += [attribute.t, *attribute.tensors]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in tensors):
        yield "its weights lie in other files"
