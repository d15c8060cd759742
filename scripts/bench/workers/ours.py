"""Our own worker: the very loop of ``seq2seq train``, and the very search of ``seq2seq translate``.

The config is composed from ``key=value`` arguments as on the command line, and ``Trainer.train`` runs as it does for a
user; the gate stands behind each update. Validations, and the checkpoints between them, are set aside for all.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gate import Gate
from products import update_operations

gate = Gate()

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from seq2seq.config.compose import compose  # noqa: E402
from seq2seq.config.schema import EOS, PAD, UNK, Config, DecodeConfig  # noqa: E402
from seq2seq.data.batches import Batch, pad  # noqa: E402
from seq2seq.data.encoded import Corpus, prepare  # noqa: E402
from seq2seq.decoding.search import search  # noqa: E402
from seq2seq.evaluation.evaluate import evaluating  # noqa: E402
from seq2seq.models.build import build  # noqa: E402
from seq2seq.models.interface import Seq2Seq  # noqa: E402
from seq2seq.models.kernels.linear import unchanging_weights  # noqa: E402
from seq2seq.models.loss import sequence_loss  # noqa: E402
from seq2seq.runs import checkpoint  # noqa: E402
from seq2seq.runs.loading import load  # noqa: E402
from seq2seq.runs.run import Run, find  # noqa: E402
from seq2seq.system.devices import autocast, choose_device, choose_precision, prepare_process  # noqa: E402
from seq2seq.training.trainer import Trainer  # noqa: E402

NEVER = 1_000_000_000


def model_arguments(spec: dict[str, Any]) -> list[str]:
    """The sizes of SPEC.json in our own words."""
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
    """The config of the whole spec, composed as ``seq2seq train`` composes it."""
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
    """The bench has had enough."""


class Measured(Trainer):
    """The trainer with the gate behind each update."""

    def _update(self, batches: list[Batch]) -> None:
        before = self.metrics.nll.clone() if self.metrics.updates else 0.0
        at = self.state.tokens
        super()._update(batches)
        tokens = self.state.tokens - at
        gate.loss((self.metrics.nll - before).detach(), tokens)
        if not gate.update(tokens):
            raise Stop


def train(spec: dict[str, Any], config: Config, corpus: Corpus, model: Seq2Seq) -> None:
    """Train as long as the bench asks for more."""
    run = Run(Path(spec["scratch"]) / "run" / str(time.time_ns()))
    run.folder.mkdir(parents=True)
    trainer = Measured(config, corpus, model, run, choose_device(config.device))
    some = [trainer.batches.load(rows, 0, n) for n, rows in enumerate(itertools.islice(trainer.batches.shard(0), 50))]
    fixed = some[0].to(trainer.device)

    @torch.no_grad()
    def check() -> dict[str, float]:
        tokens = int((fixed.tgt_out != PAD).sum())
        with evaluating([model]), trainer.updater.autocast():
            hidden = model(fixed.src, fixed.tgt_in).hidden
            own = float(sequence_loss(model, hidden, fixed.tgt_out, 0.0).nll) / tokens
            logits = model.logits(hidden).float()
        return {"own": own, "recomputed": float(F.cross_entropy(logits.transpose(1, 2), fixed.tgt_out, ignore_index=0))}

    def translate(lines: list[list[str]]) -> list[list[str]]:
        texts = ["".join(pieces).replace("▁", " ").removeprefix(" ") for pieces in lines]
        with evaluating(trainer.translator.models):
            found = trainer.translator.translate(texts, DecodeConfig(beam=1))
        return [[piece for piece in best[0].tgt_tokens if piece != "</s>"] for best in found]

    gate.on_check(check)
    gate.on_translate(translate)
    gate.ready(torch.__version__, parameters(model), **about(config, trainer.device, some))
    if gate.begin():
        with contextlib.suppress(Stop):
            trainer.train()
            gate.finish()


def decode(spec: dict[str, Any], config: Config, corpus: Corpus, model: Seq2Seq) -> None:
    """Search on batches of test sentences of similar length, with exactly ``length`` tokens a hypothesis."""
    asked, device = spec["decode"], choose_device(config.device)
    if spec.get("run"):
        model = load([find(Path(spec["run"]))], config).translator.models[0]
    model = model.to(device).eval()
    cast = autocast(device, choose_precision(config.trainer.precision, device))
    batches = batches_of(spec, asked["batch"])
    before_end = asked["length"] - 1  # then EOS, which counts
    options = DecodeConfig(beam=asked["beam"], min_length=before_end, max_extra=before_end, max_ratio=1e-9)
    gate.ready(torch.__version__, parameters(model), **about(config, device))
    with unchanging_weights():  # as in a file of many batches
        for batch in gate.batches(itertools.cycle(batches), lambda batch: len(batch) * asked["length"]):
            with cast():
                found = search([model], on_device(batch, device), options)
            assert all(len(best[0].ids) == before_end for best in found), "a hypothesis of another length"


def batches_of(spec: dict[str, Any], size: int) -> list[list[list[int]]]:
    """Ids of the first 1,000 test sentences by length, ``size`` a batch (the last, smaller one left out)."""
    data = Path(spec["data"])
    vocabulary = (data / "vocab.txt").read_text(encoding="utf-8").split("\n")
    ids = {piece: n for n, piece in enumerate(vocabulary)}
    lines = (data / "test.pieces.src").read_text(encoding="utf-8").split("\n")[:1000]
    rows = sorted(([*(ids.get(piece, UNK) for piece in line.split(" ")), EOS] for line in lines if line), key=len)[::-1]
    return [rows[n : n + size] for n in range(0, len(rows) - size + 1, size)]


def on_device(rows: list[list[int]], device: torch.device) -> torch.Tensor:
    """Ids (B, S), PAD behind."""
    return torch.from_numpy(pad(rows)).to(device)


def parameters(model: Seq2Seq) -> int:
    """Numbers in the model, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def about(config: Config, device: torch.device, batches: Sequence[Batch] = ()) -> dict[str, Any]:
    """The precision that came of ``auto``; of some batches, the operations a target token and the share of padding."""
    precision = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    said: dict[str, Any] = {"precision": precision[choose_precision(config.trainer.precision, device)]}
    if batches:
        tokens = sum(batch.tokens for batch in batches)
        shapes = [(batch.src.shape, batch.tgt_out.shape, batch.tokens) for batch in batches]
        said["flops_per_token"] = sum(update_operations(gate.spec, *shape) for shape in shapes) / tokens
        said["real_share"] = round(tokens / sum(batch.tgt_out.numel() for batch in batches), 3)
    return said


