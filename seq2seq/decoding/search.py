"""Beam search, greedy search and sampling. Knows token ids and the interface of models; no text, no architecture.

Greedy search is beam search with one hypothesis; sampling keeps hypotheses that do not compete. A hypothesis always
ends with EOS, so its log-probability is the one that teacher forcing gives. Shapes: B sentences that are still open,
K hypotheses of a sentence, K' candidates, t tokens so far, V tokens of the vocabulary, H attention maps, S source
positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.config.schema import BOS, EOS, PAD, UNK, DecodeConfig
from seq2seq.decoding.ensemble import Ensemble
from seq2seq.models.interface import Seq2Seq, State, reorder_state

FORBIDDEN = [PAD, UNK, BOS]  # never part of a hypothesis
COLDEST = torch.finfo(torch.float32).tiny  # least temperature whose reciprocal is finite
LEAVE = 0.8  # closed sentences leave the batch when at most this share of it is open: each new size costs copies


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation of one sentence."""

    ids: list[int]  # t token ids, without EOS
    log_probability: float  # of the tokens and EOS, in nats
    score: float  # the log-probability divided by the length penalty
    attention: Tensor | None = None  # (t + 1, H, S), the last row for EOS; where asked for and the model has any
    token_log_probs: list[float] | None = None  # of the t tokens and EOS, in nats; where asked for


def length_penalty(length: int, options: DecodeConfig) -> float:
    """Divisor of the log-probability of a hypothesis of ``length`` tokens, EOS included."""
    if options.length_penalty == "none":
        return 1.0
    if options.length_penalty == "average":
        return float(length)
    return float(((5 + length) / 6) ** options.alpha)  # Wu et al. 2016, equation 14


class Candidates(NamedTuple):
    """Continuations of a sentence's hypotheses by one token. All (B, K')."""

    parents: Tensor  # index of the hypothesis that is continued
    tokens: Tensor
    scores: Tensor  # log-probability, -inf where there is no candidate
    ends: Tensor  # whether the candidate is a finished hypothesis


@torch.no_grad()  # not inference_mode, in which autocast does not cache converted weights
def search(
    models: Sequence[Seq2Seq],
    src: Tensor,
    options: DecodeConfig,
    attention: bool = False,
    probabilities: bool = False,
    mean: bool = False,
) -> list[list[Hypothesis]]:
    """Translate ``src`` (B, S) ids: for each sentence its ``options.nbest`` hypotheses, the best first.

    A sentence is closed when as many hypotheses as the beam is wide have ended (as in fairseq, though by
    ``length_penalty=average`` an open one could still score higher), or when none can be continued. It stays in the
    batch, with scores of -inf, until several can leave it together. Where no hypothesis can end (by the options, or
    because the model gives NaN), the result is an empty one of score -inf. Sampling draws from torch's generator.

    Args:
        attention: whether hypotheses keep the attention weights of their steps; with ``mean``, H is 1, the maps' mean.
        probabilities: whether they keep the log-probability of each token.
    """
    sentences = list(range(len(src)))  # the number of each sentence of the batch
    limits = ((src != PAD).sum(1) * options.max_ratio + options.max_extra).long().clamp_(min=options.min_length)
    finished: list[list[Hypothesis]] = [[] for _ in sentences]
    width = options.nbest if options.sample else options.beam
    ensemble = Ensemble(models, src, mean)
    history = {"tokens": torch.full((len(src), 1, 1), BOS, device=src.device)}
    scores = torch.zeros(len(src), 1, device=src.device)
    while sentences:
        tokens = history["tokens"]
        log_probs, weights = ensemble.step(tokens[:, :, -1])
        append(history, attention=weights if attention else None, totals=scores if probabilities else None)
        constrain(log_probs, tokens, limits, options)
        candidates = (sample_step if options.sample else beam_step)(scores, log_probs, width, options)
        collect_finished(candidates, history, sentences, finished, options)
        candidates = prune(candidates, width, options.sample)
        goes_on = candidates.scores.isfinite().any(1).tolist()
        open_ = [goes_on[n] and len(finished[sentence]) < width for n, sentence in enumerate(sentences)]
        left = sum(open_) <= LEAVE * len(sentences)
        if not left and not all(open_):
            candidates.scores[[n for n, each in enumerate(open_) if not each]] = float("-inf")
        kept = [n for n, each in enumerate(open_) if each or not left]
        sentences = [sentences[n] for n in kept]
        rows = torch.tensor(kept, dtype=torch.long, device=src.device)
        if width > 1 or left:
            history = reorder_state(history, rows, candidates.parents[rows])
            ensemble.select(rows, candidates.parents[rows], left)
            limits = limits[rows]
        history["tokens"] = torch.cat([history["tokens"], candidates.tokens[rows][:, :, None]], 2)
        scores = candidates.scores[rows]
    nothing = Hypothesis([], float("-inf"), float("-inf"))
    return [sorted(found, key=lambda h: -h.score)[: options.nbest] or [nothing] for found in finished]


def append(history: State, **steps: Tensor | None) -> None:
    """Append one step, (B, K, …), to each history that is kept of the hypotheses, (B, K, t, …), in place."""
    for name, step in steps.items():
        if step is not None:
            step = step[:, :, None]
            history[name] = torch.cat([history.get(name, step[:, :, :0]), step], 2)


