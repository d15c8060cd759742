"""eole 0.6, the successor of OpenNMT-py, as a contender: its Trainer, data iterator and Translator, in this process.

Knows eole's config objects and the calls that its own ``eole train`` and ``eole predict`` make. Settings follow its
WMT17 recipe (token batches from buckets sorted by length, sentences a multiple of 8, loss normalised by tokens), with
the SPEC's sizes and rates. On the CPU it reads without worker processes: they would take the cores from training.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gate import Gate

NLL_EVERY = 4  # updates; under label smoothing the nll needs a pass over the logits of its own
ENDLESS = 10_000_000  # updates
REAL = 0.8  # of a batch's positions hold target tokens, about: turns a number of tokens into updates
GREEDY = {"top_k": 1, "beam_size": 1}  # without the second it decodes five equal copies of each sentence
SENTENCES = 1_000  # of the test set, as all contenders decode


def model_section(spec: dict[str, Any]) -> dict[str, Any]:
    """The ``model:`` section of an eole config for a SPEC."""
    size = spec["size"]
    shared = {"share_embeddings": True, "embeddings": {"word_vec_size": size["embedding"]}}
    if spec["model"] == "transformer":
        shared["embeddings"] |= {"position_encoding": True, "position_encoding_type": "SinusoidalInterleaved"}
        return {
            **shared,
            "architecture": "transformer",
            "share_decoder_embeddings": True,
            "layers": size["layers"],
            "hidden_size": size["width"],
            "heads": size["heads"],
            "transformer_ff": size["feed_forward"],
            "add_qkvbias": True,
            "add_ffnbias": True,
        }
    if 2 * size["encoder"] != size["decoder"]:
        raise ValueError("eole wants the decoder as wide as both directions of the encoder together")
    attention = spec["model"] == "bahdanau"
    return {
        **shared,
        "architecture": "custom",
        "layers": 1,
        "hidden_size": size["decoder"],
        "encoder": {"encoder_type": "brnn", "rnn_type": "LSTM"},
        "decoder": {"decoder_type": "rnn", "rnn_type": "LSTM", "global_attention": "mlp" if attention else None},
        # With attention the context goes into the next step, as Bahdanau's does. Without, it is one call of nn.LSTM.
        "input_feed": 1 if attention else 0,
    }


def schedule(spec: dict[str, Any]) -> dict[str, Any]:
    """Learning rate, warm-up and decay in eole's words, the peak being the SPEC's rate."""
    warmup, size = spec["warmup"], spec["size"]
    if spec.get("schedule", "inverse_sqrt") == "cosine":
        updates = int(spec["max_tokens"] / (REAL * spec["batch_tokens"]))
        return {"decay_method": "cosine", "learning_rate": spec["lr"], "warmup_steps": warmup, "train_steps": updates}
    width = size["width"] if spec["model"] == "transformer" else size["decoder"]
    peak = spec["lr"] * (width * warmup) ** 0.5  # noam's highest factor is 1 / sqrt(width * warmup)
    return {"decay_method": "noam", "learning_rate": peak, "warmup_steps": warmup, "train_steps": ENDLESS}


def training_section(spec: dict[str, Any], pairs: int) -> dict[str, Any]:
    """The ``training:`` section of an eole config for a SPEC and a corpus of so many pairs."""
    cuda = spec["device"] == "cuda"
    transformer = spec["model"] == "transformer"
    return {
        **schedule(spec),
        "model_path": str(Path(spec["scratch"]) / "eole"),
        "world_size": 1,
        "gpu_ranks": [0] if cuda else [],
        "num_workers": 2 if cuda else 0,
        "bucket_size": min(pairs, 262_144),
        "batch_type": "tokens",
        "batch_size": spec["batch_tokens"],
        "batch_size_multiple": 8,
        "normalization": "tokens",
        "accum_count": [1],
        "compute_dtype": spec["precision"],
        "use_amp": True,
        "optim": "adam",
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "max_grad_norm": spec["clip_norm"],
        "average_decay": 1 - spec["ema"] if spec.get("ema") else 0.0,  # the share of the new weights
        "dropout": [spec["dropout"]],
        "attention_dropout": [0.0],  # ours has none
        "label_smoothing": spec["label_smoothing"],
        "param_init": 0.0 if transformer else 0.1,
        "param_init_method": "xavier_uniform" if transformer else "uniform",
        "log_attention_entropy": False,
        "save_checkpoint_steps": 0,
        "keep_checkpoint": 0,
        "valid_steps": ENDLESS,
    }


def config_of(spec: dict[str, Any], pairs: int) -> dict[str, Any]:
    """A whole eole training config."""
    data = Path(spec["data"])
    return {
        "seed": spec["seed"],
        "report_every": 1_000,
        "src_vocab": str(data / "vocab.txt"),
        "tgt_vocab": str(data / "vocab.txt"),
        "share_vocab": True,
        "pad_token": "<pad>",
        "vocab_size_multiple": 1,
        "transforms": [],
        "data": {
            "corpus": {
                "path_src": str(data / "train.pieces.src"),
                "path_tgt": str(data / "train.pieces.tgt"),
                "transforms": [],
            }
        },
        "model": model_section(spec),
        "training": training_section(spec, pairs),
    }


class Prepared:
    """What ``eole train`` has in hand before its loop begins."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from eole.config.run import TrainConfig
        from eole.models.model import get_model_class
        from eole.train_single import TrainingInitializer, configure_process

        with (Path(spec["data"]) / "train.pieces.src").open("rb") as lines:
            pairs = sum(1 for _ in lines)
        self.device_id = 0 if spec["device"] == "cuda" else -1
        config = TrainConfig(**config_of(spec, pairs))
        configure_process(config, self.device_id)
        context = TrainingInitializer(config).initialize()
        self.config, self.vocabs, self.transforms = context.config, context.vocabs, context.transforms
        self.model = get_model_class(self.config.model).for_training(
            self.config.model, self.vocabs, self.config.training, device_id=self.device_id
        )
        if spec["model"] == "lstm":
            # Without attention its decoder hands nn.LSTM's transposed output on, on which its loss fails (`view`).
            self.model.decoder.register_forward_hook(
                lambda _module, _inputs, output: (output[0].contiguous(), output[1])
            )

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def translator(self, **decoding: Any) -> tuple[Any, Any]:
        """eole's Translator over the model as it is now, and its config; ``decoding`` as in an inference config."""
        from eole.config.run import PredictConfig
        from eole.predict import GNMTGlobalScorer, Translator

        running = self.config.training
        config = PredictConfig(
            model_path=[running.model_path],
            src="",
            compute_dtype=running.compute_dtype,
            share_vocab=True,
            transforms=[],
            model=self.config.model,
            gpu_ranks=running.gpu_ranks,
            **decoding,
        )
        model = self.config.model
        scorer = GNMTGlobalScorer.from_config(config)
        translator = Translator(
            self.model, self.vocabs, config, model, device_id=self.device_id, global_scorer=scorer, report_score=False
        )
        return translator, config

    def batches(self, config: Any, sources: list[list[str]]) -> Iterable[dict[str, Any]]:
        """eole's own inference batches of source pieces."""
        from eole.constants import CorpusTask
        from eole.inputters.dynamic_iterator import build_dynamic_dataset_iter

        lines = [" ".join(pieces) for pieces in sources]
        found = build_dynamic_dataset_iter(
            config, {}, self.vocabs, task=CorpusTask.INFER, src=lines, device_id=self.device_id
        )
        return [batch for batch, _ in found]


