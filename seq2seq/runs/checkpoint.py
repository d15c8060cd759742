"""Weights and training state in one safetensors file that is replaced atomically. Knows tensors and plain data.

Plain data (counters, the place in the data) is JSON in the file's header, so that weights and state cannot come apart.
Nothing that is loaded can run code.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from seq2seq.errors import UserError
from seq2seq.system.files import UNFINISHED, refuse_too_many_open, write_atomically
from seq2seq.system.shards import whole

KIND = "seq2seq checkpoint 1"
PREVIOUS = "previous"  # the name of the training state before the last
Optimizer = torch.optim.Optimizer


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters by name; a shared table is stored once, under its first name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_weights(path: Path, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write weights with plain data about them; the same content gives the same bytes."""
    _write(path, {f"model/{name}": tensor for name, tensor in weights.items()}, state, reproducible=True)


Models = Mapping[str, nn.Module]
"""Modules by the name of their weights in a checkpoint; ``model`` is the one that the optimiser trains."""


def save_training(path: Path, models: Models, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Write everything that a training needs to continue: weights, moments, random generators, plain state.

    On a CPU it continues to the same bits; CUDA sums some gradients in no fixed order.
    """
    tensors = training_tensors(models, optimizer)
    tensors["random/cpu"] = torch.get_rng_state()
    if path.exists():  # so that there is another one to go on from, should this one be damaged
        _keep_as_previous(path)
    if torch.cuda.is_initialized():  # otherwise get_rng_state would initialise a GPU that is not used
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        tensors["random/mps"] = torch.mps.get_rng_state()
    _write(path, tensors, state)


def training_tensors(models: Models, optimizer: Optimizer) -> dict[str, Tensor]:
    """Weights and moments, whole. Where they are sharded, all processes call it at once."""
    tensors = {f"{kind}/{name}": tensor for kind, model in models.items() for name, tensor in weights_of(model).items()}
    names = {id(parameter): name for name, parameter in models["model"].named_parameters()}
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            tensors[f"optimizer/{names[id(parameter)]}/{key}"] = value
    return {name: whole(tensor) for name, tensor in tensors.items()}


def _keep_as_previous(path: Path) -> None:
    """Give the file a second name, so that there is always a whole checkpoint under the first one."""
    link = path.with_name(f".{PREVIOUS}{UNFINISHED}")
    with suppress(OSError):  # a file system without such links
        link.unlink(missing_ok=True)
        link.hardlink_to(path)
        link.replace(path.with_name(f"{PREVIOUS}.safetensors"))


def _write(path: Path, tensors: dict[str, Tensor], state: dict[str, Any], reproducible: bool = False) -> None:
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    plain = json.dumps(state)
    data = save(contiguous, {"kind": KIND, "state": plain, "crc32": checksum(contiguous, plain)})
    write_atomically(path, _in_order(data) if reproducible else data)


def _in_order(data: bytes) -> bytes:
    """The file with its metadata sorted, which safetensors writes in a random order.

    Such a file is the length of its header in 8 bytes, the header in JSON to a multiple of 8, and the tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(data)[end:]))


def checksum(tensors: dict[str, Tensor], state: str) -> str:
    """CRC-32 of the state and of every tensor's name and bytes: any flipped byte changes it."""
    total = zlib.crc32(state.encode())
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain state of a checkpoint. Raises ``UserError``: no file, one cut short, or not of this program."""
    try:
        str(path).encode()  # safetensors takes no other path
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: the path is not UTF-8: rename the folder") from error
    try:
        # safetensors calls every file that it cannot open a missing one.
        with path.open("rb"), safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("kind") != KIND:
                advice = _others(path) if path.parent.name == "checkpoints" else "give one from a run's checkpoints/"
                raise UserError(f"{path}: not a checkpoint of this program: {advice}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            kept = metadata.get("crc32")  # checkpoints of earlier versions have none
            if kept is not None and kept != checksum(tensors, metadata["state"]):
                raise ValueError("its checksum does not fit its content")
            return tensors, json.loads(metadata["state"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path}: no such checkpoint") from error
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        refuse_too_many_open(path, error)
        raise UserError(f"{path}: damaged or cut short ({error}): {_others(path)}") from error


def _others(path: Path) -> str:
    """What to do about a damaged checkpoint."""
    names = sorted(other.name for other in path.parent.glob("*.safetensors") if other != path)
    if path.stem == "last" and f"{PREVIOUS}.safetensors" in names:
        return f"copy {PREVIOUS}.safetensors over it and start the same command again"
    return f"use {' or '.join(names)} beside it" if names else "there is no other one beside it: train the run anew"


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Load the weights that translate into ``model``; returns the plain state. Raises as ``read``, ``set_weights``."""
    tensors, state = read(path)
    set_weights(model, translating(tensors), path)
    return state


