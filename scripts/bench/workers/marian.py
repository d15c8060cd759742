"""Hugging Face transformers as a contender: MarianMT from scratch in its own Seq2SeqTrainer, decoding with generate().

Knows the Trainer's public options and callbacks; batching, loss, optimiser and search are the framework's. Settings are
those that its documentation recommends for speed: batches grouped by length, fused AdamW, bf16 as its own mixed
precision with lengths padded to multiples of 8. It has no token batches, so a batch holds as many sentences as give the
SPEC's budget at the corpus's mean length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gate import Gate

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
NLL_EVERY = 4  # updates; under label smoothing the nll needs a pass over the logits of its own
ENDLESS = 10_000_000  # updates
LONGEST = 512  # positions of the table of sinusoids
SENTENCES = 1_000  # of the test set, as all contenders decode
MARGIN = 1.02  # a cosine's length over the tokens asked for, so that the Trainer does not end first


def model_options(spec: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Keyword arguments of MarianConfig for a SPEC."""
    size = spec["size"]
    sides = {}
    for side in ("encoder", "decoder"):
        sides[f"{side}_layers"] = size["layers"]
        sides[f"{side}_attention_heads"] = size["heads"]
        sides[f"{side}_ffn_dim"] = size["feed_forward"]
    return {
        **sides,
        "vocab_size": vocabulary,
        "d_model": size["width"],
        "dropout": spec["dropout"],
        "attention_dropout": 0.0,  # ours has none
        "activation_dropout": spec["dropout"],
        "activation_function": "relu",
        "scale_embedding": True,
        # The default (0.02) is meant for width 1024 and learns slowly here: 1/sqrt(width) gives embeddings of size 1.
        "init_std": size["width"] ** -0.5,
        "max_position_embeddings": LONGEST,
        "decoder_start_token_id": BEGIN,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "forced_eos_token_id": None,
        "attn_implementation": "sdpa" if spec["device"] == "cuda" else "eager",  # the faster one on each
    }


def schedule(spec: dict[str, Any]) -> dict[str, Any]:
    """The Trainer's scheduler, its warm-up, and how many updates there may be."""
    if spec.get("schedule", "inverse_sqrt") == "cosine":
        updates = int(MARGIN * spec["max_tokens"] / spec["batch_tokens"])
        return {"lr_scheduler_type": "cosine", "warmup_steps": spec["warmup"], "max_steps": updates}
    return {"lr_scheduler_type": "inverse_sqrt", "warmup_steps": spec["warmup"], "max_steps": ENDLESS}


def training_options(spec: dict[str, Any], sentences: int) -> dict[str, Any]:
    """Keyword arguments of Seq2SeqTrainingArguments for a SPEC; ``sentences`` in a batch."""
    cuda = spec["device"] == "cuda"
    return {
        **schedule(spec),
        "output_dir": spec["scratch"],
        "use_cpu": not cuda,
        "bf16": spec["precision"] == "bf16",
        "per_device_train_batch_size": sentences,
        "train_sampling_strategy": "group_by_length",
        "optim": "adamw_torch_fused",
        "learning_rate": spec["lr"],
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "weight_decay": 0.0,
        "max_grad_norm": spec["clip_norm"],
        "label_smoothing_factor": spec["label_smoothing"],
        "dataloader_num_workers": 2 if cuda else 0,
        "dataloader_persistent_workers": cuda,
        "dataloader_pin_memory": cuda,
        "remove_unused_columns": False,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "seed": spec["seed"],
    }


def pairs_of(data: Path) -> list[dict[str, list[int]]]:
    """The training pairs as the Trainer wants them: ids, EOS at the end of both sides."""
    import numpy as np

    with np.load(data / "train.ids.npz") as arrays:
        columns = []
        for side in ("src", "tgt"):
            offsets = arrays[f"{side}_offsets"]
            columns.append([part.tolist() for part in np.split(arrays[side], offsets[1:-1])])
    return [{"input_ids": source, "labels": target} for source, target in zip(*columns, strict=True)]