def noting(gate: Gate, criterion: Any) -> Any:
    """eole's criterion, the sum of whose un-smoothed nll the gate is told."""
    import torch
    from torch.nn import functional

    class Noting(torch.nn.CrossEntropyLoss):
        calls = 0

        def forward(self, scores: Any, target: Any) -> Any:
            loss = super().forward(scores, target)
            if not self.label_smoothing:
                gate.loss(loss.detach(), int(target.ne(self.ignore_index).sum()))
            elif self.calls % NLL_EVERY == 0:
                with gate.off_the_clock(), torch.no_grad():
                    nll = functional.cross_entropy(scores, target, ignore_index=self.ignore_index, reduction="sum")
                gate.loss(nll, int(target.ne(self.ignore_index).sum()))
            self.calls += 1
            return loss

    smoothing = criterion.label_smoothing
    return Noting(ignore_index=criterion.ignore_index, reduction="sum", label_smoothing=smoothing)


def train(gate: Gate) -> None:
    from eole import __version__
    from eole.constants import CorpusTask
    from eole.inputters.dynamic_iterator import build_dynamic_dataset_iter
    from eole.trainer import build_trainer
    from eole.utils.optimizers import Optimizer

    ready = Prepared(gate.spec)
    optimizer = Optimizer.from_config(ready.model, ready.config)
    trainer = build_trainer(ready.config, ready.device_id, ready.model, ready.vocabs, optimizer)
    trainer.train_loss.criterion = noting(gate, trainer.train_loss.criterion)
    batches = iter(
        build_dynamic_dataset_iter(
            ready.config, ready.transforms, ready.vocabs, task=CorpusTask.TRAIN, device_id=ready.device_id
        )
    )
    some = list(itertools.islice(batches, 20))  # fills the first bucket, which a long run does not notice
    padding = trainer.train_loss.padding_idx

    def tokens(batch: tuple[dict[str, Any], int]) -> int:
        return int(batch[0]["tgt"][:, 1:].ne(padding).sum())

    gate.on_check(checker(ready, some[0][0]))
    gate.on_translate(lambda sources: translate(ready, sources, trainer.moving_average))
    positions = sum(batch["tgt"][:, 1:].numel() for batch, _ in some)
    gate.ready(
        version=__version__,
        parameters=ready.parameters,
        notes=notes_of(gate.spec),
        real_share=round(sum(map(tokens, some)) / positions, 3),
    )
    trainer.train(gate.batches(itertools.chain(some, batches), tokens), ENDLESS, save_checkpoint_steps=0)


