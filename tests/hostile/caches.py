"""Hostile files that this program has written itself and reads again: prepared corpora and checkpoints."""

from __future__ import annotations

import functools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.cases import DAMAGES, Case, Harm, altered, by, cut, flipped, found, put, with_, without

FOLDER = "cache/prepared/*"
PREPARED = [
    *("counts.json", "src.model", "tgt.model"),
    *(
        f"{split}.{side}.{end}"
        for split in ("train", "valid")
        for side in ("src", "tgt")
        for end in ("uint16", "offsets.npy")
    ),
    *("test.src.text.uint8", "test.src.text.offsets.npy"),
]


def again() -> object:
    """Open the world's prepared corpus, as a training that goes on does."""
    from seq2seq.data.encoded import prepare
    from seq2seq.runs.run import Run

    corpus = prepare(Run(Path("runs/bahdanau")).load_config().data)
    return [[split.src[row].tolist() for row in range(len(split))] for split in corpus.splits.values()]


def array(path: str, values: Any) -> Harm:
    """An array in place of another, in NumPy's own format."""
    return lambda folder: np.save(folder / path, values)


def filled(path: str, byte: int) -> Harm:
    """One byte in place of every byte."""
    return lambda folder: (folder / path).write_bytes(bytes([byte]) * (folder / path).stat().st_size)


def emptied(path: str) -> Harm:
    """An empty folder in place of a folder."""

    def harm(folder: Path) -> None:
        shutil.rmtree(folder / path)
        (folder / path).mkdir()

    return harm


def a_file(path: str) -> Harm:
    """A file in place of a folder."""

    def harm(folder: Path) -> None:
        shutil.rmtree(folder / path)
        (folder / path).write_bytes(b"")

    return harm


COUNTS: dict[str, Callable[[Any], Any]] = {
    "a list": lambda value: [1],
    "a number": lambda value: 3,
    "null": lambda value: dict.fromkeys(value),
    "no type": without("dtype"),
    "an unknown type": with_("dtype", "uint99"),
    "a type of objects": with_("dtype", "O"),
    "floats for ids": with_("dtype", "float32"),
    "a type that is a number": with_("dtype", 16),
    "a type with a path": with_("dtype", "../uint16"),
    "no train": without("train"),
    "train is a list": with_("train", []),
    "a negative count": lambda value: value["train"].update(kept=-1),
    "another count": lambda value: value["train"].update(kept=999),
    "text for a count": lambda value: value["train"].update(kept="many"),
    "NaN for a count": lambda value: value["train"].update(kept=float("nan")),
}


OFFSETS: dict[str, Any] = {
    "floats": np.linspace(0, 72, 19),
    "two dimensions": np.zeros((19, 2), np.int64),
    "no dimension": np.int64(3),
    "no numbers": np.zeros(0, np.int64),
    "falling": np.array([0, 9, 3, 72]),
    "negative": np.array([0, -9, 72]),
    "too far": np.array([0, 9, 1 << 40]),
    "not from 0": np.array([9, 72]),
    "fewer": np.array([0, 72]),
    "text": np.array(["0", "72"]),
    "complex numbers": np.zeros(19, complex),
}


def _prepared() -> Iterator[Case]:
    says = ("cache/prepared/", "delete it")
    for file in PREPARED:
        for name, (harm, more) in DAMAGES.items():
            yield Case(f"prepared: {file}: {name}", again, found(f"{FOLDER}/{file}", harm, *more), says)
    for name, change in COUNTS.items():
        yield Case(f"prepared: counts.json: {name}", again, found(f"{FOLDER}/counts.json", altered, change), says)
    for name, values in OFFSETS.items():
        harm = found(f"{FOLDER}/train.src.offsets.npy", array, values)
        yield Case(f"prepared: offsets: {name}", again, harm, says)
    yield Case("prepared: ids above the vocabulary", again, found(f"{FOLDER}/train.src.uint16", filled, 0xFF), says)
    yield Case("prepared: ids of zero", again, found(f"{FOLDER}/train.src.uint16", filled, 0), code=0)
    yield Case("prepared: a file for the folder", again, found(FOLDER, a_file), says)
    yield Case("prepared: an empty folder", again, found(FOLDER, emptied), says)


def prepared() -> Iterator[Case]:
    """The cache of a prepared corpus."""
    return (replace(case, parts=("cache", "runs/bahdanau/config.yaml")) for case in _prepared())


# ---------------------------------------------------------------------------------------------------------- checkpoints

BEST = "runs/bahdanau/checkpoints/best.safetensors"
LAST = "runs/cut/checkpoints/last.safetensors"
TRANSLATE = "translate runs/bahdanau --in test.src"


