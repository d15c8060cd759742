"""Search: over ids and the step interface. Knows no text and no architecture.

Greedy search is a beam of one, sampling is a beam whose hypotheses do not compete. A hypothesis always ends with EOS,
so its score is what forced scoring gives. Shapes: B sentences still open, K hypotheses, t tokens so far, V pieces,
H attention maps, S source positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.config.schema import BOS, EOS, PAD, UNK, DecodeConfig
from seq2seq.models.interface import Memory, Seq2Seq, State, select

NEVER = [PAD, UNK, BOS]  # no search puts these into a hypothesis


@dataclass(frozen=True)
class Hypothesis:
    """One translation: ``ids`` without EOS, its log-probability with EOS (nats), and the score it is ranked by.

    ``attention`` (t + 1, H, S), a row for each id and EOS, where it was asked for and the model has any.
    """

    ids: list[int]
    log_probability: float
    score: float
    attention: Tensor | None = None


def length_penalty(length: int, options: DecodeConfig) -> float:
    """What the log-probability of a hypothesis of ``length`` tokens, EOS counted, is divided by."""
    if options.length_penalty == "none":
        return 1.0
    if options.length_penalty == "average":
        return float(length)
    return float(((5 + length) / 6) ** options.alpha)  # Wu et al. 2016, equation 14


class Ensemble:
    """One or several models of one vocabulary that read the same tokens; their probabilities are averaged."""

    def __init__(self, models: Sequence[Seq2Seq], src: Tensor) -> None:
        self.models = models
        self.memories: list[Memory] = [model.encode(src) for model in models]
        self.states: list[State] = [m.decoder.start(memory) for m, memory in zip(models, self.memories, strict=True)]

    def step(self, token: Tensor) -> tuple[Tensor, Tensor | None]:
        """Read ``token`` (B, K): log-probabilities (B, K, V), and the first attention (B, K, H, S) there is."""
        log_probabilities, attention = [], None
        for n, model in enumerate(self.models):
            hidden, self.states[n], weights = model.decoder.step(token, self.states[n], self.memories[n])
            log_probabilities.append(model.logits(hidden).float().log_softmax(-1))
            attention = weights if attention is None else attention
        return mean_probability(log_probabilities), attention

    def select(self, rows: Tensor, hypotheses: Tensor, left: bool) -> None:
        """Keep the sentences ``rows`` and their hypotheses (B', K'); memories change only where a sentence has left."""
        self.states = [select(state, rows, hypotheses) for state in self.states]
        if left:
            self.memories = [memory.select(rows) for memory in self.memories]


def mean_probability(log_probabilities: list[Tensor]) -> Tensor:
    """The logarithm of the mean of probabilities given as logarithms."""
    if len(log_probabilities) == 1:
        return log_probabilities[0]
    return torch.stack(log_probabilities).logsumexp(0) - torch.tensor(float(len(log_probabilities))).log()


class Choice(NamedTuple):
    """What is done with the candidates of a step. All (B, K')."""

    parents: Tensor  # the hypothesis that each candidate continues
    tokens: Tensor
    scores: Tensor  # log-probability, -inf where there is no candidate
    ends: Tensor  # True: a finished hypothesis


@torch.no_grad()  # not inference_mode: in it autocast keeps nothing of what it has converted
def search(
    models: Sequence[Seq2Seq], src: Tensor, options: DecodeConfig, attention: bool = False
) -> list[list[Hypothesis]]:
    """Translate ``src`` (B, S) ids: for each sentence its ``options.nbest`` hypotheses, the best first.

    A sentence is done when as many hypotheses as the beam is wide have ended, or when nothing may follow any that is
    left; it then leaves the batch. Where none could end (the options allow none, or the model gives NaN), the answer
    is one empty hypothesis of score -inf. Sampling draws from torch's global generator.
    """
    sentences = list(range(len(src)))  # the number of each open sentence
    limits = ((src != PAD).sum(1) * options.max_ratio + options.max_extra).long().clamp_(min=options.min_length)
    finished: list[list[Hypothesis]] = [[] for _ in sentences]
    width = options.nbest if options.sample else options.beam
    ensemble = Ensemble(models, src)
    history = {"tokens": torch.full((len(src), 1, 1), BOS, device=src.device)}
    scores = torch.zeros(len(src), 1, device=src.device)
    while sentences:
        tokens = history["tokens"]
        log_probabilities, weights = ensemble.step(tokens[:, :, -1])
        if attention and weights is not None:
            past = history.get("attention", weights.new_zeros(*weights.shape[:2], 0, *weights.shape[2:]))
            history["attention"] = torch.cat([past, weights[:, :, None]], 2)
        constrain(log_probabilities, tokens, limits, options)
        choice = (sample if options.sample else extend)(scores, log_probabilities, width, options)
        collect(choice, history, sentences, finished, options)
        choice = survivors(choice, width, options.sample)
        goes_on = choice.scores.isfinite().any(1).tolist()
        open_ = [n for n, sentence in enumerate(sentences) if goes_on[n] and len(finished[sentence]) < width]
        rows = torch.tensor(open_, dtype=torch.long, device=src.device)
        left, sentences = len(open_) < len(sentences), [sentences[n] for n in open_]
        if width > 1 or left:
            history = select(history, rows, choice.parents[rows])
            ensemble.select(rows, choice.parents[rows], left)
            limits = limits[rows]
        history["tokens"] = torch.cat([history["tokens"], choice.tokens[rows][:, :, None]], 2)
        scores = choice.scores[rows]
    nothing = Hypothesis([], float("-inf"), float("-inf"))
    return [sorted(found, key=lambda h: -h.score)[: options.nbest] or [nothing] for found in finished]


def constrain(log_probabilities: Tensor, tokens: Tensor, limits: Tensor, options: DecodeConfig) -> None:
    """Rule out, in place, what may not follow ``tokens`` (B, K, t + 1), BOS included."""
    length = tokens.shape[2] - 1
    for piece in NEVER:
        log_probabilities[..., piece] = float("-inf")
    if length < options.min_length:
        log_probabilities[..., EOS] = float("-inf")
    size = options.no_repeat_ngram
    if size and length >= size:
        for b, k in torch.cartesian_prod(*(torch.arange(n) for n in tokens.shape[:2])).tolist():
            past = tokens[b, k, 1:].tolist()
            ending = past[len(past) - size + 1 :]
            banned = [past[n + size - 1] for n in range(len(past) - size + 1) if past[n : n + size - 1] == ending]
            log_probabilities[b, k, banned] = float("-inf")
    full = (limits <= length).nonzero()[:, 0]
    if len(full):  # at its limit a hypothesis can only end
        end = log_probabilities[full, :, EOS]
        log_probabilities[full] = float("-inf")
        log_probabilities[full, :, EOS] = end


def extend(scores: Tensor, log_probabilities: Tensor, width: int, options: DecodeConfig) -> Choice:
    """The likeliest 2 K continuations of all hypotheses of a sentence: at least K of them do not end.

    Of a single one only the likeliest, for where that ends the sentence is done. Writes into ``log_probabilities``.
    """
    pieces = log_probabilities.shape[-1]
    totals = log_probabilities.add_(scores[:, :, None]).flatten(1)
    if width == 1:
        best, index = totals.max(1, keepdim=True)
    else:
        best, index = totals.topk(min(2 * width, totals.shape[1]))
    tokens = index % pieces
    ends = tokens == EOS
    ends[:, width:] = False  # an ending counts only among the first K
    return Choice(index // pieces, tokens, best, ends & best.isfinite())


def sample(scores: Tensor, log_probabilities: Tensor, width: int, options: DecodeConfig) -> Choice:
    """One draw for each hypothesis, from the tempered and truncated distribution; scored by the model's own."""
    if log_probabilities.shape[1] == 1:  # the first step: all draws start from the same state
        log_probabilities, scores = log_probabilities.expand(-1, width, -1), scores.expand(-1, width)
        parents = torch.zeros(scores.shape, dtype=torch.long, device=scores.device)
    else:
        parents = torch.arange(width, device=scores.device).expand(scores.shape)
    logits = truncate(log_probabilities / options.temperature, options)
    stuck = ~logits.isfinite().any(-1, keepdim=True)  # a dead place, or no way on: whatever is drawn has score -inf
    logits = logits.masked_fill(stuck, 0.0)
    tokens = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1).view(scores.shape)
    totals = scores + log_probabilities.gather(-1, tokens[..., None]).squeeze(-1)
    return Choice(parents, tokens, totals, (tokens == EOS) & totals.isfinite())


def truncate(logits: Tensor, options: DecodeConfig) -> Tensor:
    """Keep the ``top_k`` likeliest, and of these the fewest that make up ``top_p`` (Holtzman et al. 2020)."""
    if options.top_k:
        least = logits.topk(min(options.top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    if options.top_p < 1:
        ordered, index = logits.sort(-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        outside = torch.zeros_like(before, dtype=torch.bool).scatter(-1, index, before >= options.top_p)
        logits = logits.masked_fill(outside, float("-inf"))
    return logits


def collect(
    choice: Choice, history: State, sentences: list[int], finished: list[list[Hypothesis]], options: DecodeConfig
) -> None:
    """Move the hypotheses that end into ``finished``."""
    rows, places = choice.ends.nonzero(as_tuple=True)
    if not len(rows):
        return
    parents = choice.parents[rows, places]
    ended: list[list[int]] = history["tokens"][rows, parents, 1:].tolist()
    maps = history["attention"][rows, parents].unbind() if "attention" in history else [None] * len(ended)
    penalty = length_penalty(history["tokens"].shape[2], options)  # BOS stands in for EOS
    for b, ids, total, attention in zip(rows.tolist(), ended, choice.scores[rows, places].tolist(), maps, strict=True):
        finished[sentences[b]].append(Hypothesis(ids, total, total / penalty, attention))


def survivors(choice: Choice, width: int, sampled: bool) -> Choice:
    """What goes on: of a beam the best K that do not end; of draws all, the ended ones as dead places."""
    ended = choice.ends | (choice.tokens == EOS)
    scores = choice.scores.masked_fill(ended, float("-inf"))
    if sampled:
        return Choice(choice.parents, choice.tokens, scores, ended)
    scores, order = scores.topk(min(width, scores.shape[1]))
    return Choice(choice.parents.gather(1, order), choice.tokens.gather(1, order), scores, ended.gather(1, order))


@torch.no_grad()
def force(models: Sequence[Seq2Seq], src: Tensor, tgt_in: Tensor) -> Tensor:
    """Forced scoring: log-probabilities (B, T, V) of what may follow each prefix of given targets (B, T)."""
    hidden = [(model, model(src, tgt_in).hidden) for model in models]
    return mean_probability([model.logits(states).float().log_softmax(-1) for model, states in hidden])