def build_model(spec: dict[str, Any], vocabulary: int) -> Any:
    """A MarianMTModel with the weights of the SPEC's seed."""
    from transformers import MarianConfig, MarianMTModel, set_seed

    set_seed(spec["seed"])
    return MarianMTModel(MarianConfig(**model_options(spec, vocabulary)))


def parameters_of(model: Any) -> int:
    """Trained parameters, tied ones once, the table of sinusoids not."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


class Vocabulary:
    """Pieces and ids of ``vocab.txt``."""

    def __init__(self, path: Path) -> None:
        self.pieces = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        self.ids = {piece: number for number, piece in enumerate(self.pieces)}

    def encode(self, pieces: list[str]) -> list[int]:
        return [self.ids.get(piece, UNKNOWN) for piece in pieces] + [END]

    def decode(self, ids: list[int]) -> list[str]:
        """Pieces up to EOS, without BOS and padding."""
        ids = ids[: ids.index(END)] if END in ids else ids
        return [self.pieces[number] for number in ids if number not in (PAD, BEGIN)]


def collator(vocabulary: Vocabulary, model: Any, multiple: int | None) -> Any:
    """The framework's collator for translation, padding to a ``multiple``; it wants a tokenizer, which only pads."""
    from tokenizers import Tokenizer, models
    from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(vocabulary.ids, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    return DataCollatorForSeq2Seq(tokenizer, model=model, pad_to_multiple_of=multiple)


class Collate:
    """The framework's collator, and how many target tokens the batch holds (counted before it goes to a GPU)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, pairs: list[dict[str, list[int]]]) -> dict[str, Any]:
        count = sum(len(pair["labels"]) for pair in pairs)
        return {**self.inner([dict(pair) for pair in pairs]), "target_tokens": count}


def gated_trainer(gate: Gate, **arguments: Any) -> Any:
    """A Seq2SeqTrainer that stops between two updates whenever the gate wants it."""
    from transformers import Seq2SeqTrainer, TrainerCallback

    class GatedTrainer(Seq2SeqTrainer):
        """Nothing of the step is changed: tokens are counted before it, the loss is noted after it."""

        target_tokens = 0

        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            self.target_tokens = inputs.pop("target_tokens")
            loss = super().training_step(model, inputs, num_items_in_batch)
            if self.label_smoother is None:
                gate.loss(loss * self.target_tokens, self.target_tokens)
            return loss

        def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
            if self.label_smoother is None or self.state.global_step % NLL_EVERY:
                return super().compute_loss(model, inputs, *rest, **options)
            labels = inputs["labels"]
            loss, outputs = super().compute_loss(model, inputs, True, **options)
            with gate.off_the_clock():
                gate.loss(nll_of(outputs["logits"].detach(), labels), self.target_tokens)
            return loss

    class AtTheGate(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = not gate.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = not gate.update(trainer.target_tokens)

    trainer = GatedTrainer(**arguments)
    trainer.add_callback(AtTheGate())
    return trainer


def nll_of(logits: Any, labels: Any) -> Any:
    """Summed un-smoothed cross-entropy of logits (B, T, V) at labels (B, T), −100 where padded."""
    import torch

    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="sum")


def train(gate: Gate, vocabulary: Vocabulary) -> None:
    import torch
    import transformers
    from transformers import Seq2SeqTrainingArguments

    spec = gate.spec
    pairs = pairs_of(Path(spec["data"]))
    mean = sum(len(pair["labels"]) for pair in pairs) / len(pairs)
    sentences = max(round(spec["batch_tokens"] / mean), 1)
    arguments = Seq2SeqTrainingArguments(**training_options(spec, sentences))
    model = build_model(spec, len(vocabulary.pieces))
    collate = collator(vocabulary, model, multiple=8 if spec["precision"] == "bf16" else None)
    trainer = gated_trainer(gate, model=model, args=arguments, train_dataset=pairs, data_collator=Collate(collate))
    fixed = {name: tensor.to(arguments.device) for name, tensor in collate([dict(pair) for pair in pairs[:32]]).items()}

    def check() -> dict[str, float]:
        model.eval()
        with torch.no_grad():
            outputs = model(**fixed)
            count = int((fixed["labels"] != -100).sum())
            recomputed = float(nll_of(outputs["logits"], fixed["labels"])) / count
        model.train()
        return {"own": float(outputs["loss"]), "recomputed": recomputed}

    gate.on_check(check)
    gate.on_translate(lambda sources: translate(model, vocabulary, sources))
    gate.ready(
        version=transformers.__version__,
        parameters=parameters_of(model),
        notes=[
            f"sentence batches of {sentences} grouped by length (it has no token batches)",
            "post-norm layers, no final norm; AdamW fused, no weight decay",
            f"with label smoothing its nll is taken every {NLL_EVERY} updates",
        ],
    )
    trainer.train()


def translate(model: Any, vocabulary: Vocabulary, sources: list[list[str]]) -> list[list[str]]:
    """Greedy translations in the order given, in batches of similar length."""
    training = model.training
    model.eval()
    order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
    answers: list[list[str]] = [[] for _ in sources]
    for first in range(0, len(order), 64):
        numbers = order[first : first + 64]
        batch = padded([vocabulary.encode(sources[number]) for number in numbers], model.device)
        longest = min(2 * batch["input_ids"].shape[1] + 10, LONGEST - 2)
        outputs = model.generate(**batch, num_beams=1, do_sample=False, max_new_tokens=longest)
        for number, ids in zip(numbers, outputs[:, 1:].tolist(), strict=True):
            answers[number] = vocabulary.decode(ids)
    model.train(training)
    return answers


def padded(sources: list[list[int]], device: Any) -> dict[str, Any]:
    """Source ids and their mask, (B, S)."""
    import torch

    longest = max(map(len, sources))
    ids = torch.tensor([source + [PAD] * (longest - len(source)) for source in sources], device=device)
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def endless_sources(data: Path, size: int, vocabulary: Vocabulary, device: Any) -> Iterator[dict[str, Any]]:
    """Batches of ``size`` test sentences of similar length, over and over."""
    with (data / "test.pieces.src").open(encoding="utf-8", newline="\n") as lines:
        rows = [line.rstrip("\n").split(" ") for line in itertools.islice(lines, SENTENCES)]
    sources = sorted((vocabulary.encode(pieces) for pieces in rows), key=len, reverse=True)
    starts = range(0, max(len(sources) - size, 0) + 1, size)
    for first in itertools.cycle(starts):
        yield padded(sources[first : first + size], device)


def decode(gate: Gate, vocabulary: Vocabulary) -> None:
    import torch
    import transformers

    spec, options = gate.spec, gate.spec["decode"]
    model = build_model(spec, len(vocabulary.pieces)).eval()
    model.to(device=spec["device"], dtype=torch.bfloat16 if spec["precision"] == "bf16" else torch.float32)
    exactly = {"min_new_tokens": options["length"], "max_new_tokens": options["length"]}
    gate.ready(version=transformers.__version__, parameters=parameters_of(model), notes=["generate() with its cache"])
    batches = endless_sources(Path(spec["data"]), options["batch"], vocabulary, spec["device"])
    for batch in gate.batches(batches, tokens=lambda batch: len(batch["input_ids"]) * options["length"]):
        outputs = model.generate(**batch, num_beams=options["beam"], do_sample=False, **exactly)
        if outputs.shape[1] != options["length"] + 1:
            raise RuntimeError(f"{outputs.shape[1] - 1} tokens came back where {options['length']} were asked for")


def main() -> None:
    gate = Gate()
    if gate.spec["model"] != "transformer":
        gate.fail(f"Marian is a Transformer; transformers has no {gate.spec['model']} for translation")
    import torch

    torch.set_num_threads(gate.spec["threads"])
    vocabulary = Vocabulary(Path(gate.spec["data"]) / "vocab.txt")
    (train if gate.spec["task"] == "train" else decode)(gate, vocabulary)


if __name__ == "__main__":
    main()