@functools.cache
def model() -> Any:
    """The model of ``runs/bahdanau``, without its weights."""
    from seq2seq.models.build import build
    from seq2seq.runs.run import Run

    return build(Run(Path("runs/bahdanau")).load_config().model, 20, 20)


def load() -> object:
    """Load weights as ``seq2seq translate`` does."""
    from seq2seq.runs.checkpoint import load_weights

    return load_weights(Path(BEST), model())


def saved(change: Callable[[dict[str, Any], dict[str, Any]], object], path: str = BEST, check: bool = False) -> Harm:
    """The tensors and the metadata of a checkpoint changed; without ``check``, nothing says that they are."""

    def harm(folder: Path) -> None:
        from safetensors import safe_open
        from safetensors.torch import save_file

        with safe_open(folder / path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        if not check:
            metadata.pop("crc32", None)
        change(tensors, metadata)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / path, metadata)

    return harm


def every(function: Callable[[Any], Any]) -> Callable[[dict[str, Any], Any], None]:
    """Each weight changed."""
    return lambda tensors, _: tensors.update({name: function(tensor) for name, tensor in tensors.items()})


def one(function: Callable[[Any], Any], prefix: str = "model/") -> Callable[[dict[str, Any], Any], None]:
    """The first tensor, in the order of the names, that begins with ``prefix`` changed."""

    def change(tensors: dict[str, Any], _: Any) -> None:
        name = min(name for name in tensors if name.startswith(prefix))
        tensors[name] = function(tensors[name])

    return change


def dropped(prefix: str) -> Callable[[dict[str, Any], Any], None]:
    """All tensors that begin with ``prefix`` left out."""

    def change(tensors: dict[str, Any], _: Any) -> None:
        for name in [name for name in tensors if name.startswith(prefix)]:
            del tensors[name]

    return change


def state(text: str) -> Callable[[Any, dict[str, Any]], None]:
    """Another plain state."""
    return lambda _, metadata: metadata.update(state=text)


def in_state(change: Callable[[Any], Any]) -> Callable[[Any, dict[str, Any]], None]:
    """The plain state changed."""

    def changed(_: Any, metadata: dict[str, Any]) -> None:
        value = json.loads(metadata["state"])
        other = change(value)
        metadata["state"] = json.dumps(value if other is None else other)

    return changed


def header(length: int, text: bytes = b"{}") -> bytes:
    """A file of safetensors that says it has a header of ``length`` bytes."""
    return length.to_bytes(8, "little") + text


HEADERS = {
    "empty": b"",
    "eight bytes": bytes(8),
    "a header of nothing": header(2),
    "a header longer than the file": header(1 << 20),
    "an absurd header": header((1 << 63) - 1),
    "a header of zeros": header(50, bytes(50)),
    "a header that is a list": header(2, b"[]"),
    "a header that is no JSON": header(9, b"{not JSON"),
    "a header that is not UTF-8": header(4, b"{\xff\xfe}"),
    "text": b"these are no weights\n" * 9,
    "a ZIP file": b"PK\x03\x04" + bytes(60),
    "a pickle's first bytes": b"\x80\x04\x95" + bytes(60),
    "garbage": random.Random(5).randbytes(4_000),
}
CHANGED: dict[str, tuple[Callable[[Any, Any], object], tuple[str, ...]]] = {
    "another program's": (lambda tensors, metadata: metadata.clear(), ("not a checkpoint of this program",)),
    "another kind": (lambda _, metadata: metadata.update(kind="x"), ("not a checkpoint of this program",)),
    "no state": (lambda _, metadata: metadata.pop("state"), ("damaged",)),
    "no tensors": (lambda tensors, _: tensors.clear(), ("the weights of another model",)),
    "a weight missing": (dropped("model/decoder."), ("the weights of another model",)),
    "a weight more": (lambda t, _: t.update({"model/more": next(iter(t.values())).clone()}), ("of another model",)),
    "names without their kind": (
        lambda t, _: [t.update({name.replace("model/", ""): t.pop(name)}) for name in list(t)],
        ("the weights of another model",),
    ),
    "a longer weight": (one(lambda t: t.repeat(2, *[1] * (t.dim() - 1))), ("the weights of another model",)),
    "a weight turned": (one(lambda t: t.reshape(1, -1)), ("the weights of another model",)),
    "an empty weight": (one(lambda t: t[:0]), ("the weights of another model",)),
    "a single number": (one(lambda t: t.reshape(-1)[0].clone()), ("the weights of another model",)),
    "float64": (every(lambda t: t.double()), ("the weights of another model",)),
    "float16": (every(lambda t: t.half()), ("the weights of another model",)),
    "bfloat16": (one(lambda t: t.bfloat16()), ("the weights of another model",)),
    "integers": (one(lambda t: t.int()), ("the weights of another model",)),
    "booleans": (one(lambda t: t.bool()), ("the weights of another model",)),
    "complex numbers": (one(lambda t: t.cfloat()), ("best.safetensors",)),
    "NaN": (one(lambda t: t * float("nan")), ("numbers that are not finite",)),
    "infinity": (one(lambda t: t / 0), ("numbers that are not finite",)),
    "one NaN": (one(lambda t: t.index_fill(0, t.new_zeros(1).long(), float("nan"))), ("not finite",)),
}
STATES: dict[str, Callable[[Any, Any], object]] = {
    "no JSON": state("{"),
    "a list": state("[]"),
    "a number": state("3"),
    "null": state("null"),
    "empty": state("{}"),
    "no step": in_state(lambda value: value["position"].pop("step")),
    "all null": in_state(lambda value: dict.fromkeys(value)),
    "all text": in_state(lambda value: dict.fromkeys(value, "x")),
    "all negative": in_state(lambda value: dict.fromkeys(value, -1)),
    "all lists": in_state(lambda value: {key: [] for key in value}),
    "all absurd": in_state(lambda value: dict.fromkeys(value, 10**30)),
    "all NaN": in_state(lambda value: {key: float("nan") for key in value}),
}
RESUME = "RESUME"
"""In place of a door: the training of ``runs/cut`` goes on."""


