"""Evaluation of a model on a split: the same call for validation, for the test and for ``seq2seq evaluate``.

Knows translators, texts and metrics; knows no run and no table.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from seq2seq.config.schema import DecodeConfig
from seq2seq.data.lengths import WORDS, unit_of
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.ensemble import score_targets
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import BLEU, USUAL, SacreBLEUMetric, check_scored_lengths, score
from seq2seq.runs.evaluations import EVALUATION_FILES
from seq2seq.runs.records import Details, Likelihood, Scores, Third
from seq2seq.system.files import write_atomically, write_json

NAMED = 20  # line numbers in a message
THIRDS = ("shortest", "middle", "longest")
Done = Callable[[int], None]
"""Called after each batch with the number of sentences that it finished: 0 of teacher forcing. It may raise to stop."""


@dataclass(frozen=True)
class Evaluation:
    """Scores, the n-best translations they were computed from, and the log-probability (nats) of each reference."""

    scores: Scores
    translations: list[list[Translation]]
    log_probability: list[float]

    def curves(self, split: str, *more: str) -> dict[str, float]:
        """Scores as points of curves, by TensorBoard tag (for example ``valid/nll``); ``more`` names further scores."""
        scores: Mapping[str, Any] = self.scores
        names = ("nll", "ppl", *(metric.key for metric in USUAL), "token_accuracy", *more)
        return {f"{split}/{name}": scores[name] for name in names}

    def save(self, folder: Path) -> None:
        """Write ``scores.json``, and hypotheses and the references' log-probabilities with a line a sentence."""
        hypotheses, log_probability, scores = (folder / name for name in EVALUATION_FILES)
        write_atomically(hypotheses, "".join(f"{best[0].text}\n" for best in self.translations))
        write_atomically(log_probability, "".join(f"{value:.6f}\n" for value in self.log_probability))
        write_json(scores, self.scores)


@contextmanager
def evaluating(models: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode inside the context; each model's own mode again after it."""
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
    metrics: Sequence[SacreBLEUMetric] = USUAL,
    translate_first: int | None = None,
    by_length: bool = False,
    done: Done = lambda count: None,
) -> Evaluation:
    """Compute the likelihood of all references under teacher forcing, and score translations against them.

    Args:
        language: of the references; it decides BLEU's tokeniser.
        translate_first: translate and score only so many sentences.
        by_length: also score the shortest, middle and longest third of the sentences.
    """
    most = len(src) if translate_first is None else min(translate_first, len(src))
    with evaluating(translator.models):
        likelihood, log_probability = reference_likelihood(translator, src, references, done, options.max_input)
        started = time.perf_counter()
        translations = translator.translate(src[:most], options, done=done)
        seconds = time.perf_counter() - started
    hypotheses = [best[0].text for best in translations]
    texts = hypotheses, references[:most], language
    details: Details = {"by_length": by_thirds(src[:most], *texts)} if by_length else {}
    scores: Scores = {
        "sentences": most,
        **score(*texts, metrics),
        **likelihood,
        "length_ratio": sum(map(len, hypotheses)) / max(sum(map(len, references[:most])), 1),
        **details,
        "seconds": seconds,
        "sentences_per_second": most / max(seconds, 1e-9),
    }
    return Evaluation(scores, translations, log_probability)


def check_lengths(
    subwords: Subwords,
    src: Sequence[str],
    references: Sequence[str],
    options: DecodeConfig,
    metrics: Sequence[SacreBLEUMetric] = (),
    where: str = "",
) -> list[str]:
    """What a user should know of lines that are too long, before anything is computed: each line by its number.

    Args:
        metrics: that will score the references.
        where: begins each message, as the name of a split.

    Returns:
        A message for each side of which lines will be cut.

    Raises:
        UserError: ``options.too_long`` says that such lines are refused, or a reference is too long to be scored.
    """
    check_scored_lengths(references, f"{where}references", metrics)
    told = []
    for side, (name, lines) in enumerate((("source", src), ("reference", references))):
        numbers = [n + 1 for n in subwords.too_long(side, lines, options.max_input)]
        if not numbers:
            continue
        lines_are = f"{where}{name} line {', '.join(map(str, numbers[:NAMED]))}"
        more = f" and {len(numbers) - NAMED:,} more" if len(numbers) > NAMED else ""
        told.append(f"{lines_are}{more}: more than decode.max_input={options.max_input} tokens")
        if options.too_long == "refuse":
            raise UserError(f"{told[-1]}: shorten what is too long, or set decode.too_long=cut")
    return [f"{each}: only the first are read" for each in told]