def constrain(log_probs: Tensor, tokens: Tensor, limits: Tensor, options: DecodeConfig) -> None:
    """Set log-probabilities (B, K, V) of forbidden next tokens to -inf, in place.

    Args:
        tokens: (B, K, t + 1) of each hypothesis, BOS included.
        limits: (B,) greatest length of each sentence's hypotheses, EOS excluded.
    """
    length = tokens.shape[2] - 1
    for token in FORBIDDEN:
        log_probs[..., token] = float("-inf")
    if length < options.min_length:
        log_probs[..., EOS] = float("-inf")
    size = options.no_repeat_ngram
    if size and length >= size:
        for b, k in torch.cartesian_prod(*(torch.arange(n) for n in tokens.shape[:2])).tolist():
            past = tokens[b, k, 1:].tolist()
            ending = past[len(past) - size + 1 :]
            banned = [past[n + size - 1] for n in range(len(past) - size + 1) if past[n : n + size - 1] == ending]
            log_probs[b, k, banned] = float("-inf")
    full = (limits <= length).nonzero()[:, 0]
    if len(full):  # at its limit a hypothesis can only end
        end = log_probs[full, :, EOS]
        log_probs[full] = float("-inf")
        log_probs[full, :, EOS] = end


def beam_step(scores: Tensor, log_probs: Tensor, width: int, options: DecodeConfig) -> Candidates:
    """The likeliest 2 K continuations of a sentence's hypotheses, of which at least K do not end.

    With a beam of one only the likeliest is taken: if it ends, the sentence is finished. ``log_probs`` (B, K, V) is
    overwritten.
    """
    vocabulary = log_probs.shape[-1]
    totals = log_probs.add_(scores[:, :, None]).flatten(1)
    if width == 1:
        best, index = totals.max(1, keepdim=True)
    else:
        best, index = totals.topk(min(2 * width, totals.shape[1]))
    tokens = index % vocabulary
    ends = tokens == EOS
    ends[:, width:] = False  # a hypothesis may end only among the first K
    return Candidates(index // vocabulary, tokens, best, ends & best.isfinite())


def sample_step(scores: Tensor, log_probs: Tensor, width: int, options: DecodeConfig) -> Candidates:
    """One draw for each hypothesis from the tempered and truncated distribution, scored by the model's own."""
    if log_probs.shape[1] == 1:  # the first step: all draws start from the same state
        log_probs, scores = log_probs.expand(-1, width, -1), scores.expand(-1, width)
        parents = torch.zeros(scores.shape, dtype=torch.long, device=scores.device)
    else:
        parents = torch.arange(width, device=scores.device).expand(scores.shape)
    # The likeliest token at 0 stays there, whatever the temperature: else all could become -inf.
    highest = log_probs.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    logits = truncate((log_probs - highest) / max(options.temperature, COLDEST), options)
    stuck = ~logits.isfinite().any(-1, keepdim=True)  # ended, or without a possible token: any draw scores -inf
    logits = logits.masked_fill(stuck, 0.0)
    tokens = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1).view(scores.shape)
    totals = scores + log_probs.gather(-1, tokens[..., None]).squeeze(-1)
    return Candidates(parents, tokens, totals, (tokens == EOS) & totals.isfinite())


def truncate(logits: Tensor, options: DecodeConfig) -> Tensor:
    """Top-k truncation, then nucleus (top-p) truncation (Holtzman et al. 2020): other logits (…, V) become -inf."""
    if options.top_k:
        least = logits.topk(min(options.top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    if options.top_p < 1:
        ordered, index = logits.sort(-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        outside = torch.zeros_like(before, dtype=torch.bool).scatter(-1, index, before >= options.top_p)
        logits = logits.masked_fill(outside, float("-inf"))
    return logits


def collect_finished(
    candidates: Candidates,
    history: State,
    sentences: list[int],
    finished: list[list[Hypothesis]],
    options: DecodeConfig,
) -> None:
    """Append candidates that end to the ``finished`` hypotheses of their sentences."""
    rows, places = candidates.ends.nonzero(as_tuple=True)
    if not len(rows):
        return
    parents = candidates.parents[rows, places]
    ended: list[list[int]] = history["tokens"][rows, parents, 1:].tolist()
    maps = history["attention"][rows, parents].unbind() if "attention" in history else [None] * len(ended)
    penalty = length_penalty(history["tokens"].shape[2], options)  # BOS stands in for EOS
    scores = candidates.scores[rows, places]
    steps: Sequence[list[float] | None] = [None] * len(ended)
    if "totals" in history:  # (…, t + 1), of each prefix from the empty one on
        steps = torch.cat([history["totals"][rows, parents], scores[:, None]], 1).diff().tolist()
    for b, ids, total, attention, each in zip(rows.tolist(), ended, scores.tolist(), maps, steps, strict=True):
        finished[sentences[b]].append(Hypothesis(ids, total, total / penalty, attention, each))


def prune(candidates: Candidates, width: int, sampled: bool) -> Candidates:
    """The hypotheses of the next step: the K best that have not ended; of samples all, ended ones with score -inf."""
    ended = candidates.ends | (candidates.tokens == EOS)
    scores = candidates.scores.masked_fill(ended, float("-inf"))
    if sampled:
        return candidates._replace(scores=scores, ends=ended)
    scores, order = scores.topk(min(width, scores.shape[1]))
    return Candidates(
        candidates.parents.gather(1, order), candidates.tokens.gather(1, order), scores, ended.gather(1, order)
    )
