"""Text to ids of subwords and back (SentencePiece). Knows text, ids and the files of its models; no batches.

Encoding and decoding restore the text: it is normalised to NFC here, and SentencePiece's own normalisation is off, so
that ``…`` or a no-break space can be produced. PAD, BOS and EOS are control symbols, which no text can spell. The one
exception is ``▁`` (U+2581), SentencePiece's sign for a space: it is decoded as a space.
"""

from __future__ import annotations

import io
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from seq2seq.config.schema import BOS, EOS, PAD, UNK, SubwordConfig
from seq2seq.data.blank import is_blank
from seq2seq.data.words import count_words, sentences_of, without_format
from seq2seq.errors import UserError
from seq2seq.system.files import refuse_too_many_open, write_atomically

LONGEST_LEARNED, RESERVED = 1 << 20, "▅"  # bytes of a line, and a sign, which SentencePiece does not learn from
NAMES = ("src.model", "tgt.model")
CHARACTERS = 128  # of a line that are looked at for each token that is kept; SentencePiece learns none of more than 16


class Subwords:
    """The SentencePiece models of both sides; a joint vocabulary is the same model twice."""

    def __init__(self, src_model: bytes, tgt_model: bytes) -> None:
        self.models = (src_model, tgt_model)
        self._src = sentencepiece.SentencePieceProcessor(model_proto=src_model)
        self._tgt = self._src if tgt_model == src_model else sentencepiece.SentencePieceProcessor(model_proto=tgt_model)

    @property
    def processors(self) -> tuple[sentencepiece.SentencePieceProcessor, sentencepiece.SentencePieceProcessor]:
        """SentencePiece's own objects, of the source and of the target."""
        return self._src, self._tgt

    @property
    def sizes(self) -> tuple[int, int]:
        """Sizes of the source and of the target vocabulary."""
        return self._src.vocab_size(), self._tgt.vocab_size()

    def encode_src(self, lines: Sequence[str], longest: int | None = None) -> list[list[int]]:
        """Ids of each line, with EOS at the end; of a line that is ``too_long``, the first and EOS, ``longest`` ids."""
        return _encode(self._src, lines, longest)

    def encode_tgt(self, lines: Sequence[str], longest: int | None = None) -> list[list[int]]:
        """As ``encode_src``."""
        return _encode(self._tgt, lines, longest)

    def too_long(self, side: int, lines: Sequence[str], longest: int) -> list[int]:
        """Indices of the lines of side 0 (source) or 1 (target) that have more than ``longest`` tokens, EOS included.

        A line of more than ``CHARACTERS`` times as many characters is one of them, whatever its tokens are.
        """
        # No token but the space put in front and EOS stands for less than a byte, so few lines need to be encoded.
        asked = [n for n, line in enumerate(lines) if len(normalise(line).encode()) + 2 > longest]
        ids = dict(zip(asked, _encode(self.processors[side], [lines[n] for n in asked], longest + 1), strict=True))
        return [n for n in asked if len(ids[n]) > longest or len(lines[n]) > longest * CHARACTERS]

    def decode_tgt(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text of each sequence, one line: PAD, BOS and EOS are skipped, and a line break (a byte) is a space."""
        texts = (self._tgt.decode([i for i in sequence if i not in (PAD, BOS, EOS)]) for sequence in ids)
        return [text.replace("\n", " ") for text in texts]

    def src_tokens(self, ids: Sequence[int]) -> list[str]:
        """Each token as SentencePiece spells it, ``▁`` for a space."""
        return [self._src.id_to_piece(int(i)) for i in ids]

    def tgt_tokens(self, ids: Sequence[int]) -> list[str]:
        """Each token as SentencePiece spells it, ``▁`` for a space."""
        return [self._tgt.id_to_piece(int(i)) for i in ids]

    def save(self, folder: Path) -> None:
        """Write both models into ``folder``."""
        for name, model in zip(NAMES, self.models, strict=True):
            write_atomically(folder / name, model)

    @classmethod
    def load(cls, folder: Path) -> Subwords:
        """Read what ``save`` wrote. Raises ``UserError`` where a model is missing or damaged."""
        try:
            src, tgt = ((folder / name).read_bytes() for name in NAMES)
            if not (src and tgt):  # SentencePiece accepts an empty model without an error
                raise RuntimeError("an empty file")
            return cls(src, tgt)
        except (OSError, RuntimeError) as error:
            refuse_too_many_open(folder, error)
            raise UserError(
                f"{folder}: no whole subword model ({error}): prepare the data or copy the run again"
            ) from error


def normalise(line: str) -> str:
    """Unicode normal form C, in which each character has one spelling."""
    return unicodedata.normalize("NFC", line)


def _encode(
    processor: sentencepiece.SentencePieceProcessor, lines: Sequence[str], longest: int | None = None
) -> list[list[int]]:
    texts = [normalise(line if longest is None else line[: longest * CHARACTERS]) for line in lines]
    encoded: list[list[int]] = processor.encode(texts, out_type=int, add_eos=True)
    if longest is None:
        return encoded
    return [ids if len(ids) <= longest else [*ids[: longest - 1], EOS] for ids in encoded]


def train(src: Iterable[str], tgt: Iterable[str], options: SubwordConfig) -> Subwords:
    """Train the SentencePiece models on training text.

    Raises:
        UserError: the text does not allow a vocabulary of this size; the message names the nearest possible one.
    """
    if options.joint:
        both = _train_one((line for side in (src, tgt) for line in side), options, "both sides")
        return Subwords(both, both)
    return Subwords(_train_one(src, options, "the source side"), _train_one(tgt, options, "the target side"))


def learn_counted(counted: Sequence[tuple[Counter[str], Counter[str]]], options: SubwordConfig) -> Subwords:
    """As ``train`` (byte pairs alone), from the words of both sides together if joint, else of each; ``left_out``."""
    names = ("both sides",) if options.joint else ("the source side", "the target side")
    models = [learn_from_words(*side, options, name) for side, name in zip(counted, names, strict=True)]
    return Subwords(models[0], models[-1])


def _train_one(lines: Iterable[str], options: SubwordConfig, what: str) -> bytes:
    left_out = Counter[str]()
    if options.type == "unigram":
        return learn(learnable(lines, left_out), left_out, options, what)
    words = Counter[str]()
    count_words(learnable(lines, left_out), words)
    return learn_from_words(words, left_out, options, what)


def learn_from_words(words: Counter[str], left_out: Counter[str], options: SubwordConfig, what: str) -> bytes:
    """As ``learn``, from the number of times that each word occurs (byte pairs alone)."""
    sentences, counted = sentences_of(words)
    model = learn(sentences, left_out, options, what, **({"input_format": "tsv"} if counted else {}))
    return without_format(model)


def learn(sentences: Iterable[str], left_out: Counter[str], options: SubwordConfig, what: str, **more: Any) -> bytes:
    """Train a SentencePiece model.

    Args:
        left_out: lines by the reason why nothing is learned from them, and "learned"; filled by ``learnable``.
        what: the text, for messages.
        more: further options of SentencePiece.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=options.type,
            vocab_size=options.vocab_size,
            byte_fallback=options.byte_fallback,
            character_coverage=options.character_coverage,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=LONGEST_LEARNED,
            user_defined_symbols=[normalise(symbol) for symbol in options.keep],
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            num_threads=2,  # fixed, since the unigram vocabulary depends on it
            minloglevel=2,
            **more,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(_refusal(str(error), options, what, bool(left_out["learned"]))) from error
    reasons = {reason: count for reason, count in left_out.items() if count and reason != "learned"}
    if reasons:
        told = " and ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        print(
            f"warning: SentencePiece learns nothing from some lines of {what}, {told}: "
            "split long lines, replace that sign",
            file=sys.stderr,
        )
    return model.getvalue()


