"""The measurement "interventions": translations when other attention weights replace the learned ones at test time.

Knows the interface of models, and texts; no architecture. Shapes as in ``models/interface``.
"""

from __future__ import annotations

import functools
import random

import torch
from torch import Tensor

from seq2seq.analysis.loaded_run import LoadedRun, evenly
from seq2seq.models.interface import AttentionOverride
from seq2seq.runs.records import Interventions, Replaced

SENTENCES = 200  # translated under each intervention


def uniform(weights: Tensor, mask: Tensor) -> Tensor:
    """The same weight at every real position."""
    return (mask / mask.sum(-1, keepdim=True)).expand_as(weights)


def last(weights: Tensor, mask: Tensor) -> Tensor:
    """All weight on the last real position, that of EOS."""
    positions = torch.arange(mask.shape[-1], device=mask.device)
    return (positions == mask.sum(-1, keepdim=True) - 1).to(weights.dtype).expand_as(weights)


def shuffled(weights: Tensor, mask: Tensor) -> Tensor:
    """Weights permuted among the real positions, by one permutation a sentence for all steps and maps."""
    length = mask.shape[-1]
    index = torch.tensor([[*cycle(n), *range(n, length)] for n in mask.sum(-1).flatten().tolist()])
    return weights.gather(-1, index.view(mask.shape).to(weights.device).expand_as(weights))


@functools.cache
def cycle(length: int) -> tuple[int, ...]:
    """A random permutation without fixed points (Sattolo's algorithm), the same at each call with this length."""
    rng, order = random.Random(f"shuffled/{length}"), list(range(length))
    for end in range(length - 1, 0, -1):
        other = int(rng.random() * end)
        order[end], order[other] = order[other], order[end]
    return tuple(order)


INTERVENTIONS: dict[str, AttentionOverride | None]
INTERVENTIONS = {"trained": None, "uniform": uniform, "last": last, "shuffled": shuffled}


def measure(run: LoadedRun) -> Interventions:
    """Translate greedily with the trained attention weights and with each replacement."""
    chosen = evenly(run.src, SENTENCES)
    options = run.search_options(beam=1)
    rows: list[Replaced] = []
    for name, override in INTERVENTIONS.items():
        if override is None or run.config.model.attention_maps:
            with run.model.overridden_attention(override):
                found = run.translator.translate([run.src[n] for n in chosen], options)
            rows.append({"attention": name, "hypotheses": [best[0].text for best in found]})
    return {"search": "greedy", "sentences": chosen, "rows": rows}
