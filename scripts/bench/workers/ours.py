"""Our own worker: the training loop of ``seq2seq train``, and the search of ``seq2seq translate``.

The config is composed from ``key=value`` arguments as on the command line, and ``Trainer.train`` runs as it does for a
user, with the channel behind each update. Validations and checkpoints are switched off, as for all contenders.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from scripts.bench.workers import inspections
from scripts.bench.workers.contender import IdContender, Tokens, decoding_batches
from scripts.bench.workers.flops import update_flops
from scripts.bench.workers.protocol import Channel
from seq2seq.config.compose import compose
from seq2seq.config.schema import EOS, PAD, Config, DecodeConfig
from seq2seq.data.batches import Batch, pad
from seq2seq.data.encoded import prepare
from seq2seq.decoding.search import search
from seq2seq.evaluation.evaluate import evaluating
from seq2seq.models.build import build
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.models.loss import sequence_loss
from seq2seq.runs import checkpoint
from seq2seq.runs.loading import load
from seq2seq.runs.run import Run, find
from seq2seq.system.devices import autocast, choose_device, choose_precision, prepare_process
from seq2seq.training.trainer import Trainer

NEVER = 1_000_000_000
PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def model_arguments(spec: dict[str, Any]) -> list[str]:
    """Our arguments for the sizes of SPEC.json."""
    size, model = spec["size"], spec["model"]
    arguments = [f"model={model}", f"model.embedding={size['embedding']}", f"model.dropout={spec['dropout']}"]
    if model == "transformer":
        return arguments + [
            f"model.{part}.{key}={size[key]}"
            for part in ("encoder", "decoder")
            for key in ("width", "layers", "heads", "feed_forward")
        ]
    last = "attention_width" if model == "bahdanau" else "context_width"
    width = size["attention"] if model == "bahdanau" else size["decoder"]
    arguments += [f"model.encoder.width={size['encoder']}", f"model.decoder.width={size['decoder']}"]
    return [*arguments, f"model.decoder.{last}={width}"]


def config_of(spec: dict[str, Any]) -> Config:
    """The config of the whole SPEC, composed as ``seq2seq train`` composes it."""
    optimizer = {"lr": spec["lr"], "warmup_steps": spec["warmup"], "clip_norm": spec["clip_norm"]}
    optimizer["schedule"] = spec.get("schedule", "inverse_sqrt")
    trainer = {
        "batch_tokens": spec["batch_tokens"],
        "label_smoothing": spec["label_smoothing"],
        "precision": spec["precision"],
        "threads": spec["threads"],
        "max_tokens": spec.get("max_tokens", NEVER),
        "ema": spec.get("ema", 0.0),
        "valid_every": NEVER,
        "save_every": NEVER,
    }
    arguments = [f"trainer.{key}={value}" for key, value in trainer.items()]
    arguments += [f"trainer.optimizer.{key}={value}" for key, value in optimizer.items()]
    about = [f"seed={spec['seed']}", f"device={spec['device']}"]
    return compose([*spec["arguments"], *model_arguments(spec), *arguments, *about, *spec.get("more", [])])


class Stop(Exception):
    """The benchmark has ended."""


class Measured(Trainer):
    """The trainer, with the channel behind each update."""

    channel: Channel

    def _update(self, batches: list[Batch]) -> None:
        before = self.state.tokens
        super()._update(batches)
        if not self.channel.update(self.state.tokens - before):
            raise Stop


class Ours(IdContender):
    """Trainer, Translator and search of the package; also the tasks that only ours is asked for."""

    version = torch.__version__
    together = 1_000_000  # our Translator makes the batches

    def build(self) -> None:
        prepare_process()
        self.config = config_of(self.spec)
        self.corpus = prepare(self.config.data)
        torch.manual_seed(self.config.seed)
        self.model = build(self.config.model, *self.corpus.subwords.sizes)
        self.device = choose_device(self.config.device)
        self.precision = choose_precision(self.config.trainer.precision, self.device)
        self.cast = autocast(self.device, self.precision)

    def tasks(self) -> dict[str, Callable[[], None]]:
        return {**super().tasks(), "save": self.save, "profile": self.profile, "lengths": self.lengths}

    def ready(self, **more: Any) -> None:
        super().ready(precision=PRECISIONS[self.precision], **more)

    # -------------------------------------------------------------------------------------------------------- training

    def new_run(self) -> Run:
        """A run folder that nothing was trained in."""
        run = Run(Path(self.spec["scratch"]) / "run" / str(time.time_ns()))
        run.folder.mkdir(parents=True)
        return run

    def prepare_training(self) -> dict[str, Any]:
        self.trainer = Measured(self.config, self.corpus, self.model, self.new_run(), self.device)
        self.trainer.channel, batches = self.channel, self.trainer.batches
        some = [batches.load(rows, 0, n) for n, rows in enumerate(itertools.islice(batches.shard(0), 50))]
        self.fixed = some[0].to(self.device)
        flops = sum(update_flops(self.spec, batch.src.shape, batch.tgt_out.shape, batch.tokens) for batch in some)
        return {"flops_per_token": flops / sum(batch.tokens for batch in some)}

    def train(self) -> None:
        if self.channel.begin():
            with contextlib.suppress(Stop):
                self.trainer.train()
                self.channel.finish()

    def losses(self) -> tuple[Any, Any]:
        fixed, model = self.fixed, self.model
        with self.cast():
            hidden = model(fixed.src, fixed.tgt_in).hidden
            own = sequence_loss(model, hidden, fixed.tgt_out, 0.0).nll / int((fixed.tgt_out != PAD).sum())
            logits = model.logits(hidden).float()
        return own, F.cross_entropy(logits.transpose(1, 2), fixed.tgt_out, ignore_index=PAD)

    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        texts = ["".join(tokens).replace("▁", " ").removeprefix(" ") for tokens in sources]
        with evaluating(self.trainer.translator.models):
            found = self.trainer.translator.translate(texts, DecodeConfig(beam=1))
        return [best[0].tgt_tokens for best in found]

    # -------------------------------------------------------------------------------------------------------- decoding

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        if self.spec.get("run"):
            self.model = load([find(Path(self.spec["run"]))], self.config).translator.models[0]
        self.model.to(self.device).eval()
        self.options = inspections.exactly(length, beam)

    def decode(self) -> None:
        with prepacked_weights():  # as when a file of many batches is translated
            super().decode()

    def search(self, batch: list[list[int]]) -> Iterable[int]:
        with self.cast():
            found = search([self.model], self.padded(batch), self.options)
        return [len(best[0].ids) + 1 for best in found]

    def padded(self, rows: list[list[int]]) -> torch.Tensor:
        """Ids (B, S), PAD behind."""
        return torch.from_numpy(pad(rows)).to(self.device)

    # ------------------------------------------------------------------------------------ tasks that only ours is given

    def save(self) -> None:
        """Write a run folder of the model with its initial weights, for the export and to decode the same weights.

        EOS is made likely, because the export checks itself on translations of free length, and random weights write
        as long as they may. The benchmark's own searches forbid EOS before the last token.
        """
        with torch.no_grad():
            self.model.output.bias[EOS] = 20.0
        run = Run(Path(self.spec["run"]))
        run.folder.mkdir(parents=True, exist_ok=True)
        self.corpus.subwords.save(run.subwords)
        run.save_config(self.config)
        run.checkpoint("best").parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save_weights(run.checkpoint("best"), checkpoint.weights_of(self.model), {})
        self.ready()

    def profile(self) -> None:
        """Report a profile of our updates."""
        found = inspections.profile_of(self.config, self.corpus, self.model, self.new_run(), self.device)
        self.ready(answer=found)

    def lengths(self) -> None:
        """Report seconds of decoding by the length of the output, on a batch of middling source length."""
        batch = self.padded(self.encode(decoding_batches(self.data, 64)[4]))
        model = self.model.to(self.device).eval()
        self.ready(answer={"seconds": inspections.seconds_by_length(self.spec["lengths"], model, batch, self.cast)})


if __name__ == "__main__":
    Ours(Channel()).run()
