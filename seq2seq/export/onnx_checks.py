"""Exported graphs and our model on the same ids and the same text, compared. Knows models; no format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.config.schema import BOS, EOS, PAD, DecodeConfig
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.metrics import BLEU
from seq2seq.export.samples import Sample
from seq2seq.models.interface import Seq2Seq, State, Step, reorder_state

TOLERANCE = 1e-4  # of a logit of up to 10; of larger logits so much more, since their rounding grows with them
SIZES = ((1, 1), (1, 4), (3, 2), (4, 9), (2, 33), (9, 16))  # sentences and source tokens of random batches
STEPS, WIDTH = 12, 3  # of each batch: tokens, and hypotheses from the second token on
BEAM = 5


@dataclass(frozen=True)
class Logits:
    """The largest difference between logits, or attention weights, of two models, and the largest logit."""

    difference: float
    largest: float

    @property
    def agree(self) -> bool:
        """Whether the models compute the same; false for a difference that is NaN."""
        return self.difference <= TOLERANCE * max(1.0, self.largest / 10)


def compare_logits(ours: Seq2Seq, theirs: Seq2Seq, subwords: Subwords, lines: Sequence[str], longest: int) -> Logits:
    """Compare two models step by step, as a search uses them, on random ids and on text of the run.

    Args:
        longest: source tokens of a line.
    """
    difference = largest = 0.0
    for src in _batches(subwords, lines, longest):
        for one, other in zip(_steps(ours, ours, src), _steps(theirs, ours, src), strict=True):
            pairs = [(one.hidden, other.hidden)]
            if one.attention is not None and other.attention is not None:
                pairs.append((one.attention, other.attention))
            for mine, its in pairs:
                apart = float((mine - its).abs().max())
                difference = apart if not apart <= difference else difference  # so that NaN stays
            largest = max(largest, float(one.hidden.abs().max()))
    return Logits(difference, largest)


def _batches(subwords: Subwords, lines: Sequence[str], longest: int) -> Iterator[Tensor]:
    """Batches (B, S) of other sizes than any that a graph was made from."""
    draw = torch.Generator().manual_seed(2)
    for sentences, length in SIZES:
        src = torch.randint(EOS + 1, subwords.sizes[0], (sentences, length), generator=draw)
        for row in range(0, sentences - 1, 2):  # of different lengths, but one has the whole
            src[row, 1 + length * row // sentences :] = PAD
        yield src
    encoded = [torch.tensor(ids) for ids in subwords.encode_src(lines, longest)]
    for size in (1, 4, 16):
        if encoded[:size]:
            yield torch.nn.utils.rnn.pad_sequence(encoded[:size], batch_first=True, padding_value=PAD)
            encoded = encoded[size:]


@torch.no_grad()
def _steps(model: Seq2Seq, guide: Seq2Seq, src: Tensor) -> Iterator[Step]:
    """Steps of ``model``, ``hidden`` being logits, on the tokens that ``guide`` holds likeliest.

    Between steps the hypotheses change places, and in the middle a sentence leaves, as in a search.
    """
    models = (model,) if model is guide else (model, guide)
    memories = [each.encode(src) for each in models]
    states: list[State] = [each.decoder.init_state(memory) for each, memory in zip(models, memories, strict=True)]
    token = torch.full((len(src), 1), BOS)
    for n in range(STEPS):
        given = zip(models, states, memories, strict=True)
        found = [each.decoder.step(token, state, memory) for each, state, memory in given]
        logits = [each.logits(step.hidden) for each, step in zip(models, found, strict=True)]
        yield found[0]._replace(hidden=logits[0])
        rows = torch.arange(len(token))
        if n == STEPS // 2 and len(rows) > 1:
            rows = rows[1:]
            memories = [memory.select(rows) for memory in memories]
        best = logits[-1][rows].flatten(1).topk(WIDTH).indices
        parents, token = best // logits[-1].shape[-1], best % logits[-1].shape[-1]
        states = [reorder_state(step.state, rows, parents) for step in found]


@dataclass(frozen=True)
class Translations:
    """What two models make of the same sentences. Numbers count sentences unless a comment gives another unit."""

    sentences: int
    what: str
    greedy: int  # identical translations
    beam: int  # identical translations with a beam of ``BEAM``
    bleu: tuple[float, ...] | None = None  # of the beam, ours and theirs


def compare_translations(
    ours: Translator, theirs: Translator, sample: Sample, decode: DecodeConfig, language: str
) -> Translations:
    """Translate ``sample`` with both. Options of ``decode`` other than the beam hold for both."""
    identical, texts = [], []
    for beam in (1, BEAM):
        options = DecodeConfig(
            beam=beam,
            length_penalty=decode.length_penalty,
            alpha=decode.alpha,
            max_input=decode.max_input,
            max_ratio=decode.max_ratio,
            max_extra=decode.max_extra,
        )
        texts = [[each[0].text for each in translator.translate(sample.src, options)] for translator in (ours, theirs)]
        identical.append(sum(a == b for a, b in zip(*texts, strict=True)))
    bleu = None
    if sample.references:
        bleu = tuple(BLEU.corpus_score(each, sample.references, language) for each in texts)
    return Translations(len(sample.src), sample.what, identical[0], identical[1], bleu)
