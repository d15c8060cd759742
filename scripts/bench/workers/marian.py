"""Hugging Face transformers as a contender: MarianMT from scratch in its own Seq2SeqTrainer, decoding with generate().

Knows the Trainer's public options and callbacks; batching, loss, optimiser and search are the framework's. Settings are
those that its documentation recommends for speed: batches grouped by length, fused AdamW, bf16 as its own mixed
precision with lengths padded to multiples of 8. It has no token batches, so a batch holds as many sentences as give the
SPEC's budget at the corpus's mean length.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.bench.workers.contender import BOS, EOS, PAD, Tokens, TorchContender, Vocabulary
from scripts.bench.workers.protocol import Channel

ENDLESS = 10_000_000  # updates
LONGEST = 512  # positions of the table of sinusoids
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
        "decoder_start_token_id": BOS,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
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


class Marian(TorchContender):
    """MarianMTModel, Seq2SeqTrainer and ``generate``."""

    def unable(self) -> str | None:
        if self.spec["model"] == "transformer":
            return None
        return f"Marian is a Transformer; transformers has no {self.spec['model']} for translation"

    def build(self) -> None:
        from transformers import MarianConfig, MarianMTModel, __version__, set_seed

        self.version, self.vocabulary = __version__, Vocabulary(self.data)
        set_seed(self.spec["seed"])
        self.model = MarianMTModel(MarianConfig(**model_options(self.spec, len(self.vocabulary))))

    def prepare_training(self) -> dict[str, Any]:
        from transformers import Seq2SeqTrainingArguments

        pairs = pairs_of(self.data)
        mean = sum(len(pair["labels"]) for pair in pairs) / len(pairs)
        sentences = max(round(self.spec["batch_tokens"] / mean), 1)
        arguments = Seq2SeqTrainingArguments(**training_options(self.spec, sentences))
        collate = collator(self.vocabulary, self.model, multiple=8 if self.spec["precision"] == "bf16" else None)
        options = {"model": self.model, "args": arguments, "train_dataset": pairs, "data_collator": Collate(collate)}
        self.trainer = gated_trainer(self.channel, **options)
        fixed = collate([dict(pair) for pair in pairs[:32]])
        self.fixed = {name: tensor.to(arguments.device) for name, tensor in fixed.items()}
        self.notes = [
            f"sentence batches of {sentences} grouped by length (it has no token batches)",
            "post-norm layers, no final norm; AdamW fused, no weight decay",
        ]
        return {}

    def train(self) -> None:
        self.trainer.train()

    def losses(self) -> tuple[Any, Any]:
        from torch.nn.functional import cross_entropy

        outputs = self.model(**self.fixed)
        logits, labels = outputs["logits"].float().flatten(0, 1), self.fixed["labels"].flatten()
        return outputs["loss"], cross_entropy(logits, labels, ignore_index=-100)

    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        batch = self.padded(self.encode(sources))
        longest = min(2 * batch["input_ids"].shape[1] + 10, LONGEST - 2)
        outputs = self.model.generate(**batch, num_beams=1, do_sample=False, max_new_tokens=longest)
        return map(self.vocabulary.decode, outputs[:, 1:].tolist())

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        import torch

        kind = torch.bfloat16 if self.spec["precision"] == "bf16" else torch.float32
        self.model.eval().to(device=self.spec["device"], dtype=kind)
        exactly = {"min_new_tokens": length, "max_new_tokens": length}
        self.options = {"num_beams": beam, "do_sample": False, **exactly}
        self.notes = ["generate() with its cache"]

    def encode(self, sources: list[Tokens]) -> list[list[int]]:
        return [self.vocabulary.encode(tokens) for tokens in sources]

    def search(self, batch: list[list[int]]) -> Iterable[int]:
        outputs = self.model.generate(**self.padded(batch), **self.options)
        return [len(ids) - 1 for ids in outputs]  # without BOS

    def padded(self, rows: list[list[int]]) -> dict[str, Any]:
        """Source ids and their mask, (B, S)."""
        import torch

        longest = max(map(len, rows))
        ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], device=self.model.device)
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


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
    """The framework's collator; it adds the batch's number of target tokens, counted before it goes to a GPU."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, pairs: list[dict[str, list[int]]]) -> dict[str, Any]:
        count = sum(len(pair["labels"]) for pair in pairs)
        return {**self.inner([dict(pair) for pair in pairs]), "target_tokens": count}


def gated_trainer(channel: Channel, **arguments: Any) -> Any:
    """A Seq2SeqTrainer that reports each update to the channel, and waits there between two slices."""
    from transformers import Seq2SeqTrainer, TrainerCallback

    class Counting(Seq2SeqTrainer):
        """The training step is unchanged; the batch's target tokens are noted before it."""

        target_tokens = 0

        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            self.target_tokens = inputs.pop("target_tokens")
            return super().training_step(model, inputs, num_items_in_batch)

    class AtTheChannel(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = not channel.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = not channel.update(trainer.target_tokens)

    trainer = Counting(**arguments)
    trainer.add_callback(AtTheChannel())
    return trainer


if __name__ == "__main__":
    Marian(Channel()).run()
