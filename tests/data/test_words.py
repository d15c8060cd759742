"""SentencePiece word by word gives what it gives line by line, to the last bit."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Sequence

import pytest
import sentencepiece

from seq2seq.config.schema import BOS, EOS, PAD, UNK, SubwordConfig
from seq2seq.data import subwords
from seq2seq.data.encoding import ChunkEncoder
from seq2seq.data.preparing import stride, subsample
from seq2seq.data.words import LineEncoder

Pairs = list[tuple[str, str]]
ODD = ["", " ", "  a b  ", "a  b", " x", "x ", "½ … ﬁne", "한국어 тест 中文", "a▁b ▁ c", "👩‍👩‍👧 <s> </s>", "x" * 300]
TABS = ["a\tb c", "\t", "c\t"]


def plainly(lines: Iterable[str], options: SubwordConfig) -> bytes:
    """The model that SentencePiece itself learns from lines, as versions before ``words`` have learned it."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=options.type,
        vocab_size=options.vocab_size,
        byte_fallback=options.byte_fallback,
        character_coverage=options.character_coverage,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        max_sentence_length=1 << 20,
        user_defined_symbols=options.keep,
        pad_id=PAD,
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        num_threads=2,
        minloglevel=2,
    )
    return model.getvalue()


@pytest.mark.parametrize("odd", [[], ODD, TABS], ids=["plain", "odd", "tabs"])
@pytest.mark.parametrize(
    "options",
    [
        SubwordConfig(vocab_size=340),
        SubwordConfig(vocab_size=80, byte_fallback=False, character_coverage=0.99),
        SubwordConfig(vocab_size=345, keep=["⟨N⟩", "<b>"]),
    ],
    ids=["bytes", "no bytes", "keep"],
)
def test_what_is_learned_from_counts_is_what_is_learned_from_lines(
    pairs: Pairs, options: SubwordConfig, odd: list[str]
) -> None:
    src, tgt = ([*side, *odd * 3] for side in zip(*pairs, strict=True))
    lines = [line for line in [*src, *tgt] if line.strip()]
    assert subwords.train(src, tgt, options).models[0] == plainly(lines, options)


@pytest.mark.parametrize(
    "options",
    [
        SubwordConfig(vocab_size=300),
        SubwordConfig(vocab_size=300, type="unigram"),
        SubwordConfig(vocab_size=80, byte_fallback=False),
        SubwordConfig(vocab_size=305, keep=["e c", "at"]),
        SubwordConfig(vocab_size=300, keep=["at"]),
    ],
    ids=["bpe", "unigram", "no bytes", "keep with a space", "keep"],
)
def test_a_line_is_encoded_as_sentencepiece_encodes_it(pairs: Pairs, options: SubwordConfig) -> None:
    learned = subwords.train(*zip(*pairs, strict=True), options)
    rng = random.Random(1)
    signs = "".join(sorted({*"".join(line for pair in pairs for line in pair)})) + "   ▁½é中\t\r\x00"
    lines = [*ODD, *TABS, *("".join(rng.choices(signs, k=rng.randrange(30))) for _ in range(2_000))]
    found = ChunkEncoder(learned.models, "uint16", None).encode([lines, lines])
    wanted = learned.encode_src(lines)
    assert found.lengths[0].tolist() == [len(ids) for ids in wanted]
    assert found.ids[0] == b"".join(i.to_bytes(2, "little") for ids in wanted for i in ids)


def test_only_byte_pairs_without_inner_spaces_are_encoded_by_words(pairs: Pairs) -> None:
    def by_words(**options: object) -> bool:
        options = {"vocab_size": 305} | options
        return LineEncoder(
            subwords.train(*zip(*pairs, strict=True), SubwordConfig(**options)).models[0], "uint16"
        ).by_words  # type: ignore[arg-type]

    assert by_words()
    assert not by_words(type="unigram")
    assert not by_words(keep=["e c"])


@pytest.mark.parametrize("most", [1, 3, 10, 16])
def test_one_in_so_many_is_what_subsample_takes(most: int) -> None:
    for count in range(1, 70):
        pairs: Sequence[tuple[str, str]] = [(str(n), "") for n in range(count)]
        assert subsample(pairs, most) == pairs[:: stride(count, most)]
