"""JoeyNMT 2.3 as a contender: its TrainManager, its model, its search functions, in this process.

Knows JoeyNMT's config dictionary and the calls that its own ``train`` makes. It has token batches but no bucketing by
length, no mixed precision on the CPU, and no decoder without attention: it is measured as it is. The text comes as
pieces separated by spaces (its ``word`` level), which saves it the subword model.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gate import Gate

NEVER = 1_000_000_000
SENTENCES = 1_000  # of the test set, as all contenders decode


def data_section(spec: dict[str, Any]) -> dict[str, Any]:
    """The ``data:`` section: files are named PREFIX.src and PREFIX.tgt."""
    data = Path(spec["data"])
    side = {"level": "word", "voc_file": str(data / "vocab.txt")}
    return {
        "train": str(data / "train.pieces"),
        "dev": str(data / "valid.pieces"),
        "dataset_type": "plain",
        "src": {**side, "lang": "src"},
        "trg": {**side, "lang": "tgt"},
    }


def model_section(spec: dict[str, Any]) -> dict[str, Any]:
    """The ``model:`` section for a SPEC."""
    size, dropout = spec["size"], spec["dropout"]
    if spec["model"] == "transformer":
        layers = {
            "type": "transformer",
            "num_layers": size["layers"],
            "num_heads": size["heads"],
            "embeddings": {"embedding_dim": size["embedding"], "scale": True, "dropout": dropout},
            "hidden_size": size["width"],
            "ff_size": size["feed_forward"],
            "dropout": dropout,
            "layer_norm": "pre",
            "activation": "relu",
        }
        return {"tied_embeddings": True, "tied_softmax": True, "encoder": layers, "decoder": dict(layers)}
    side = {
        "type": "recurrent",
        "rnn_type": "lstm",
        "num_layers": 1,
        "embeddings": {"embedding_dim": size["embedding"], "scale": False, "dropout": dropout},
        "dropout": dropout,
    }
    decoder = {
        **side,
        "hidden_size": size["decoder"],
        "hidden_dropout": dropout,
        "attention": "bahdanau",
        "input_feeding": True,
        "init_hidden": "bridge",
    }
    encoder = {**side, "hidden_size": size["encoder"], "bidirectional": True}
    return {"tied_embeddings": True, "tied_softmax": False, "encoder": encoder, "decoder": decoder}


def config_of(spec: dict[str, Any]) -> dict[str, Any]:
    """A whole JoeyNMT config for a SPEC."""
    return {
        "name": "bench",
        "model_dir": str(Path(spec["scratch"]) / "joeynmt"),
        "use_cuda": spec["device"] == "cuda",
        "fp16": spec["precision"] != "fp32",  # its only mixed precision, and only on a GPU
        "random_seed": spec["seed"],
        "num_workers": 0,  # with more it would move batches to a GPU in forked processes, which CUDA refuses
        "data": data_section(spec),
        "model": model_section(spec),
        "testing": {"beam_size": 1, "batch_size": 64, "batch_type": "sentence"},
        "training": {
            "optimizer": "adam",
            "adam_betas": [0.9, 0.98],
            "learning_rate": spec["lr"],
            "learning_rate_min": 0.0,
            "learning_rate_warmup": spec["warmup"],
            "scheduling": "warmupinversesquareroot",
            "clip_grad_norm": spec["clip_norm"],
            "label_smoothing": spec["label_smoothing"],
            "normalization": "tokens",
            "batch_size": spec["batch_tokens"],
            "batch_type": "token",
            "shuffle": True,
            "epochs": NEVER,
            "updates": NEVER,
            "validation_freq": NEVER,
            "logging_freq": 1_000,
            "keep_best_ckpts": 0,
        },
    }


class Prepared:
    """What ``joeynmt train`` has in hand before its loop begins."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from joeynmt.config import parse_global_args
        from joeynmt.helpers import set_seed
        from joeynmt.prediction import prepare
        from joeynmt.transformer_layers import MultiHeadedAttention

        config = config_of(spec)
        Path(config["model_dir"]).mkdir(parents=True, exist_ok=True)
        self.args = parse_global_args(config, rank=0, mode="train")
        set_seed(spec["seed"])
        self.model, self.training_data, self.validation_data, _ = prepare(self.args, rank=0, mode="train")
        for module in self.model.modules():
            if isinstance(module, MultiHeadedAttention):
                module.dropout.p = 0.0  # of the attention weights: ours has none

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def batch(self, sources: list[list[str]], targets: list[list[str]] | None = None) -> Any:
        """A JoeyNMT batch of pieces, in descending order of source length as the framework wants it."""
        data = self.training_data if targets else self.validation_data
        pairs = list(zip(range(len(sources)), sources, targets or [None] * len(sources), strict=True))
        has = data.has_trg
        data.has_trg = targets is not None
        batch = data.collate_fn(
            pairs, pad_index=self.model.pad_index, eos_index=self.model.eos_index, device=self.args.device
        )
        data.has_trg = has
        return batch

    def search(self, batch: Any, **options: Any) -> Any:
        """Ids (sentences, length) found by JoeyNMT's own search; the batch is sorted by it, as ``predict`` does."""
        from joeynmt.search import search

        found, _, _ = search(model=self.model, batch=batch, autocast=self.args.autocast, **options)
        return found


