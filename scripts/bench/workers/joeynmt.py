"""JoeyNMT 2.3 as a contender: its TrainManager, its model, its search functions, in this process.

Knows JoeyNMT's config dictionary and the calls that its own ``train`` makes. It has token batches but no bucketing by
length, no mixed precision on the CPU, and no decoder without attention: it is measured as it is. It reads tokens
separated by spaces (its ``word`` level), so that it needs no subword model.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.bench.workers.contender import INPUT_FEEDING, Tokens, TorchContender, lines_of, settings
from scripts.bench.workers.protocol import Channel


def config_of(spec: dict[str, Any]) -> dict[str, Any]:
    """The config of ``joeynmt train`` for a SPEC."""
    data = Path(spec["data"])
    computed = {
        "run_folder": str(Path(spec["scratch"]) / "joeynmt"),
        "use_cuda": spec["device"] == "cuda",
        "fp16": spec["precision"] != "fp32",
        "train": str(data / "train.tokens"),  # JoeyNMT appends .src and .tgt
        "valid": str(data / "valid.tokens"),
        "vocabulary_file": str(data / "vocab.txt"),
    }
    return settings("joeynmt", {**spec, **spec["size"], **computed})


class JoeyNMT(TorchContender):
    """JoeyNMT's model, data and TrainManager, made as ``joeynmt train`` makes them."""

    def unable(self) -> str | None:
        if self.spec["model"] == "lstm":
            return "JoeyNMT has no decoder without attention"
        if self.spec["device"] == "cpu" and self.spec["precision"] != "fp32":
            return "JoeyNMT has no mixed precision on the CPU (it switches fp16 off there)"
        return None

    def build(self) -> None:
        from joeynmt import __version__
        from joeynmt.config import parse_global_args
        from joeynmt.helpers import set_seed
        from joeynmt.prediction import prepare
        from joeynmt.transformer_layers import MultiHeadedAttention

        self.version, config = __version__, config_of(self.spec)
        Path(config["model_dir"]).mkdir(parents=True, exist_ok=True)
        self.args = parse_global_args(config, rank=0, mode="train")
        set_seed(self.spec["seed"])
        self.model, self.training_data, self.validation_data, _ = prepare(self.args, rank=0, mode="train")
        for module in self.model.modules():
            if isinstance(module, MultiHeadedAttention):
                module.dropout.p = 0.0  # no dropout of attention weights: ours has none

    def batch(self, sources: list[Tokens], targets: list[Tokens] | None = None) -> Any:
        """A JoeyNMT batch of tokens, in descending order of source length, which the framework requires."""
        data = self.training_data if targets else self.validation_data
        pairs = list(zip(range(len(sources)), sources, targets or itertools.repeat(None)))  # noqa: B905
        has, data.has_trg = data.has_trg, targets is not None
        ids = {"pad_index": self.model.pad_index, "eos_index": self.model.eos_index}
        batch = data.collate_fn(pairs, device=self.args.device, **ids)
        data.has_trg = has
        return batch

    # -------------------------------------------------------------------------------------------------------- training

    def prepare_training(self) -> dict[str, Any]:
        from joeynmt.training import TrainManager

        args, make = self.args, self.training_data.make_iter
        named = ("model_dir", "device", "n_gpu", "num_workers", "autocast", "seed")
        options = {name: getattr(args, name) for name in named}
        self.trainer = TrainManager(model=self.model, rank=0, train_args=args.train, dev_args=args.test, **options)
        self.some = [lines_of(self.data / f"train.tokens.{side}", 32) for side in ("src", "tgt")]
        self.training_data.make_iter = lambda **options: Paced(make(**options), self.channel)
        self.notes = ["token batches without bucketing (it has none); torch Adam (no option for the fused one)"]
        if self.spec["model"] != "transformer":
            self.notes.append(INPUT_FEEDING)
        if self.spec["precision"] == "fp32":
            return {}
        self.notes.append("its mixed precision is fp16")
        return {"precision": "fp16"}

    def train(self) -> None:
        self.trainer.train_and_validate(self.training_data, self.validation_data)

    def losses(self) -> tuple[Any, Any]:
        from joeynmt.loss import XentLoss
        from torch.nn.functional import cross_entropy

        model, batch = self.model, self.batch(*self.some)
        batch.sort_by_src_length()
        smoothed, model._loss_function = model._loss_function, XentLoss(pad_index=model.pad_index, smoothing=0.0)
        loss, _, _, _ = model(return_type="loss", **vars(batch))
        model._loss_function = smoothed
        logits, _, _, _ = model._encode_decode(**vars(batch))
        recomputed = cross_entropy(logits.flatten(0, 1).float(), batch.trg.flatten(), ignore_index=model.pad_index)
        return loss / batch.ntokens, recomputed

    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        longest = 2 * len(sources[0]) + 10
        found = self.found(self.batch(sources), max_output_length=longest, beam_size=1, beam_alpha=-1)
        sentences: list[Tokens] = self.model.trg_vocab.arrays_to_sentences(arrays=found, cut_at_eos=True)
        return sentences

    # -------------------------------------------------------------------------------------------------------- decoding

    def found(self, batch: Any, **options: Any) -> Any:
        """Ids (sentences, length) found by JoeyNMT's own search; it sorts the batch, as ``predict`` does."""
        from joeynmt.search import search

        found, _, _ = search(model=self.model, batch=batch, autocast=self.args.autocast, **options)
        return found

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        self.model.eval()
        self.options = {"max_output_length": length, "min_output_length": length, "beam_size": beam, "beam_alpha": 1.0}
        if self.spec["model"] == "transformer":
            self.notes = ["its Transformer decodes without a cache"]

    def search(self, batch: list[Tokens]) -> Iterable[int]:
        return map(len, self.found(self.batch(batch), **self.options))


class Paced:
    """JoeyNMT's data loader; it yields a batch only after the update before, and as long as the channel is open."""

    def __init__(self, loader: Any, channel: Channel) -> None:
        self.loader, self.channel, self.batch_sampler = loader, channel, loader.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if not self.channel.begin():
            sys.exit(0)
        for batch in self.loader:
            yield batch
            if not self.channel.update(int(batch.ntokens)):
                sys.exit(0)


if __name__ == "__main__":
    JoeyNMT(Channel()).run()
