"""eole 0.6, the successor of OpenNMT-py, as a contender: its Trainer, data iterator and Translator, in this process.

Knows eole's config objects and the calls that its own ``eole train`` and ``eole predict`` make. Settings follow its
WMT17 recipe (token batches from buckets sorted by length, sentences a multiple of 8, loss normalised by tokens), with
the SPEC's sizes and rates. On the CPU it reads without worker processes: they would take the cores from training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.bench.workers.contender import INPUT_FEEDING, Tokens, TorchContender, settings
from scripts.bench.workers.protocol import Channel

ENDLESS = 10_000_000  # updates
REAL = 0.8  # approximate share of a batch's positions that hold target tokens: turns a number of tokens into updates
GREEDY = {"top_k": 1, "beam_size": 1}  # without the second it decodes five equal copies of each sentence


def schedule(spec: dict[str, Any]) -> dict[str, Any]:
    """The learning rate and its decay in eole's terms, the highest rate being the SPEC's."""
    if spec.get("schedule") == "cosine":
        updates = int(spec["max_tokens"] / (REAL * spec["batch_tokens"]))
        return {"decay_method": "cosine", "learning_rate": spec["lr"], "train_steps": updates}
    width = spec["size"]["width" if spec["model"] == "transformer" else "decoder"]
    peak = spec["lr"] * (width * spec["warmup"]) ** 0.5  # noam's highest factor is 1 / sqrt(width * warmup)
    return {"decay_method": "noam", "learning_rate": peak, "train_steps": ENDLESS}


def config_of(spec: dict[str, Any], pairs: int) -> dict[str, Any]:
    """The config of ``eole train`` for a SPEC and a corpus of so many pairs."""
    cuda, transformer, data = spec["device"] == "cuda", spec["model"] == "transformer", Path(spec["data"])
    if not transformer and 2 * spec["size"]["encoder"] != spec["size"]["decoder"]:
        raise ValueError("eole wants the decoder as wide as both directions of the encoder together")
    computed = {
        "vocabulary_file": str(data / "vocab.txt"),
        "train_src": str(data / "train.tokens.src"),
        "train_tgt": str(data / "train.tokens.tgt"),
        "run_folder": str(Path(spec["scratch"]) / "eole"),
        "gpu_ranks": [0] if cuda else [],
        "num_workers": 2 if cuda else 0,
        "bucket_size": min(pairs, 262_144),
        "average_decay": 1 - spec["ema"] if spec.get("ema") else 0.0,  # the share of the new weights
        "param_init": 0.0 if transformer else 0.1,
        "param_init_method": "xavier_uniform" if transformer else "uniform",
    }
    return settings("eole", {**spec, **spec["size"], **computed, **schedule(spec)})


class Eole(TorchContender):
    """eole's config, vocabulary, model and Trainer, made as ``eole train`` makes them."""

    together = 1_000_000  # eole makes batches of 64 itself

    def build(self) -> None:
        from eole import __version__
        from eole.config.run import TrainConfig
        from eole.models.model import get_model_class
        from eole.train_single import TrainingInitializer, configure_process

        with (self.data / "train.tokens.src").open("rb") as lines:
            pairs = sum(1 for _ in lines)
        self.version, self.device_id = __version__, 0 if self.spec["device"] == "cuda" else -1
        config = TrainConfig(**config_of(self.spec, pairs))
        configure_process(config, self.device_id)
        context = TrainingInitializer(config).initialize()
        self.config, self.vocabs, self.transforms = context.config, context.vocabs, context.transforms
        made = get_model_class(self.config.model).for_training
        self.model = made(self.config.model, self.vocabs, self.config.training, device_id=self.device_id)
        if self.spec["model"] == "lstm":
            # Without attention its decoder hands nn.LSTM's transposed output on, on which its loss fails (`view`).
            self.model.decoder.register_forward_hook(
                lambda _module, _inputs, output: (output[0].contiguous(), output[1])
            )

    # -------------------------------------------------------------------------------------------------------- training

    def prepare_training(self) -> dict[str, Any]:
        from eole.constants import CorpusTask
        from eole.inputters.dynamic_iterator import build_dynamic_dataset_iter
        from eole.trainer import build_trainer
        from eole.utils.optimizers import Optimizer

        optimizer = Optimizer.from_config(self.model, self.config)
        self.trainer = build_trainer(self.config, self.device_id, self.model, self.vocabs, optimizer)
        how = {"task": CorpusTask.TRAIN, "device_id": self.device_id}
        batches = iter(build_dynamic_dataset_iter(self.config, self.transforms, self.vocabs, **how))
        first = next(batches)
        self.first, self.batches = first[0], itertools.chain([first], batches)
        self.notes = notes_of(self.spec)
        return {}

    def tokens(self, batch: tuple[dict[str, Any], int]) -> int:
        """Target tokens of a batch, without padding."""
        return int(batch[0]["tgt"][:, 1:].ne(self.trainer.train_loss.padding_idx).sum())

    def train(self) -> None:
        self.trainer.train(self.channel.batches(self.batches, self.tokens), ENDLESS, save_checkpoint_steps=0)

    def losses(self) -> tuple[Any, Any]:
        from eole.utils.loss import LossCompute
        from torch.nn.functional import cross_entropy

        plain, batch = LossCompute.from_config(self.config, self.model, self.vocabs, train=False), self.first
        plain.criterion.label_smoothing = 0.0
        hidden, attentions, _ = self.model(batch["src"], batch["tgt"], batch["srclen"])
        _, statistics, _ = plain(batch, hidden, attentions)
        logits = self.model.generator(hidden).float().flatten(0, 1)
        recomputed = cross_entropy(logits, batch["tgt"][:, 1:].flatten(), ignore_index=plain.padding_idx)
        return statistics.loss / statistics.n_tokens, recomputed

    def translate(self, sources: list[Tokens]) -> list[Tokens]:
        """With the moving average of the weights where there is one, as eole's own validation does."""
        own = [parameter.data for parameter in self.model.parameters()]
        self.put(self.trainer.moving_average or own)
        answers = super().translate(sources)
        self.put(own)
        return answers

    def put(self, weights: list[Any]) -> None:
        """Replace the weights of the model's parameters."""
        for parameter, weight in zip(self.model.parameters(), weights, strict=True):
            parameter.data = weight

    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        self.set_up_search(batch_size=64, **GREEDY, max_length_ratio=2, max_length=500)
        answers: list[Tokens] = [[] for _ in sources]
        for batch in self.inference_batches(sources):
            found = self.translator.predict_batch(batch, attn_debug=False)
            for number, best in zip(batch["cid_line_number"], found["predictions"], strict=True):
                answers[number] = [self.vocabs["tgt"].lookup_index(index) for index in best[0].tolist()]
        return answers

    # -------------------------------------------------------------------------------------------------------- decoding

    def set_up_search(self, **decoding: Any) -> None:
        """eole's Translator over the model as it is now; ``decoding`` as in an inference config."""
        from eole.config.run import PredictConfig
        from eole.predict import GNMTGlobalScorer, Translator

        running, model = self.config.training, self.config.model
        self.searching = PredictConfig(
            model_path=[running.model_path],
            src="",
            compute_dtype=running.compute_dtype,
            share_vocab=True,
            transforms=[],
            model=model,
            gpu_ranks=running.gpu_ranks,
            **decoding,
        )
        scorer = GNMTGlobalScorer.from_config(self.searching)
        how = {"device_id": self.device_id, "global_scorer": scorer, "report_score": False}
        self.translator = Translator(self.model, self.vocabs, self.searching, model, **how)

    def inference_batches(self, sources: list[Tokens]) -> list[dict[str, Any]]:
        """eole's own inference batches of source tokens."""
        from eole.constants import CorpusTask
        from eole.inputters.dynamic_iterator import build_dynamic_dataset_iter

        lines = [" ".join(tokens) for tokens in sources]
        how = {"task": CorpusTask.INFER, "src": lines, "device_id": self.device_id}
        return [batch for batch, _ in build_dynamic_dataset_iter(self.searching, {}, self.vocabs, **how)]

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        import torch

        half = self.spec["precision"] == "bf16"
        self.model.eval().to(torch.bfloat16 if half else torch.float32)
        exactly = {"min_length": length, "max_length": length, "max_length_ratio": 0}
        search = GREEDY if beam == 1 else {"beam_size": beam}
        self.set_up_search(batch_size=batch, fuse_kvq=True, **exactly, **search)
        self.notes = ["its Translator, weights in bf16" if half else "its Translator"]

    def search(self, batch: list[Tokens]) -> Iterable[int]:
        for part in self.inference_batches(batch):
            found = self.translator.predict_batch(part, attn_debug=False)
            yield from (len(best[0]) for best in found["predictions"])


def notes_of(spec: dict[str, Any]) -> list[str]:
    """Differences from the SPEC's model and training."""
    notes = ["torch Adam, for each tensor together (no option for the fused one)", "sources without EOS"]
    if spec["model"] == "bahdanau":
        notes.append(INPUT_FEEDING)
    if spec["model"] == "lstm":
        notes.append("context as the decoder's first state only, output untied; its decoder's output made contiguous")
    if spec["model"] != "transformer":
        notes.append("the encoder reads padding (not packed)")
    if spec.get("ema"):
        notes.append("translates with its own moving average of weights (average_decay)")
    return notes


if __name__ == "__main__":
    Eole(Channel()).run()
