"""Text to ids of subwords and back."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.config.schema import BOS, EOS, PAD, UNK, SubwordConfig
from seq2seq.data import subwords
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError

Pairs = list[tuple[str, str]]

NASTY = {
    "ellipsis": "wait… what",
    "no-break space": "a\u00a0b",
    "half": "½ cup",
    "full width": "ｆｕｌｌ １２",
    "ligature": "ﬁne",
    "emoji": "😀 👩‍👩‍👧 🇩🇪",
    "another script": "한국어 тест 中文",
    "several spaces": "a   b",
    "spaces around": "  a b  ",
    "only spaces": "   ",
    "nothing": "",
    "tab and line ends": "a\tb\u2028c\x0bd\r",
    "zero width": "a\u200bb\ufeff",
    "sentencepiece's own unknown sign": "▅ ⁇",
    "begin and end marks": "<s> a </s> b",
    "other marks": "<pad><unk> <0x41>",
}


def train(pairs: Pairs, **options: object) -> Subwords:
    return subwords.train((s for s, _ in pairs), (t for _, t in pairs), SubwordConfig(**options))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=[("bpe", True), ("bpe", False), ("unigram", True), ("unigram", False)])
def vocabulary(request: pytest.FixtureRequest, pairs: Pairs) -> Subwords:
    """Both algorithms, joint and a side each."""
    kind, joint = request.param
    return train(pairs, type=kind, joint=joint, vocab_size=290)


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_the_round_trip_is_lossless(vocabulary: Subwords, text: str) -> None:
    ids = vocabulary.encode_tgt([text])
    assert vocabulary.decode_tgt(ids) == [text]


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_no_text_spells_a_mark(vocabulary: Subwords, text: str) -> None:
    for encode in (vocabulary.encode_src, vocabulary.encode_tgt):
        *ids, end = encode([text])[0]
        assert end == EOS
        assert not {PAD, UNK, BOS, EOS} & set(ids)


def test_text_that_holds_marks_is_learned_as_text(pairs: Pairs) -> None:
    line = "<s> hello </s> <pad> <unk>\t▅"
    vocabulary = train(pairs + [(line, line)] * 20, vocab_size=330)
    ids = vocabulary.encode_tgt([line])
    assert vocabulary.decode_tgt(ids) == [line]
    assert not {PAD, UNK, BOS, EOS} & set(ids[0][:-1])


def test_decomposed_text_is_composed(vocabulary: Subwords) -> None:
    decomposed = unicodedata.normalize("NFD", "läuft é")
    assert vocabulary.encode_src([decomposed]) == vocabulary.encode_src(["läuft é"])
    assert vocabulary.decode_tgt(vocabulary.encode_tgt([decomposed])) == ["läuft é"]


def test_decomposed_training_text_gives_the_same_vocabulary(pairs: Pairs) -> None:
    decomposed = [(unicodedata.normalize("NFD", s), unicodedata.normalize("NFD", t)) for s, t in pairs]
    assert train(decomposed, vocab_size=300).models == train(pairs, vocab_size=300).models


def test_sentencepieces_space_is_the_one_character_that_is_lost(vocabulary: Subwords) -> None:
    assert vocabulary.decode_tgt(vocabulary.encode_tgt(["a▁b"])) == ["a b"]


def test_without_bytes_an_unknown_character_is_unknown(pairs: Pairs) -> None:
    vocabulary = train(pairs, vocab_size=60, byte_fallback=False)
    assert UNK in vocabulary.encode_tgt(["a ½ b"])[0]
    assert "⁇" in vocabulary.decode_tgt(vocabulary.encode_tgt(["½"]))[0]


def test_marks_keep_their_ids_and_are_left_out_of_text(tiny_subwords: Subwords) -> None:
    assert tiny_subwords.tgt_tokens([PAD, UNK, BOS, EOS]) == ["<pad>", "<unk>", "<s>", "</s>"]
    ids = tiny_subwords.encode_tgt(["the cat"])[0]
    assert tiny_subwords.decode_tgt([[BOS, *ids, PAD, PAD], []]) == ["the cat", ""]


def test_joint_is_one_vocabulary_and_separate_two(pairs: Pairs) -> None:
    joint, separate = train(pairs, vocab_size=300), train(pairs, vocab_size=290, joint=False)
    assert joint.models[0] == joint.models[1] and joint.sizes == (300, 300)
    assert separate.models[0] != separate.models[1] and separate.sizes == (290, 290)
    assert joint.encode_src(["die cat"]) == joint.encode_tgt(["die cat"])
    assert separate.encode_src(["die cat"]) != separate.encode_tgt(["die cat"])


def test_tokens_spell_the_line(tiny_subwords: Subwords) -> None:
    line = "the cat läuft"
    assert "".join(tiny_subwords.src_tokens(tiny_subwords.encode_src([line])[0])) == "▁the▁cat▁läuft</s>"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize(("size", "limit"), [(4_000, r"set it to (\d+) or less"), (20, r"set it to (\d+) or more")])
def test_an_impossible_size_is_answered_with_the_possible_one(pairs: Pairs, kind: str, size: int, limit: str) -> None:
    with pytest.raises(UserError, match=f"data.subwords.vocab_size={size} .* both sides") as error:
        train(pairs, type=kind, vocab_size=size)
    possible = re.search(limit, str(error.value))
    assert possible, error.value
    assert train(pairs, type=kind, vocab_size=int(possible[1])).sizes[0] == int(possible[1])


def test_an_impossible_size_names_the_side(pairs: Pairs) -> None:
    with pytest.raises(UserError, match="the source side"):
        train(pairs, joint=False, vocab_size=4_000)
    with pytest.raises(UserError, match="the target side"):
        train([(s, "ja") for s, _ in pairs], joint=False, vocab_size=290)


@pytest.mark.parametrize("line", [" ", "\u200b", "a▅b", "a " * (1 << 19) + "b"])
def test_no_text_to_learn_from_is_an_error(line: str) -> None:
    said = "SentencePiece has nothing to learn from: every line of both sides is empty, has more than 1,048,576 bytes"
    with pytest.raises(UserError, match=said):
        train([(line, "")], vocab_size=300)


def test_lines_that_sentencepiece_leaves_out_are_counted(pairs: Pairs, capsys: pytest.CaptureFixture[str]) -> None:
    odd = [("a▅b", "x"), ("x", "▅"), ("é " * (1 << 18), "x"), ("é " * (1 << 19), "x")]
    with_odd = train([*pairs, *odd], vocab_size=300)
    assert capsys.readouterr().err == (
        "warning: SentencePiece learns nothing from some lines of both sides, 1 of more than 1,048,576 bytes and 2 "
        "with its own sign ▅ (U+2585): split long lines, replace that sign\n"
    )
    learned = [*pairs, ("x", "x"), ("é " * (1 << 18), "x"), ("", "x")]
    assert with_odd.models == train(learned, vocab_size=300).models
    assert capsys.readouterr().err == ""


def test_unigram_does_not_depend_on_the_cores(pairs: Pairs) -> None:
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        one = train(pairs, type="unigram", vocab_size=300)
    finally:
        os.sched_setaffinity(0, cores)
    assert train(pairs, type="unigram", vocab_size=300).models == one.models


def test_the_number_of_threads_is_fixed(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number is another unigram vocabulary, so it must not be asked of the machine."""
    seen: list[int] = []
    trainer = subwords.sentencepiece.SentencePieceTrainer
    learn = trainer.train
    monkeypatch.setattr(trainer, "train", lambda **options: seen.append(options["num_threads"]) or learn(**options))
    for cpus in (1, 64):
        monkeypatch.setattr(os, "cpu_count", lambda cpus=cpus: cpus)
        train(pairs, vocab_size=300)
    assert len(set(seen)) == 1


