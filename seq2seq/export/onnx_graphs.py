"""A model as two ONNX graphs, its encoder and one step of its decoder. Knows the exporter of torch; compares nothing.

The graphs are those that ``runs.onnx_model`` describes. They are traced from one example, in which no size is 1 and no
free size equals another; a second example shows which sizes are free.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from seq2seq.config.schema import BOS, EOS, PAD
from seq2seq.errors import UserError
from seq2seq.models.interface import Memory, Seq2Seq, State, reorder_state
from seq2seq.models.kernels import plain
from seq2seq.runs.onnx_files import ENCODER, LARGEST, STEP
from seq2seq.runs.onnx_model import NEXT

OPSET = 18
SIZES = (2, 7, 3, 4), (5, 11, 6, 8)  # of both examples: sentences, source tokens, hypotheses, tokens so far


class Example(NamedTuple):
    """A model's own tensors in the middle of a search."""

    src: Tensor
    memory: dict[str, Tensor]
    first: State  # before the first token
    token: Tensor
    state: State
    attention: bool


def export_graphs(model: Seq2Seq, vocabularies: tuple[int, int], folder: Path) -> None:
    """Write ``encoder.onnx`` and ``step.onnx``, in float32.

    Args:
        model: on the CPU, in evaluation mode.
        vocabularies: sizes of both.

    Raises:
        UserError: a model that is too large for the format.
    """
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    if size > LARGEST // 2:  # a graph may hold a table twice: as embeddings, and transposed as output layer
        raise UserError(f"a model of {size / 1e9:.1f} GB is too large for ONNX: a graph has at most 2 GiB")
    with torch.no_grad(), plain():
        examples = [_example(model, vocabularies, sizes) for sizes in SIZES]
        read = _export_step(model, examples, folder / STEP)
        _export_encoder(model, examples, read, folder / ENCODER)


def _example(model: Seq2Seq, vocabularies: tuple[int, int], sizes: tuple[int, int, int, int]) -> Example:
    sentences, length, width, before = sizes
    draw = torch.Generator().manual_seed(1)
    src = torch.randint(EOS + 1, vocabularies[0], (sentences, length), generator=draw)
    src[-1, length // 2 :] = PAD
    tokens = torch.randint(EOS + 1, vocabularies[1], (before, sentences, 1), generator=draw)
    memory = model.encode(src)
    first = state = model.decoder.init_state(memory)
    attention = False
    for token in tokens:
        step = model.decoder.step(token, state, memory)
        state, attention = step.state, step.attention is not None
    every, widened = torch.arange(sentences), torch.zeros(sentences, width, dtype=torch.long)
    return Example(
        src, _named(memory), first, torch.full(widened.shape, BOS), reorder_state(state, every, widened), attention
    )


def _named(memory: Memory) -> dict[str, Tensor]:
    own = {"mask": memory.mask, "states": memory.states, "sentence_vector": memory.sentence_vector}
    return {**own, **{f"memory{n}": part for n, part in enumerate(memory.precomputed)}}


class _Step(nn.Module):
    def __init__(self, model: Seq2Seq, memory: Sequence[str], state: Sequence[str]) -> None:
        super().__init__()
        self.model, self.memory, self.state = model, memory, state

    def forward(self, token: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.memory, rest, strict=False))
        parts = tuple(part for name, part in given.items() if name.startswith("memory"))
        memory = Memory(given["states"], given["mask"], given["sentence_vector"], parts)
        state = dict(zip(self.state, rest[len(self.memory) :], strict=True))
        hidden, new, attention = self.model.decoder.step(token, state, memory)
        found = (self.model.logits(hidden), *(new[name] for name in self.state))
        return found if attention is None else (*found, attention)


class _Encoder(nn.Module):
    def __init__(self, model: Seq2Seq, memory: Sequence[str], state: Sequence[str]) -> None:
        super().__init__()
        self.model, self.memory, self.state = model, memory, state

    def forward(self, src: Tensor) -> tuple[Tensor, ...]:
        memory = self.model.encode(src)
        parts, first = _named(memory), self.model.decoder.init_state(memory)
        return (*(parts[name] for name in self.memory), *(first[name] for name in self.state))


def _export_step(model: Seq2Seq, examples: Sequence[Example], path: Path) -> list[str]:
    """Write the step; returns the names of the memory's tensors that it reads."""
    one, other = examples
    inputs = [{"token": each.token, **each.memory, **each.state} for each in (one, other)]
    outputs = ["logits", *(NEXT + name for name in one.state), *(["attention"] if one.attention else [])]
    module = _Step(model, list(one.memory), list(one.state))
    free = _free(*inputs)
    free |= {NEXT + name: free[name] for name in one.state} | {"logits": free["token"]}
    free["attention"] = {**free["token"], 3: "source"}
    graph = _export(module, inputs[0], outputs, {name: free[name] for name in (*inputs[0], *outputs)}, path)
    return [each.name for each in graph.graph.input if each.name in one.memory]


def _export_encoder(model: Seq2Seq, examples: Sequence[Example], read: Sequence[str], path: Path) -> None:
    """Write the encoder, which gives what the step reads of the memory, but the mask, and of the first state.

    A cache that is empty at first is made outside: the exporter would take its number of sentences for a constant.
    """
    one = examples[0]
    memory = [name for name in read if name != "mask"]
    state = [name for name, first in one.first.items() if first.numel() and first.is_floating_point()]
    if wrong := [name for name, first in one.first.items() if name not in state and first.any()]:
        raise ValueError(f"the first state's {wrong[0]} is neither computed from the source nor zero")
    found = [{**{name: each.memory[name] for name in memory}, **{n: each.first[n] for n in state}} for each in examples]
    free = _free(*found)
    for name in state:
        free[name].pop(1, None)
    free["src"] = {0: "sentences", 1: "source"}
    _export(_Encoder(model, memory, state), {"src": one.src}, list(found[0]), free, path)


def _free(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, dict[int, str]]:
    """The axes of each tensor whose sizes are not the same in both examples, each with a name."""
    names = dict(zip(SIZES[0], ("sentences", "source", "hypotheses", "target"), strict=True))
    return {
        name: {axis: names[size] for axis, size in enumerate(tensor.shape) if size != other[name].shape[axis]}
        for name, tensor in one.items()
    }


def _export(
    module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], free: dict[str, dict[int, str]], path: Path
) -> Any:
    """Trace a module with ``inputs``, write the graph, and return it."""
    with warnings.catch_warnings():  # of the exporter's age, and of sizes that it takes for constants: see the checks
        warnings.simplefilter("ignore")
        # The exporter by torch.export takes an LSTM's length for a constant, and keeps weights where dynamic
        # quantisation does not see them.
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: axes for name, axes in free.items() if axes},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.ModelProto.FromString(path.read_bytes())
