"""A model whose encoder and step are ONNX graphs: the interface of our models over onnxruntime, so that a search does
not know the difference. Knows onnxruntime; no architecture. Shapes as in ``models.interface``.

The encoder's graph maps ``src`` (B, S) to the tensors of the memory that a step reads, and to those of the first state
that depend on the sentence. The step's graph maps ``token`` (B, K), ``mask`` (B, S), memory and state to ``logits``
(B, K, V), ``next_NAME`` for each tensor of the state, and ``attention`` (B, K, H, S) where the model has any. A tensor
of the state that no encoder gives begins with zeros, a growing cache with the length 0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.errors import UserError
from seq2seq.models.interface import Decoder, DecoderOutput, Encoder, Memory, Seq2Seq, State, Step
from seq2seq.runs.onnx_files import ENCODER, EXTRA, STEP, read_graphs

NEXT = "next_"
LARGEST_STATE = 1 << 20  # numbers of a hypothesis
TYPES = {"tensor(float)": torch.float32, "tensor(int64)": torch.int64, "tensor(bool)": torch.bool}


def onnxruntime() -> Any:
    """The package. Raises ``UserError`` where it is not installed."""
    # Left to itself, 1.32 writes an identity of this device into the user's cache folder when it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as package
    except ImportError as error:
        raise UserError(f"onnxruntime is not installed: {EXTRA}") from error
    return package


class Graph:
    """A graph, ready to compute on the CPU with as many threads as torch has."""

    def __init__(self, content: bytes, path: Path) -> None:
        package = onnxruntime()
        options = package.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.log_severity_level = 4  # what goes wrong is raised as well
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Threads that spin while the search computes take its cores: half the speed on two.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.path = path
        try:
            self.session = package.InferenceSession(content, options, ["CPUExecutionProvider"], enable_fallback=0)
        except Exception as error:  # its classes of errors share no base
            raise UserError(f"{path}: onnxruntime cannot read it ({_first_line(error)})") from error
        self.inputs = {each.name: each for each in self.session.get_inputs()}
        self.outputs = [each.name for each in self.session.get_outputs()]
        for each in (*self.inputs.values(), *self.session.get_outputs()):
            if each.type not in TYPES:
                raise UserError(f"{path}: not a graph of this program: {each.name[:40]} is a {each.type}")

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name. Raises ``UserError`` where the graph does not compute with these inputs."""
        try:
            found = self.session.run(None, {name: given[name].numpy() for name in self.inputs})
        except Exception as error:
            raise UserError(f"{self.path}: onnxruntime cannot compute it ({_first_line(error)})") from error
        return {name: torch.from_numpy(array) for name, array in zip(self.outputs, found, strict=True)}

    def refuse(self, what: str) -> UserError:
        """The error of a graph that is not what it should be."""
        return UserError(f"{self.path}: not a graph of this program: {what}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


class OnnxEncoder(Encoder):
    """The encoder's graph. Of the memory, only ``precomputed`` holds anything: the graph's outputs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        found = self.graph({"src": src})
        for name, tensor in found.items():
            if tensor.dim() < 2 or len(tensor) != len(src):
                raise self.graph.refuse(f"{name[:40]} has the shape {tuple(tensor.shape)} for {len(src)} sentences")
        nothing = torch.zeros(len(src), 0)
        return Memory(nothing[:, None], src_mask, nothing, tuple(found.values()))


class OnnxDecoder(Decoder):
    """The step's graph, which gives logits at once: ``hidden`` is logits here, D is V."""

    def __init__(self, graph: Graph, encoder: Graph, vocabulary: int) -> None:
        super().__init__()
        self.graph, self.memory_names, self.vocabulary = graph, encoder.outputs, vocabulary
        self.state_names = [name.removeprefix(NEXT) for name in graph.outputs if name.startswith(NEXT)]
        known = {"token", "mask", *self.memory_names, *self.state_names}
        for name in (*graph.inputs.keys() - known, *{"token", *self.state_names} - graph.inputs.keys()):
            raise graph.refuse(f"{name[:40]} is not an input of both")
        if "logits" not in graph.outputs:
            raise graph.refuse("it gives no logits")
        if unknown := set(graph.outputs) - {"logits", "attention"} - {NEXT + name for name in self.state_names}:
            raise graph.refuse(f"{sorted(unknown)[0][:40]} is an unknown output")

    def init_state(self, memory: Memory) -> State:
        given = dict(zip(self.memory_names, memory.precomputed, strict=True))
        return {
            name: given[name] if name in given else self._zeros(name, len(memory.mask)) for name in self.state_names
        }

    def _zeros(self, name: str, sentences: int) -> Tensor:
        """A tensor (B, 1, …) as the graph declares it, with the length 0 where the length is free."""
        declared = self.graph.inputs[name]
        rest = [size if type(size) is int else 0 for size in declared.shape[2:]]
        if not 0 <= math.prod(rest) <= LARGEST_STATE:
            raise self.graph.refuse(f"{name[:40]} begins with {math.prod(rest):,} zeros")
        return torch.zeros(sentences, 1, *rest, dtype=TYPES[declared.type])

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        given = {"token": token, "mask": memory.mask, **dict(zip(self.memory_names, memory.precomputed, strict=True))}
        found = self.graph({**given, **state})
        self._check(found, token.shape, memory.mask.shape[1])
        return Step(found["logits"], {name: found[NEXT + name] for name in self.state_names}, found.get("attention"))

    def _check(self, found: Mapping[str, Tensor], hypotheses: torch.Size, source: int) -> None:
        """Refuse shapes that a search cannot work with."""
        for name, tensor in found.items():
            shape = tensor.shape
            fits = shape[:2] == hypotheses
            fits &= name != "logits" or shape[2:] == (self.vocabulary,)
            fits &= name != "attention" or (len(shape) == 4 and shape[3] == source)
            if not fits:
                raise self.graph.refuse(f"{name[:40]} has the shape {tuple(shape)} for {tuple(hypotheses)} hypotheses")

    def forward(self, memory: Memory, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        """Teacher forcing, step by step."""
        state, logits, maps = self.init_state(memory), [], []
        for token in tgt_in.unbind(1):
            step = self.step(token[:, None], state, memory)
            state = step.state
            logits.append(step.hidden[:, 0])
            maps += [step.attention[:, 0]] if attention and step.attention is not None else []
        return DecoderOutput(torch.stack(logits, 1), torch.stack(maps, 2) if maps else None)


class OnnxModel(Seq2Seq):
    """Both graphs; there is no output layer beside them."""

    def __init__(self, encoder: OnnxEncoder, decoder: OnnxDecoder) -> None:
        nn.Module.__init__(self)
        self.encoder, self.decoder = encoder, decoder

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def open_graphs(folder: Path, vocabulary: int) -> Seq2Seq:
    """The model of an exported folder.

    Args:
        vocabulary: the size of the target vocabulary.

    Raises:
        UserError: damaged or foreign graphs, or onnx or onnxruntime is not installed.
    """
    onnxruntime()  # names the extra before anything is read
    graphs = {name: Graph(content, folder / name) for name, content in read_graphs(folder).items()}
    encoder, step = graphs[ENCODER], graphs[STEP]
    if list(encoder.inputs) != ["src"]:
        raise encoder.refuse("it reads something else than src")
    return OnnxModel(OnnxEncoder(encoder), OnnxDecoder(step, encoder, vocabulary))