def test_a_saved_vocabulary_is_the_same_vocabulary(tiny_subwords: Subwords, tmp_path: Path) -> None:
    tiny_subwords.save(tmp_path)
    loaded = Subwords.load(tmp_path)
    assert loaded.models == tiny_subwords.models
    assert loaded.encode_src(["the cat"]) == tiny_subwords.encode_src(["the cat"])


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_damaged_vocabulary_is_named(tiny_subwords: Subwords, tmp_path: Path, damage: str) -> None:
    tiny_subwords.save(tmp_path)
    path = tmp_path / "tgt.model"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 300 if damage == "cut" else 0])
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        Subwords.load(tmp_path)


def test_options_of_the_other_kind_are_other_vocabularies(pairs: Pairs) -> None:
    base = SubwordConfig(vocab_size=290)
    models = {
        subwords.train((s for s, _ in pairs), (t for _, t in pairs), options).models
        for options in (base, replace(base, type="unigram"), replace(base, vocab_size=295))
    }
    assert len(models) == 3


def test_a_long_line_is_cut_to_its_first_tokens(tiny_subwords: Subwords) -> None:
    line = "the dog sees a cat " * 20
    ids = tiny_subwords.encode_src([line])[0]
    assert tiny_subwords.encode_src([line, "a"], len(ids)) == tiny_subwords.encode_src([line, "a"])
    assert tiny_subwords.encode_src([line], len(ids) - 1) == [[*ids[: len(ids) - 2], EOS]]
    assert tiny_subwords.too_long(0, ["a", line, line + "cat"], len(ids)) == [2]
    assert tiny_subwords.too_long(1, ["a", line], len(ids)) == []


def test_of_a_line_of_any_size_no_more_is_looked_at_than_is_needed(
    tiny_subwords: Subwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    normalise = subwords.normalise
    monkeypatch.setattr(subwords, "normalise", lambda line: seen.append(len(line)) or normalise(line))
    assert len(tiny_subwords.encode_src(["cat " * 250_000], 10)[0]) == 10
    assert seen == [10 * subwords.CHARACTERS]


def test_a_translation_is_one_line_whatever_bytes_it_is_made_of(tiny_subwords: Subwords) -> None:
    """A model may spell a line break in bytes, and a file of translations must have a line for each line."""
    tokens = tiny_subwords.tgt_tokens(range(tiny_subwords.sizes[1]))
    broken = [tokens.index("<0x0A>"), tokens.index("<0x41>")]
    assert tiny_subwords.decode_tgt([[*broken, *broken]]) == [" A A"]