def step_of(state: dict[str, Any]) -> int | None:
    """The updates after which weights were saved, by the state beside them; None where it does not say.

    A training's own state has its counters under ``position``; beside weights that it sets aside they are all there is.
    """
    counters = state.get("position", state)
    step = counters.get("step") if isinstance(counters, dict) else None
    return step if type(step) is int else None


def translating(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are validated and tested: the average of a training that has one, else its model's."""
    return part(tensors, "average") or part(tensors, "model")


def part(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``kind/``, by the rest of their names."""
    return {name.removeprefix(f"{kind}/"): t for name, t in tensors.items() if name.startswith(f"{kind}/")}


def set_weights(model: nn.Module, weights: dict[str, Tensor], where: Path) -> None:
    """Copy ``weights`` into the model. Raises ``UserError`` where names or shapes differ."""
    own = weights_of(model)
    wrong = sorted(own.keys() ^ weights.keys())
    wrong = wrong or [n for n in own if (own[n].shape, own[n].dtype) != (weights[n].shape, weights[n].dtype)]
    if wrong:
        raise UserError(f"{where}: the weights of another model ({wrong[0]} does not fit the run's config)")
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(f"{where}: {broken[0]} holds numbers that are not finite: {_others(where)}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])


def load_training(path: Path, models: Models, optimizer: Optimizer) -> dict[str, Any]:
    """Restore everything from ``save_training``; returns the plain state.

    Raises:
        UserError: as ``read`` and ``set_weights``; moments or random generators that are none.
    """
    tensors, state = read(path)
    for kind, model in models.items():
        set_weights(model, part(tensors, kind), path)
    _set_moments(optimizer, dict(models["model"].named_parameters()), part(tensors, "optimizer"), path)
    try:
        torch.set_rng_state(tensors["random/cpu"])
        if "random/cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random/cuda"])
        if "random/mps" in tensors and torch.backends.mps.is_available():
            torch.mps.set_rng_state(tensors["random/mps"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: no whole state of the random generators: {_others(path)}") from error
    return state


def _set_moments(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], moments: dict[str, Tensor], where: Path
) -> None:
    """Put the moments and step counts, by ``parameter/key``, into the optimiser. Raises ``UserError``."""
    for name, tensor in moments.items():
        parameter, _, key = name.rpartition("/")
        place = parameters.get(parameter)
        if place is None or not tensor.is_floating_point() or tensor.shape != (() if key == "step" else place.shape):
            raise UserError(f"{where}: the moments of another model ({name} does not fit the run's config)")
        if not tensor.isfinite().all():
            raise UserError(f"{where}: optimizer/{name} holds numbers that are not finite: {_others(where)}")
        # On the parameter's device, the step count too: the fused kernel reads it there.
        optimizer.state[place][key] = tensor.to(place.device)


def average(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights of several checkpoints that translate, summed in float64.

    Raises:
        UserError: checkpoints of different models, or with numbers that are not finite.
    """
    total: dict[str, Tensor] = {}
    for path in paths:
        weights = translating(read(path)[0])
        total = total or {name: torch.zeros(tensor.shape, dtype=torch.float64) for name, tensor in weights.items()}
        unlike = sorted(total.keys() ^ weights.keys()) or [n for n in total if total[n].shape != weights[n].shape]
        if unlike:
            raise UserError(
                f"{path}: another model than {paths[0]} ({unlike[0]} differs): no mean of the two is possible"
            )
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise UserError(f"{path}: {name} holds numbers that are not finite: leave it out")
            total[name] += tensor.double()
    return {name: (tensor / len(paths)).float() for name, tensor in total.items()}