def checkpoints() -> Iterator[Case]:
    """Checkpoints, at the doors of those who translate, and of those who train on."""
    named = ("best.safetensors",)
    for name, content in HEADERS.items():
        yield Case(f"checkpoint: {name}", load, put(BEST, content), named)
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999):
        yield Case(f"checkpoint: cut at {share}", load, cut(BEST, share), named)
    for share in (0.0, 0.0005, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9999):
        yield Case(f"checkpoint: a byte flipped at {share}", load, flipped(BEST, share), named)
        yield Case(
            f"last: a byte flipped at {share}", RESUME, flipped(LAST, share), ("last.safetensors",), slow=share > 0
        )
    for name, (change, says) in CHANGED.items():
        yield Case(f"checkpoint: {name}", load, saved(change), (*named, *says))
    for verb, door in {
        "evaluate": "evaluate runs/bahdanau",
        "align": "align runs/bahdanau",
        "a checkpoint by its path": f"translate {BEST} --in test.src",
        "an ensemble": "translate runs/bahdanau runs/bahdanau --in test.src",
    }.items():
        for name in ("NaN", "float16", "a longer weight", "another program's"):
            change, says = CHANGED[name]
            yield Case(f"checkpoint: {name} at {verb}", door, saved(change), (*named, *says))
        yield Case(f"checkpoint: cut at {verb}", door, cut(BEST), named)
    export, weights = "export runs/transformer --to ctranslate2", "runs/transformer/checkpoints/best.safetensors"
    for name in ("NaN", "infinity", "a weight missing", "float16"):
        change, says = CHANGED[name]
        yield Case(f"checkpoint: {name} at export", export, saved(change, weights), (*named, *says))
    yield Case("checkpoint: cut at export", export, cut(weights), named)
    for name, (harm, more) in DAMAGES.items():
        if name != "missing":  # the training begins anew
            yield Case(f"last: {name}", RESUME, by(harm, LAST, more), ("last.safetensors",))
    for name, change in STATES.items():
        quick = name in ("null", "no step", "all absurd")
        yield Case(f"last: a state of {name}", RESUME, saved(change, LAST), ("last.safetensors",), slow=not quick)
    for name, change in {
        "no random generator": dropped("random/"),
        "a short random generator": one(lambda t: t[:9].clone(), "random/"),
        "a random generator of floats": one(lambda t: t.float(), "random/"),
        "moments of another shape": one(lambda t: t.reshape(-1)[:1].clone(), "optimizer/"),
        "moments of another type": one(lambda t: t.int(), "optimizer/"),
        "moments that are NaN": one(lambda t: t * float("nan"), "optimizer/"),
        "moments of nothing": lambda t, _: t.update({"optimizer/nothing/exp_avg": next(iter(t.values())).clone()}),
        "moments without a parameter": lambda t, _: t.update({"optimizer/x": next(iter(t.values())).clone()}),
        "weights that are NaN": one(lambda t: t * float("nan")),
        "a weight missing": dropped("model/decoder."),
    }.items():
        quick = name in ("no random generator", "moments of another shape", "weights that are NaN", "a weight missing")
        yield Case(f"last: {name}", RESUME, saved(change, LAST), ("last.safetensors",), slow=not quick)
    for side in ("src", "tgt"):
        file = f"runs/bahdanau/subwords/{side}.model"
        for name, (harm, more) in DAMAGES.items():
            yield Case(f"subwords: {side}.model: {name}", TRANSLATE, by(harm, file, more), ("runs/bahdanau/subwords",))
