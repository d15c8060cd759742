"""An exported folder and our model on the same sentences, compared. Knows CTranslate2's calls; writes nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import sentencepiece
import torch

from seq2seq.config.schema import BOS, EOS, DecodeConfig
from seq2seq.data.subwords import NAMES, normalise
from seq2seq.decoding.ensemble import teacher_forced_log_probs
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import BLEU
from seq2seq.export.samples import Sample

BEAM = 5
TOLERANCE = 1e-3  # nats a sentence
TIE = 1e-4  # nats: between two tokens that are nearer than this, rounding decides
PENALTIES = {"average": 1.0, "none": 1e-6}
"""CTranslate2's ``length_penalty`` for ours; it has no gnmt. Not 0: with it, its search stops by another rule."""


@dataclass(frozen=True)
class Comparison:
    """The result. Numbers count sentences unless a comment gives another unit."""

    sentences: int
    what: str
    compute_type: str
    greedy: int  # identical translations
    ties: int  # greedy translations that differ first where our model gives two tokens the same probability
    beam: int  # identical translations
    limited: int  # beam searches whose best hypothesis, ours or theirs, is as long as our limit: not comparable
    length_penalty: str  # of our beam search
    log_probability: float  # largest difference of a sentence's, in nats, given our greedy translation
    bleu: tuple[float, ...] | None  # beam search, ours and theirs

    @property
    def agrees(self) -> bool:
        """Whether float32 weights translate as ours do; false for a difference that is NaN."""
        return self.greedy + self.ties == self.sentences and self.log_probability < TOLERANCE


def compare(folder: Path, ours: Translator, sample: Sample, decode: DecodeConfig, language: str) -> Comparison:
    """Translate ``sample`` with ``folder`` and with our model, which must compute in float32, and compare.

    Raises:
        UserError: CTranslate2 cannot read the folder or translate with it.
    """
    penalty = decode.length_penalty if decode.length_penalty in PENALTIES else "average"
    try:
        theirs = Exported(folder)
        best = [each[0] for each in ours.translate(sample.src, DecodeConfig(beam=1))]
        log_probability, greedy, ties = _greedy(theirs, ours, sample, best)
        found = [each[0] for each in ours.translate(sample.src, DecodeConfig(beam=BEAM, length_penalty=penalty))]
        their_found = theirs.translate(sample.src, beam_size=BEAM, length_penalty=PENALTIES[penalty])
    except (RuntimeError, ValueError) as error:
        raise UserError(f"CTranslate2 cannot work with what was written: {error}") from error
    bleu = None
    if sample.references:
        texts = ([each.text for each in found], theirs.texts(their_found))
        bleu = tuple(BLEU.corpus_score(each, sample.references, language) for each in texts)
    beam, limited = _beam(found, their_found)
    count, computed = len(sample.src), theirs.compute_type
    return Comparison(count, sample.what, computed, greedy, ties, beam, limited, penalty, log_probability, bleu)


class Exported:
    """An exported folder as its users load it; text is segmented by the SentencePiece models inside it."""

    def __init__(self, folder: Path) -> None:
        ctranslate2.set_log_level(logging.ERROR)  # its warning repeats ``compute_type``
        self.model = ctranslate2.Translator(str(folder), device="cpu", intra_threads=torch.get_num_threads())
        self.src, self.tgt = (sentencepiece.SentencePieceProcessor(model_file=str(folder / name)) for name in NAMES)
        self.compute_type = str(self.model.compute_type)

    def tokens(self, lines: Sequence[str]) -> list[list[str]]:
        """Tokens of each line, without EOS, which CTranslate2 adds."""
        return self.src.encode([normalise(line) for line in lines], out_type=str)

    def translate(self, lines: Sequence[str], **options: Any) -> list[list[str]]:
        """The tokens of each translation, without EOS."""
        source = self.tokens(lines)
        longest = limit(max(map(len, source)) + 1)
        lengths = {"max_input_length": 0, "min_decoding_length": 0, "max_decoding_length": longest}
        never = {"disable_unk": True, "suppress_sequences": [["<pad>"], ["<s>"]]}  # as in our search
        found = self.model.translate_batch(source, max_batch_size=64, **lengths, **never, **options)
        return [result.hypotheses[0] for result in found]

    def log_probabilities(self, lines: Sequence[str], targets: list[list[str]]) -> list[list[float]]:
        """Log-probabilities of each token of given translations, and of the EOS behind them."""
        found = self.model.score_batch(self.tokens(lines), targets, max_batch_size=64, max_input_length=0)
        return [list(result.log_probs) for result in found]

    def texts(self, translations: list[list[str]]) -> list[str]:
        """The text of each translation, in one line."""
        return [" ".join(self.tgt.decode(tokens).split("\n")) for tokens in translations]


def limit(source: int) -> int:
    """The most target tokens that our search makes of ``source`` tokens by default, EOS included on both sides."""
    default = DecodeConfig()
    return int(source * default.max_ratio + default.max_extra)


def _beam(found: Sequence[Translation], theirs: Sequence[list[str]]) -> tuple[int, int]:
    """The numbers of identical translations and of those that reach our limit.

    There our hypotheses end with EOS, whose probability they pay for; CTranslate2's go on, or stop without it.
    """
    identical = limited = 0
    for each, other in zip(found, theirs, strict=True):
        most, own = limit(len(each.src_tokens)), each.tgt_tokens[:-1]
        if max(len(own), len(other)) >= most:
            limited += 1
        else:
            identical += own == other
    return identical, limited


def _greedy(theirs: Exported, ours: Translator, sample: Sample, found: list[Translation]) -> tuple[float, int, int]:
    """The largest difference of log-probability, the number of identical translations, and that of ties."""
    targets = [each.tgt_tokens[:-1] for each in found]
    scores = theirs.log_probabilities(sample.src, targets)
    translations = theirs.translate(sample.src, beam_size=1)
    ids = {token: n for n, token in enumerate(ours.subwords.tgt_tokens(range(ours.subwords.sizes[1])))}
    largest, identical, ties = 0.0, 0, 0
    for n, source in enumerate(ours.subwords.encode_src(sample.src)):
        target = [ids[token] for token in targets[n]]
        tgt_in = torch.tensor([[BOS, *target]])
        rows = teacher_forced_log_probs(ours.models, torch.tensor([source]), tgt_in)[0].double()  # (T, V)
        own = rows[torch.arange(len(rows)), torch.tensor([*target, EOS])]
        difference = abs(float((own - torch.tensor(scores[n], dtype=torch.float64)).sum()))
        largest = difference if not difference <= largest else largest  # so that NaN stays
        # Where our search was stopped by its limit, theirs may have gone on.
        end = [] if len(target) >= limit(len(source)) else [EOS]
        other = [ids[token] for token in translations[n]] + [EOS]
        apart = [place for place, (a, b) in enumerate(zip([*target, *end], other, strict=False)) if a != b]
        if not apart and len(other) >= len(target) + len(end):
            identical += 1
        elif apart and abs(float(rows[apart[0], [*target, *end][apart[0]]] - rows[apart[0], other[apart[0]]])) < TIE:
            ties += 1
    return largest, identical, ties