class Gated:
    """JoeyNMT's data loader, which lets one batch through when the update before is done and the gate is open."""

    def __init__(self, loader: Any, gate: Gate) -> None:
        self.loader, self.gate, self.batch_sampler = loader, gate, loader.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if not self.gate.begin():
            sys.exit(0)
        for batch in self.loader:
            yield batch
            if not self.gate.update(int(batch.ntokens)):
                sys.exit(0)


def noting(gate: Gate, ready: Prepared) -> Any:
    """JoeyNMT's loss, the sum of whose un-smoothed nll the gate is told; it has the log-probabilities in hand."""
    from joeynmt.loss import XentLoss

    class Noting(XentLoss):
        def forward(self, log_probs: Any, **batch: Any) -> Any:
            loss = super().forward(log_probs, **batch)
            target = batch["trg"].unsqueeze(-1)
            nll = -log_probs.detach().gather(-1, target).masked_fill(target == self.pad_index, 0.0).sum()
            gate.loss(nll, int((target != self.pad_index).sum()))
            return loss

    return Noting(pad_index=ready.model.pad_index, smoothing=ready.args.train.label_smoothing)


def checker(ready: Prepared, sources: list[list[str]], targets: list[list[str]]) -> Callable[[], dict[str, float]]:
    """JoeyNMT's loss without smoothing against cross-entropy of its logits."""
    import torch
    from joeynmt.loss import XentLoss

    plain = XentLoss(pad_index=ready.model.pad_index, smoothing=0.0)

    @torch.no_grad()
    def check() -> dict[str, float]:
        model = ready.model.eval()
        batch = ready.batch(sources, targets)
        batch.sort_by_src_length()
        noting_loss, model._loss_function = model._loss_function, plain
        loss, _, _, _ = model(return_type="loss", **vars(batch))
        model._loss_function = noting_loss
        logits, _, _, _ = model._encode_decode(**vars(batch))
        recomputed = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), batch.trg.flatten(), ignore_index=model.pad_index
        )
        model.train()
        return {"own": float(loss) / batch.ntokens, "recomputed": float(recomputed)}

    return check


def translate(ready: Prepared, sources: list[list[str]]) -> list[list[str]]:
    """Greedy translations in the order given, in batches of similar length."""
    ready.model.eval()
    order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
    answers: list[list[str]] = [[] for _ in sources]
    for first in range(0, len(order), 64):
        numbers = order[first : first + 64]
        batch = ready.batch([sources[number] for number in numbers])
        longest = 2 * len(sources[numbers[0]]) + 10
        found = ready.search(batch, max_output_length=longest, beam_size=1, beam_alpha=-1)
        pieces = ready.model.trg_vocab.arrays_to_sentences(arrays=found, cut_at_eos=True)
        for number, sentence in zip(numbers, pieces, strict=True):
            answers[number] = [piece for piece in sentence if piece not in ("</s>", "<s>", "<pad>")]
    ready.model.train()
    return answers


