"""A plain PyTorch loop as a good tutorial writes it: no framework, and nothing of ours.

It has what PyTorch's own performance guide recommends (batches by length, fused AdamW, autocast, no waiting for
figures) and none of what takes a project to write.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from scripts.bench.workers.contender import BOS, EOS, PAD, IdContender, Tokens, training_ids
from scripts.bench.workers.protocol import Channel
from scripts.bench.workers.tutorial_models import Translation, build


def batches_by_length(src: list[Tensor], tgt: list[Tensor], budget: int) -> list[list[int]]:
    """Sentences of similar length together, at most ``budget`` padded positions on the longer side."""
    length = [max(len(a), len(b)) for a, b in zip(src, tgt, strict=True)]
    order = sorted(range(len(src)), key=lambda n: (length[n], len(tgt[n]), random.random()))
    batches: list[list[int]] = [[]]
    for n in order:
        if batches[-1] and (len(batches[-1]) + 1) * length[n] > budget:
            batches.append([])
        batches[-1].append(n)
    return batches


def endless(pairs: list[list[Tensor]], budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Padded batches, epoch after epoch."""
    src, tgt = pairs
    while True:
        batches = batches_by_length(src, tgt, budget)
        random.shuffle(batches)
        for rows in batches:
            yield pad_sequence([src[n] for n in rows], True, PAD), pad_sequence([tgt[n] for n in rows], True, PAD)


def shifted(tgt: Tensor) -> Tensor:
    """(B, T) ending with EOS to (B, T) beginning with BOS."""
    return torch.cat([torch.full_like(tgt[:, :1], BOS), tgt[:, :-1]], 1)


class Tutorial(IdContender):
    """The loop, and a greedy and a beam search."""

    model: Translation
    version = torch.__version__

    def build(self) -> None:
        spec = self.spec
        torch.manual_seed(spec["seed"])
        random.seed(spec["seed"])
        self.device = torch.device(spec["device"])
        self.model = build(spec["model"], spec["vocabulary"], spec["size"], spec["dropout"]).to(self.device)

    # -------------------------------------------------------------------------------------------------------- training

    def prepare_training(self) -> dict[str, Any]:
        pairs = [[torch.from_numpy(ids) for ids in training_ids(self.data, side)] for side in ("src", "tgt")]
        budget = self.spec["batch_tokens"]
        self.batches = endless(pairs, budget)
        self.fixed = tuple(side.to(self.device) for side in next(endless(pairs, budget)))
        self.notes = ["fused AdamW, batches by length"]
        return {}

    def rate(self, step: int, tokens: int) -> float:
        """The share of the learning rate at an update: warm-up, then inverse square root or a cosine."""
        warmup = min((step + 1) / self.spec["warmup"], 1.0)
        if self.spec.get("schedule") == "cosine":
            fall = 0.5 * (1 + math.cos(math.pi * min(tokens / self.spec["max_tokens"], 1.0)))
            return warmup * (0.02 + 0.98 * fall)
        return min(warmup, math.sqrt(self.spec["warmup"] / (step + 1)))

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """bf16 as the guide shows it, or nothing."""
        if self.spec["precision"] == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def train(self) -> None:
        model, lr = self.model, self.spec["lr"]
        criterion = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=self.spec["label_smoothing"])
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=lr, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0, fused=True
        )
        model.train()
        for source, target in self.channel.batches(self.batches, tokens=lambda batch: int((batch[1] != PAD).sum())):
            source, target = source.to(self.device), target.to(self.device)
            for group in optimizer.param_groups:
                group["lr"] = lr * self.rate(self.channel.updates, self.channel.tokens)
            optimizer.zero_grad()
            with self.autocast():
                logits = model(source, shifted(target))
                loss = criterion(logits.flatten(0, 1), target.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), self.spec["clip_norm"])
            optimizer.step()

    def losses(self) -> tuple[Any, Any]:
        src, tgt = self.fixed
        with self.autocast():
            logits = self.model(src, shifted(tgt))
            own = nn.CrossEntropyLoss(ignore_index=PAD)(logits.flatten(0, 1), tgt.flatten())
        real = tgt != PAD
        return own, -logits.float().log_softmax(-1).gather(-1, tgt[..., None]).squeeze(-1)[real].mean()

    def greedy(self, sources: list[Tokens]) -> Iterable[Tokens]:
        batch = self.padded(self.encode(sources))
        with self.autocast():
            return map(self.vocabulary.decode, greedy(self.model, batch, 0, 2 * batch.shape[1] + 10).tolist())

    # -------------------------------------------------------------------------------------------------------- decoding

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        self.model.eval()
        self.beam, self.length = beam, length

    def padded(self, rows: list[list[int]]) -> Tensor:
        """Ids (B, S)."""
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD).to(self.device)

    def search(self, batch: list[list[int]]) -> Iterable[int]:
        src = self.padded(batch)
        with self.autocast():
            if self.beam == 1:
                found = greedy(self.model, src, self.length + 1, self.length)
            else:
                found = beam(self.model, src, self.beam, self.length)
        return map(len, found)


@torch.no_grad()  # inference_mode would convert the weights to bf16 at every step
def greedy(model: Translation, src: Tensor, shortest: int, longest: int) -> Tensor:
    """(B, S) to (B, ≤ longest): the likeliest token at each step; EOS not before ``shortest`` tokens."""
    state = model.init_state(*model.encode(src))
    token = torch.full((len(src),), BOS, device=src.device)
    ended, tokens = torch.zeros(len(src), dtype=torch.bool, device=src.device), []
    for t in range(longest):
        logits, state = model.step(token, state)
        logits[:, :EOS] = float("-inf")
        if t + 1 < shortest:
            logits[:, EOS] = float("-inf")
        token = logits.argmax(-1).masked_fill(ended, PAD)
        tokens.append(token)
        ended |= token == EOS
        if t + 1 >= shortest and bool(ended.all()):
            break
    return torch.stack(tokens, 1)


@torch.no_grad()  # inference_mode would convert the weights to bf16 at every step
def beam(model: Translation, src: Tensor, width: int, length: int) -> Tensor:
    """(B, S) to (B, length): a batched beam of fixed length, states repeated for each hypothesis."""
    encoded = tuple(part.repeat_interleave(width, 0) for part in model.encode(src))
    state, count = model.init_state(*encoded), len(src)
    token = torch.full((count * width,), BOS, device=src.device)
    tokens = torch.zeros(count * width, 0, dtype=torch.long, device=src.device)
    scores = torch.full((count, width), float("-inf"), device=src.device)
    scores[:, 0] = 0
    offsets = torch.arange(count, device=src.device)[:, None] * width
    for _ in range(length):
        logits, state = model.step(token, state)
        logits[:, : EOS + 1] = float("-inf")
        totals = scores[:, :, None] + logits.float().log_softmax(-1).view(count, width, -1)
        scores, index = totals.flatten(1).topk(width)
        parents = (offsets + index // logits.shape[-1]).flatten()
        token = (index % logits.shape[-1]).flatten()
        state = tuple(part[parents] for part in state)
        tokens = torch.cat([tokens[parents], token[:, None]], 1)
    return tokens.view(count, width, -1)[:, 0]


if __name__ == "__main__":
    Tutorial(Channel()).run()
