"""Hugging Face transformers as a contender: MarianMT from scratch in its own Seq2SeqTrainer, decoding with generate().

Knows the Trainer's public options and callbacks; batching, loss, optimiser and search are the framework's. Settings are
those that its documentation recommends for speed: batches grouped by length, fused AdamW, bf16 as its own mixed
precision with lengths padded to multiples of 8. It has no token batches, so a batch holds as many sentences as give the
SPEC's budget at the corpus's mean length.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.bench.workers.contender import PAD, IdContender, Tokens, Vocabulary, settings, training_ids
from scripts.bench.workers.protocol import Channel

ENDLESS = 10_000_000  # updates
LONGEST = 512  # positions of the table of sinusoids
MARGIN = 1.02  # a cosine's length over the tokens asked for, so that the Trainer does not end first


def options_of(spec: dict[str, Any], sentences: int = 1) -> dict[str, Any]:
    """Arguments of MarianConfig (``model``) and Seq2SeqTrainingArguments (``training``); ``sentences`` in a batch."""
    cuda, cosine = spec["device"] == "cuda", spec.get("schedule") == "cosine"
    computed = {
        # The default (0.02) is meant for width 1024 and learns slowly here: 1/sqrt(width) gives embeddings of size 1.
        "init_std": spec["size"]["width"] ** -0.5,
        "longest": LONGEST,
        "attention": "sdpa" if cuda else "eager",  # the faster one on each
        "sentences": sentences,
        "use_cpu": not cuda,
        "cuda": cuda,
        "num_workers": 2 if cuda else 0,
        "bf16": spec["precision"] == "bf16",
        "scheduler": "cosine" if cosine else "inverse_sqrt",
        "max_steps": int(MARGIN * spec["max_tokens"] / spec["batch_tokens"]) if cosine else ENDLESS,
    }
    return settings("marian", {**spec, **spec["size"], **computed})


class Marian(IdContender):
    """MarianMTModel, Seq2SeqTrainer and ``generate``."""

    def unable(self) -> str | None:
        if self.spec["model"] == "transformer":
            return None
        return f"Marian is a Transformer; transformers has no {self.spec['model']} for translation"

    def build(self) -> None:
        from transformers import MarianConfig, MarianMTModel, __version__, set_seed

        self.version = __version__
        set_seed(self.spec["seed"])
        self.model = MarianMTModel(MarianConfig(**options_of(self.spec)["model"]))

    def prepare_training(self) -> dict[str, Any]:
        from transformers import Seq2SeqTrainingArguments

        src, tgt = (training_ids(self.data, side) for side in ("src", "tgt"))
        pairs = [{"input_ids": a.tolist(), "labels": b.tolist()} for a, b in zip(src, tgt, strict=True)]
        mean = sum(len(pair["labels"]) for pair in pairs) / len(pairs)
        sentences = max(round(self.spec["batch_tokens"] / mean), 1)
        arguments = Seq2SeqTrainingArguments(**options_of(self.spec, sentences)["training"])
        collate = collator(self.vocabulary, self.model, multiple=8 if self.spec["precision"] == "bf16" else None)
        options = {"model": self.model, "args": arguments, "train_dataset": pairs, "data_collator": Collate(collate)}
        self.trainer = paced_trainer(self.channel, **options)
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


def paced_trainer(channel: Channel, **arguments: Any) -> Any:
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