def rows_of(path: Path, limit: int) -> list[list[str]]:
    """The first sentences of a file of pieces."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [line.rstrip("\n").split(" ") for line in itertools.islice(lines, limit)]


def real_share(ready: Prepared, batches: int = 20) -> float:
    """Share of a batch's target positions that are not padding."""
    args, real, all_of_them = ready.args, 0, 0
    loader = ready.training_data.make_iter(
        batch_size=args.train.batch_size,
        batch_type="token",
        shuffle=True,
        pad_index=ready.model.pad_index,
        eos_index=ready.model.eos_index,
    )
    for batch in itertools.islice(loader, batches):
        real, all_of_them = real + batch.ntokens, all_of_them + batch.trg.numel()
    return round(real / all_of_them, 3)


def train(gate: Gate) -> None:
    from joeynmt import __version__
    from joeynmt.training import TrainManager

    ready = Prepared(gate.spec)
    args = ready.args
    ready.model._loss_function = noting(gate, ready)
    trainer = TrainManager(
        model=ready.model,
        model_dir=args.model_dir,
        device=args.device,
        n_gpu=args.n_gpu,
        rank=0,
        num_workers=args.num_workers,
        autocast=args.autocast,
        seed=args.seed,
        train_args=args.train,
        dev_args=args.test,
    )
    data = Path(gate.spec["data"])
    some = [rows_of(data / f"train.pieces.{side}", 32) for side in ("src", "tgt")]
    gate.on_check(checker(ready, *some))
    gate.on_translate(lambda sources: translate(ready, sources))
    share = real_share(ready)
    make = ready.training_data.make_iter
    ready.training_data.make_iter = lambda **options: Gated(make(**options), gate)
    about = {"real_share": share, **({"precision": "fp16"} if gate.spec["precision"] != "fp32" else {})}
    gate.ready(version=__version__, parameters=ready.parameters, notes=notes_of(gate.spec), **about)
    trainer.train_and_validate(ready.training_data, ready.validation_data)


def notes_of(spec: dict[str, Any]) -> list[str]:
    """What differs from the SPEC's model."""
    notes = ["token batches without bucketing (it has none); torch Adam (no option for the fused one)"]
    if spec["model"] != "transformer":
        notes.append(
            "attention as wide as the decoder, input feeding, output untied (its width is not the embedding's)"
        )
    if spec["precision"] != "fp32":
        notes.append("its mixed precision is fp16")
    return notes


def decode(gate: Gate) -> None:
    from joeynmt import __version__

    spec, options = gate.spec, gate.spec["decode"]
    ready, length, size = Prepared(spec), options["length"], options["batch"]
    ready.model.eval()
    rows = sorted(rows_of(Path(spec["data"]) / "test.pieces.src", SENTENCES), key=len, reverse=True)
    batches = [rows[first : first + size] for first in range(0, max(len(rows) - size, 0) + 1, size)]
    asked = {"max_output_length": length, "min_output_length": length, "beam_size": options["beam"], "beam_alpha": 1.0}
    notes = ["its Transformer decodes without a cache"] if spec["model"] == "transformer" else []
    gate.ready(version=__version__, parameters=ready.parameters, notes=notes)
    for sources in gate.batches(itertools.cycle(batches), lambda sources: len(sources) * length):
        found = ready.search(ready.batch(sources), **asked)
        if found.shape != (len(sources), length):
            raise RuntimeError(f"hypotheses of {found.shape} where {length} tokens were asked for")


def main() -> None:
    gate = Gate()
    if gate.spec["model"] == "lstm":
        gate.fail("JoeyNMT has no decoder without attention")
    if gate.spec["device"] == "cpu" and gate.spec["precision"] != "fp32":
        gate.fail("JoeyNMT has no mixed precision on the CPU (it switches fp16 off there)")
    import torch

    torch.set_num_threads(gate.spec["threads"])
    (train if gate.spec["task"] == "train" else decode)(gate)


if __name__ == "__main__":
    main()
