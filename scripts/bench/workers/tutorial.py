"""A plain PyTorch loop as a good tutorial writes it: no framework, and nothing of ours.

It has what PyTorch's own performance guide recommends (batches by length, fused AdamW, autocast, no waiting for
figures) and none of what takes a project to write.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gate import Gate

gate = Gate()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.utils.rnn import pad_sequence  # noqa: E402
from tutorial_models import BOS, PAD, Translation, build  # noqa: E402

EOS = 3
spec = gate.spec
device = torch.device(spec["device"])


def sequences(arrays: Any, side: str) -> list[Tensor]:
    """The ids of each sentence, EOS at the end."""
    flat, offsets = torch.from_numpy(arrays[side]), arrays[f"{side}_offsets"]
    return [flat[start:end] for start, end in itertools.pairwise(offsets)]


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


def endless(src: list[Tensor], tgt: list[Tensor], budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Padded batches, epoch after epoch."""
    while True:
        batches = batches_by_length(src, tgt, budget)
        random.shuffle(batches)
        for rows in batches:
            yield tuple(pad_sequence([side[n] for n in rows], True, PAD) for side in (src, tgt))


def rate(step: int, tokens: int) -> float:
    """The share of the learning rate at an update: warm-up, then inverse square root or a cosine."""
    warmup = min((step + 1) / spec["warmup"], 1.0)
    if spec.get("schedule") == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * min(tokens / spec["max_tokens"], 1.0)))
        return warmup * (0.02 + 0.98 * fall)
    return min(warmup, math.sqrt(spec["warmup"] / (step + 1)))


def autocast() -> contextlib.AbstractContextManager[Any]:
    """bf16 as the guide shows it, or nothing."""
    if spec["precision"] == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def shifted(tgt: Tensor) -> Tensor:
    """(B, T) ending with EOS to (B, T) beginning with BOS."""
    return torch.cat([torch.full_like(tgt[:, :1], BOS), tgt[:, :-1]], 1)


def train(model: Translation) -> None:
    """The loop."""
    arrays = np.load(Path(spec["data"]) / "train.ids.npz")
    src, tgt = sequences(arrays, "src"), sequences(arrays, "tgt")
    criterion = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=spec["label_smoothing"])
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=spec["lr"], betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0, fused=True
    )
    fixed = tuple(side.to(device) for side in next(endless(src, tgt, spec["batch_tokens"])))
    gate.on_check(lambda: check(model, *fixed))
    gate.on_translate(lambda lines: translate(model, lines))
    announce(model)
    model.train()
    batches = endless(src, tgt, spec["batch_tokens"])
    for source, target in gate.batches(batches, tokens=lambda batch: int((batch[1] != PAD).sum())):
        source, target = source.to(device), target.to(device)
        for group in optimizer.param_groups:
            group["lr"] = spec["lr"] * rate(gate.updates, gate.tokens)
        optimizer.zero_grad()
        with autocast():
            logits = model(source, shifted(target))
            loss = criterion(logits.flatten(0, 1), target.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), spec["clip_norm"])
        optimizer.step()
        if spec["label_smoothing"] == 0:  # only then is the loss the likelihood
            tokens = int((target != PAD).sum())
            gate.loss(loss.detach() * tokens, tokens)


@torch.no_grad()
def check(model: Translation, src: Tensor, tgt: Tensor) -> dict[str, float]:
    """The criterion's value on a batch, and the same from the logits by hand."""
    model.eval()
    with autocast():
        logits = model(src, shifted(tgt))
        own = nn.CrossEntropyLoss(ignore_index=PAD)(logits.flatten(0, 1), tgt.flatten())
    model.train()
    real = tgt != PAD
    by_hand = -logits.float().log_softmax(-1).gather(-1, tgt[..., None]).squeeze(-1)[real].mean()
    return {"own": float(own), "recomputed": float(by_hand)}


def announce(model: Translation) -> None:
    """Tell the bench what this is."""
    count = sum(parameter.numel() for parameter in model.parameters())
    gate.ready(torch.__version__, count, ["fused AdamW, batches by length"] if spec["task"] == "train" else [])


@torch.no_grad()  # inference_mode would convert the weights to bf16 at every step
def greedy(model: Translation, src: Tensor, shortest: int, longest: int) -> Tensor:
    """(B, S) to (B, ≤ longest): the likeliest token at each step; EOS not before ``shortest`` tokens."""
    state = model.start(*model.encode(src))
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
    state, count = model.start(*encoded), len(src)
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


def decode(model: Translation) -> None:
    """Search on batches of test sentences, with exactly ``length`` tokens a hypothesis."""
    asked, ids = spec["decode"], piece_ids()
    lines = (Path(spec["data"]) / "test.pieces.src").read_text(encoding="utf-8").split("\n")[:1000]
    rows = sorted(([ids.get(piece, 1) for piece in line.split(" ")] + [EOS] for line in lines if line), key=len)[::-1]
    size = asked["batch"]
    batches = [rows[n : n + size] for n in range(0, len(rows) - size + 1, size)]
    model.eval()
    announce(model)
    for sources in gate.batches(itertools.cycle(batches), lambda sources: len(sources) * asked["length"]):
        batch = padded(sources)
        with autocast():
            if asked["beam"] == 1:
                greedy(model, batch, asked["length"] + 1, asked["length"])
            else:
                beam(model, batch, asked["beam"], asked["length"])


def translate(model: Translation, lines: list[list[str]]) -> list[list[str]]:
    """Greedily, a batch of similar lengths at a time, in the order of the lines."""
    ids, pieces = piece_ids(), vocabulary()
    order = sorted(range(len(lines)), key=lambda n: -len(lines[n]))
    found: list[list[str]] = [[] for _ in lines]
    model.eval()
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        batch = padded([[ids.get(piece, 1) for piece in lines[n]] + [EOS] for n in rows])
        with autocast():
            tokens = greedy(model, batch, 0, 2 * batch.shape[1] + 10).tolist()
        for n, row in zip(rows, tokens, strict=True):
            found[n] = [pieces[i] for i in itertools.takewhile(lambda i: i != EOS, row)]
    model.train()
    return found


def vocabulary() -> list[str]:
    """The piece of each id."""
    return (Path(spec["data"]) / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]


def piece_ids() -> dict[str, int]:
    """The id of each piece."""
    return {piece: n for n, piece in enumerate(vocabulary())}


def padded(rows: list[list[int]]) -> Tensor:
    """(B, S)."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD).to(device)


def main() -> None:
    """One worker's life."""
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(spec["seed"])
    random.seed(spec["seed"])
    model = build(spec["model"], len(vocabulary()), spec["size"], spec["dropout"]).to(device)
    (train if spec["task"] == "train" else decode)(model)


main()