def notes_of(spec: dict[str, Any]) -> list[str]:
    """What differs from the SPEC's model."""
    notes = ["torch Adam, for each tensor together (no option for the fused one)", "sources without EOS"]
    if spec["model"] == "bahdanau":
        notes.append(
            "attention as wide as the decoder, input feeding, output untied (its width is not the embedding's)"
        )
    if spec["model"] == "lstm":
        notes.append("context as the decoder's first state only, output untied; its decoder's output made contiguous")
    if spec["model"] != "transformer":
        notes.append("the encoder reads padding (not packed)")
    if spec.get("ema"):
        notes.append("translates with its own moving average of weights (average_decay)")
    if spec["label_smoothing"]:
        notes.append(f"its nll is taken every {NLL_EVERY} updates")
    return notes


def checker(ready: Prepared, batch: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """eole's LossCompute without smoothing against cross-entropy of the generator's logits."""
    import torch
    from eole.utils.loss import LossCompute

    plain = LossCompute.from_config(ready.config, ready.model, ready.vocabs, train=False)
    plain.criterion.label_smoothing = 0.0

    @torch.no_grad()
    def check() -> dict[str, float]:
        ready.model.eval()
        hidden, attentions, _ = ready.model(batch["src"], batch["tgt"], batch["srclen"])
        _, statistics, _ = plain(batch, hidden, attentions)
        logits = ready.model.generator(hidden).float()
        recomputed = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch["tgt"][:, 1:].flatten(), ignore_index=plain.padding_idx
        )
        ready.model.train()
        return {"own": statistics.loss / statistics.n_tokens, "recomputed": float(recomputed)}

    return check


def translate(ready: Prepared, sources: list[list[str]], average: list[Any] | None = None) -> list[list[str]]:
    """Greedy translations in the order given, with the moving average of the weights where there is one."""
    own = [parameter.data for parameter in ready.model.parameters()]
    put(ready.model, average or own)
    ready.model.eval()
    translator, config = ready.translator(batch_size=64, **GREEDY, max_length_ratio=2, max_length=500)
    answers: list[list[str]] = [[] for _ in sources]
    for batch in ready.batches(config, sources):
        found = translator.predict_batch(batch, attn_debug=False)
        for number, best in zip(batch["cid_line_number"], found["predictions"], strict=True):
            pieces = [ready.vocabs["tgt"].lookup_index(index) for index in best[0].tolist()]
            answers[number] = [piece for piece in pieces if piece not in ("</s>", "<pad>", "<s>")]
    ready.model.train()
    put(ready.model, own)
    return answers


def put(model: Any, weights: list[Any]) -> None:
    """Let the model's parameters be these, as eole's own validation does."""
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.data = weight


def sources_of(data: Path, size: int) -> Iterator[list[list[str]]]:
    """Batches of ``size`` test sentences of similar length, over and over."""
    lines = (data / "test.pieces.src").read_text(encoding="utf-8").split("\n")[:SENTENCES]
    rows = sorted((line.split(" ") for line in lines if line), key=len, reverse=True)
    return itertools.cycle([rows[first : first + size] for first in range(0, max(len(rows) - size, 0) + 1, size)])


def decode(gate: Gate) -> None:
    import torch
    from eole import __version__

    spec, options = gate.spec, gate.spec["decode"]
    length = options["length"]
    ready = Prepared(spec)
    ready.model.eval().to(torch.bfloat16 if spec["precision"] == "bf16" else torch.float32)
    search = GREEDY if options["beam"] == 1 else {"beam_size": options["beam"]}
    translator, config = ready.translator(
        batch_size=options["batch"], min_length=length, max_length=length, max_length_ratio=0, fuse_kvq=True, **search
    )
    notes = ["its Translator, weights in bf16"] if spec["precision"] == "bf16" else ["its Translator"]
    gate.ready(version=__version__, parameters=ready.parameters, notes=notes)
    for sources in gate.batches(sources_of(Path(spec["data"]), options["batch"]), lambda rows: len(rows) * length):
        for batch in ready.batches(config, sources):
            found = translator.predict_batch(batch, attn_debug=False)
            if any(len(best[0]) != length for best in found["predictions"]):
                raise RuntimeError(f"a hypothesis has not the {length} tokens that were asked for")


def main() -> None:
    gate = Gate()
    import torch

    torch.set_num_threads(gate.spec["threads"])
    (train if gate.spec["task"] == "train" else decode)(gate)


if __name__ == "__main__":
    main()