def save(spec: dict[str, Any], config: Config, corpus: Corpus, model: Seq2Seq) -> None:
    """A run folder of the model as the seed made it, for the export and for decoding the same weights.

    The end mark is made likely, because the export checks itself on translations of free length, and what random
    weights write is as long as it may be; the bench's own searches forbid it until the last token.
    """
    with torch.no_grad():
        model.output.bias[EOS] = 20.0
    run = Run(Path(spec["run"]))
    run.folder.mkdir(parents=True, exist_ok=True)
    corpus.subwords.save(run.subwords)
    run.save_config(config)
    run.checkpoint("best").parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save_weights(run.checkpoint("best"), checkpoint.weights_of(model), {})
    gate.ready(torch.__version__, parameters(model))


def inspect(spec: dict[str, Any], config: Config, corpus: Corpus, model: Seq2Seq) -> None:
    """A question that is answered once, with the first word."""
    import inspections

    device = choose_device(config.device)
    if spec["task"] == "profile":
        answer: Any = inspections.profile_of(spec, config, corpus, model)
    else:
        cast = autocast(device, choose_precision(config.trainer.precision, device))
        batch = on_device(batches_of(spec, 64)[4], device)  # of middling length
        answer = {"seconds": inspections.seconds_by_length(spec, model.to(device).eval(), batch, cast)}
    gate.ready(torch.__version__, parameters(model), **about(config, device), answer=answer)


def main() -> None:
    """One worker's life."""
    spec = gate.spec
    prepare_process()
    torch.set_num_threads(spec["threads"])
    config = config_of(spec)
    corpus = prepare(config.data)
    torch.manual_seed(config.seed)
    model = build(config.model, *corpus.subwords.sizes)
    tasks = {"train": train, "decode": decode, "save": save, "profile": inspect, "lengths": inspect}
    tasks[spec["task"]](spec, config, corpus, model)


main()
