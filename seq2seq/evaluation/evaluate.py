"""A model and a split to figures: the same call while training, at the test, and from the command line."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from seq2seq.config.schema import DecodeConfig
from seq2seq.data.batches import batched, collate
from seq2seq.decoding.search import force
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.evaluation.lengths import by_thirds
from seq2seq.evaluation.metrics import USUAL, TextMetric, score
from seq2seq.system.files import write_atomically, write_json


@dataclass(frozen=True)
class Evaluation:
    """Figures by name, the translations they were computed from, and each reference's log-probability (nats)."""

    scores: dict[str, Any]
    translations: list[list[Translation]]
    log_probability: list[float]

    def save(self, folder: Path) -> None:
        """Write scores, hypotheses and the references' log-probabilities side by side, a line a sentence."""
        write_atomically(folder / "hypotheses.txt", "".join(f"{best[0].text}\n" for best in self.translations))
        write_atomically(folder / "log_probability.txt", "".join(f"{value:.6f}\n" for value in self.log_probability))
        write_json(folder / "scores.json", self.scores)


@contextmanager
def evaluating(models: Sequence[nn.Module]) -> Iterator[None]:
    """Dropout off inside, as it was outside."""
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


def evaluate(
    translator: Translator,
    src: Sequence[str],
    references: Sequence[str],
    language: str,
    options: DecodeConfig,
    metrics: Sequence[TextMetric] = USUAL,
    translate_first: int | None = None,
    by_length: bool = False,
    done: Callable[[int], None] = lambda count: None,
) -> Evaluation:
    """Teacher-forced likelihood of all references, and translations scored against them.

    Args:
        language: of the references; it decides BLEU's tokeniser.
        translate_first: translate and score only so many sentences.
        by_length: BLEU of the shortest, middle and longest third of the sentences as well.
        done: told how many sentences are finished.
    """
    most = len(src) if translate_first is None else min(translate_first, len(src))
    with evaluating(translator.models):
        likelihood, log_probability = forced(translator, src, references, done)
        started = time.perf_counter()
        translations = translator.translate(src[:most], options, done=done)
        seconds = time.perf_counter() - started
    hypotheses = [best[0].text for best in translations]
    scores: dict[str, Any] = {
        "sentences": most,
        **score(hypotheses, references[:most], language, metrics, src[:most]),
        **likelihood,
    }
    # In characters, so that it means the same for every vocabulary.
    scores["length_ratio"] = sum(map(len, hypotheses)) / max(sum(map(len, references[:most])), 1)
    if by_length:
        scores["by_length"] = by_thirds(src[:most], hypotheses, references[:most], language)
    scores |= {"seconds": seconds, "sentences_per_second": most / max(seconds, 1e-9)}
    return Evaluation(scores, translations, log_probability)


def forced(
    translator: Translator, src: Sequence[str], references: Sequence[str], done: Callable[[int], None]
) -> tuple[dict[str, Any], list[float]]:
    """NLL a token (nats), perplexity, bits a character of the reference, the share of tokens predicted right.

    Also the log-probability of each reference.
    """
    scores = piece_scores(translator, src, references, done)
    log_probability = [-sum(nll) for nll, _ in scores]
    nll, tokens = -sum(log_probability), sum(len(right) for _, right in scores)
    per_token = nll / max(tokens, 1)
    figures = {
        "nll": per_token,
        "ppl": math.exp(min(per_token, 100.0)),
        "bits_per_character": nll / math.log(2) / max(sum(map(len, references)), 1),
        "token_accuracy": sum(sum(right) for _, right in scores) / max(tokens, 1),
        "target_tokens": tokens,
    }
    return figures, log_probability


def piece_scores(
    translator: Translator,
    src: Sequence[str],
    references: Sequence[str],
    done: Callable[[int], None] = lambda count: None,
) -> list[tuple[list[float], list[bool]]]:
    """Under teacher forcing, for each reference: the negative log-probability of each piece; whether it is foremost."""
    encoded = list(zip(translator.subwords.encode_src(src), translator.subwords.encode_tgt(references), strict=True))
    scores: list[tuple[list[float], list[bool]]] = [([], [])] * len(encoded)
    for rows in batched([max(map(len, pair)) for pair in encoded]):
        batch = collate([encoded[n][0] for n in rows], [encoded[n][1] for n in rows]).to(translator.device)
        with translator.autocast():
            predicted = force(translator.models, batch.src, batch.tgt_in)
        nll = -predicted.gather(-1, batch.tgt_out[..., None]).squeeze(-1)
        right = predicted.argmax(-1) == batch.tgt_out
        for n, row, hits in zip(rows, nll.tolist(), right.tolist(), strict=True):
            length = len(encoded[n][1])
            scores[n] = (row[:length], hits[:length])
        done(0)
    return scores
