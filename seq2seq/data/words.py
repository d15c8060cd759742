"""SentencePiece word by word: each different word is encoded once, and byte pairs are learned from counted words.

No subword crosses a space (``▁``), so that BPE segments a line word by word, and learns from nothing but the number of
times that each word occurs. Both results are those of SentencePiece given whole lines, to the last bit, in a fraction
of the time. This does not hold of the unigram model: it sums float scores along the line, and its first candidates are
substrings of lines. Knows words and the protocol buffer of a model; no files and no corpora.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from seq2seq.config.schema import EOS

SPACE = "▁"
KEPT_WORDS = 1 << 19  # of each side, at about 150 bytes
LONGEST_KEPT = 24  # characters; a longer word, or a sentence of a language without spaces, hardly comes again
LONGEST_COUNTED = 1 << 17  # characters
REPEATED = 10_000  # characters of a sentence of one word, again and again


class LineEncoder:
    """Lines in normal form C to the bytes of their ids, EOS at the end."""

    def __init__(self, model: bytes, dtype: str) -> None:
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.dtype, self.by_words = dtype, _is_by_words(model)
        self.end = self._bytes([EOS])
        self.words = _Words(self)
        if self.by_words:
            self.words[""] = self._bytes([self.processor.piece_to_id(SPACE)])

    def encode(self, lines: Sequence[str]) -> list[bytes]:
        """The ids of each line."""
        if not self.by_words:
            return [self._bytes(ids) for ids in self.processor.encode(list(lines), out_type=int, add_eos=True)]
        if len(self.words) > KEPT_WORDS:
            self.words = _Words(self, {"": self.words[""]})
        ids, end = self.words.__getitem__, self.end
        return [
            b"".join(map(ids, line.replace(SPACE, " ").split(" "))) + end if line else end  # an empty line has no ▁
            for line in lines
        ]

    def encode_word(self, word: str) -> bytes:
        """The ids of a word, or of the sign of a space and a word."""
        return self._bytes(self.processor.encode(word, out_type=int))

    def _bytes(self, ids: list[int]) -> bytes:
        return np.array(ids, self.dtype).tobytes()


class _Words(dict[str, bytes]):
    """The ids of the words that have been met."""

    def __init__(self, encoder: LineEncoder, known: Iterable[tuple[str, bytes]] | dict[str, bytes] = ()) -> None:
        super().__init__(known)
        self.encoder = encoder

    def __missing__(self, word: str) -> bytes:
        ids = self.encoder.encode_word(word)
        if len(word) <= LONGEST_KEPT:
            self[word] = ids
        return ids


def _is_by_words(model: bytes) -> bool:
    """Whether the model is BPE in which a space stands nowhere but at the beginning of a subword."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    spelled = {piece.piece for piece in proto.pieces}
    inner = any(SPACE in piece[1:] or " " in piece for piece in spelled)
    return proto.trainer_spec.model_type == proto.trainer_spec.BPE and SPACE in spelled and not inner


def count_words(lines: Iterable[str], words: Counter[str]) -> None:
    """Count the words of lines in normal form C; a line with two spaces in a row, or at an end, counts as a whole."""
    for line in lines:
        split = line.split(" ")
        if "" in split:
            words[line] += 1
        else:
            words.update(split)


def sentences_of(words: Counter[str]) -> tuple[Iterator[str], bool]:
    """Sentences for SentencePiece to learn from, and whether they are in its format ``tsv``, each with its count.

    That format cannot hold a tab, and has no room for a count beside the longest lines; with one of these, each word
    is written as often as it occurs.
    """
    if not any("\t" in word or len(word) > LONGEST_COUNTED for word in words):
        return (f"{word}\t{count}" for word, count in words.items()), True
    return _repeated(words), False


def _repeated(words: Counter[str]) -> Iterator[str]:
    for word, count in words.items():
        if " " in word:  # a whole line
            for _ in range(count):
                yield word
        else:
            at_once = 1 + REPEATED // len(word)
            for start in range(0, count, at_once):
                yield " ".join([word] * min(at_once, count - start))


def without_format(model: bytes) -> bytes:
    """The model without a note of the format that it has learned from, as it is when it learns from lines."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    proto.trainer_spec.ClearField("input_format")
    return bytes(proto.SerializeToString(deterministic=True))