def reference_likelihood(
    translator: Translator,
    src: Sequence[str],
    references: Sequence[str],
    done: Done = lambda count: None,
    longest: int = DecodeConfig.max_input,
) -> tuple[Likelihood, list[float]]:
    """Scores of the references under teacher forcing, and the log-probability (nats) of each reference."""
    tokens = token_log_probs(translator, src, references, done, longest)
    log_probability = [-sum(-each for each in log_probs) for log_probs, _ in tokens]  # -0.0 for a certain sentence
    nll, count = -sum(log_probability), sum(len(is_argmax) for _, is_argmax in tokens)
    likelihood: Likelihood = {
        "nll": nll / max(count, 1),
        "ppl": math.exp(min(nll / max(count, 1), 100.0)),
        "bits_per_character": nll / math.log(2) / max(_characters_read(translator.subwords, references, longest), 1),
        "token_accuracy": sum(sum(is_argmax) for _, is_argmax in tokens) / max(count, 1),
        "target_tokens": count,
    }
    return likelihood, log_probability


def _characters_read(subwords: Subwords, references: Sequence[str], longest: int) -> int:
    """The characters of the references, of one that is longer than ``longest`` tokens those that were read."""
    read, cut = list(references), subwords.too_long(1, references, longest)
    beginnings = subwords.decode_tgt(subwords.encode_tgt([references[n] for n in cut], longest))
    for n, beginning in zip(cut, beginnings, strict=True):
        read[n] = beginning
    return sum(map(len, read))


def token_log_probs(
    translator: Translator,
    src: Sequence[str],
    references: Sequence[str],
    done: Done = lambda count: None,
    longest: int = DecodeConfig.max_input,
) -> list[tuple[list[float], list[bool]]]:
    """Under teacher forcing, for each reference: the log-probability of each token, and whether it is the argmax.

    Args:
        longest: tokens that are read of a source and of a reference, EOS included; longer ones are cut.
    """
    sources, targets = translator.subwords.encode_src(src, longest), translator.subwords.encode_tgt(references, longest)
    scores: list[tuple[list[float], list[bool]]] = [([], [])] * len(targets)
    for rows, batch in translator.teacher_forcing_batches(sources, targets):
        with translator.autocast():
            picked, is_argmax = score_targets(
                translator.models, batch.src, batch.tgt_in, batch.tgt_out, translator.subwords.sizes[1]
            )
        for n, row, hits in zip(rows, picked.tolist(), is_argmax.tolist(), strict=True):
            scores[n] = (row[: len(targets[n])], hits[: len(targets[n])])
        done(0)
    if translator.group.world > 1:
        for part in translator.group.collect({n: each for n, each in enumerate(scores) if each[0]}):
            for n, (row, hits) in part.items():
                scores[int(n)] = (row, hits)
    return scores


def by_thirds(src: Sequence[str], hypotheses: Sequence[str], references: Sequence[str], language: str) -> list[Third]:
    """BLEU of the shortest, the middle and the longest third of the sentences, by the source's length.

    Long sentences are where a fixed-size context vector loses quality. The list is empty if there are fewer than
    three sentences.
    """
    if len(src) < len(THIRDS):
        return []
    unit = unit_of(src)
    lengths = unit.counts(src)
    order = sorted(range(len(src)), key=lambda n: lengths[n])
    rows: list[Third] = []
    for part, name in enumerate(THIRDS):
        chosen = order[len(order) * part // 3 : len(order) * (part + 1) // 3]
        bleu = BLEU.corpus_score([hypotheses[n] for n in chosen], [references[n] for n in chosen], language)
        least, most = lengths[chosen[0]], lengths[chosen[-1]]
        row = Third(third=name, from_words=least, to_words=most, unit=unit.name, sentences=len(chosen), bleu=bleu)
        rows.append(row)
    return rows


def figures_by_length(scores: Scores) -> dict[str, str]:
    """The rows of a table: BLEU of each third of the sentences, where ``scores`` has them."""
    found = {}
    for row in scores.get("by_length", []):
        lengths = f"{row['from_words']}–{row['to_words']} {row.get('unit', WORDS.name)}"
        found[f"  BLEU, {row['third']} third ({lengths})"] = f"{row['bleu']:.2f}"
    return found