def _refusal(error: str, options: SubwordConfig, what: str, any_lines: bool) -> str:
    """What a user should know of an error of SentencePiece."""
    size = f"data.subwords.vocab_size={options.vocab_size}"
    if not any_lines:
        return (
            f"SentencePiece has nothing to learn from: every line of {what} is empty, has more than "
            f"{LONGEST_LEARNED:,} bytes, or has the sign {RESERVED}: split long lines, replace that sign"
        )
    if possible := re.search(r"<= (\d+)", error):
        return f"{size} is more than the text of {what} allows: set it to {possible[1]} or less"
    if needed := re.search(r"smaller than required_chars\. \d+ vs (\d+)", error):
        return (
            f"{size} is less than the characters of {what} need: "
            f"set it to {needed[1]} or more, or lower data.subwords.character_coverage"
        )
    return f"SentencePiece could not learn a vocabulary from {what}: {error.splitlines()[0]}"


def learnable(lines: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """The lines that SentencePiece learns from; it would leave out the others in silence. ``counts``: by reason."""
    for line in lines:
        text = normalise(line)
        if is_blank(text):
            continue
        if len(text) * 4 > LONGEST_LEARNED and len(text.encode()) > LONGEST_LEARNED:
            counts[f"of more than {LONGEST_LEARNED:,} bytes"] += 1
        elif RESERVED in text:
            counts[f"with its own sign {RESERVED} (U+2585)"] += 1
        else:
            counts["learned"] += 1
            yield text
