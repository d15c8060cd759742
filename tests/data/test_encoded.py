"""The prepared corpus on disk: what is in it, when it is made anew, and that no half of it is ever left."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seq2seq.config.schema import EOS, DataConfig, FilterConfig, GrammarConfig, SplitConfig, SubwordConfig
from seq2seq.data import encoded, preparing, ragged
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.data.encoding import ChunkEncoder, Encoded
from seq2seq.data.preparing import chunks, subsample
from seq2seq.data.ragged import RaggedArray, RaggedWriter
from seq2seq.errors import UserError

Pairs = list[tuple[str, str]]
Make = Callable[..., DataConfig]

VALID = [("the cat", "die Katze"), ("", ""), ("the dog " * 60, "der Hund"), ("the cat", "die Katze"), ("½ …", "\u00a0")]


@pytest.fixture
def make(tmp_path: Path, pairs: Pairs) -> Make:
    """``make(train=…, test=…, filters=…)``: text files and the options that read them."""

    def write(
        train: Pairs = pairs, valid: Pairs = VALID, test: Pairs = VALID, filters: FilterConfig | None = None
    ) -> DataConfig:
        splits = {}
        for name, rows in {"train": train, "valid": valid, "test": test}.items():
            files = [tmp_path / f"{name}.{side}" for side in ("en", "de")]
            for side, file in enumerate(files):
                file.write_text("".join(f"{row[side]}\n" for row in rows), encoding="utf-8")
            splits[name] = SplitConfig(src=str(files[0]), tgt=str(files[1]))
        return DataConfig(
            source="text",
            **splits,
            cache=str(tmp_path / "cache"),
            subwords=SubwordConfig(vocab_size=300),
            filters=filters or FilterConfig(),
        )

    return write


def prepared_folders(data: DataConfig) -> list[Path]:
    root = Path(data.cache) / "prepared"
    return sorted(root.iterdir()) if root.exists() else []


# ------------------------------------------------------------------------------------------------------- contents


def test_ids_and_offsets_give_back_the_text(make: Make, pairs: Pairs) -> None:
    corpus = prepare(make())
    train = corpus.splits["train"]
    assert len(train) == len(pairs)
    src = [train.src[row].tolist() for row in range(len(train))]
    tgt = [train.tgt[row].tolist() for row in range(len(train))]
    assert src == corpus.subwords.encode_src([s for s, _ in pairs])
    assert corpus.subwords.decode_tgt(tgt) == [t for _, t in pairs]
    assert list(map(len, train.src)) == list(map(len, src))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_valid_and_test_are_never_filtered_nor_changed(make: Make, split: str) -> None:
    corpus = prepare(make(filters=FilterConfig(max_length=20, max_ratio=1.0, deduplicate=True)))
    found = corpus.splits[split]
    assert list(zip(found.lines(0), found.lines(1), strict=True)) == VALID
    assert found.src[1].tolist() == found.tgt[1].tolist() == [EOS]
    assert len(found.src[2]) > 20
    assert corpus.counts[split]["read"] == corpus.counts[split]["kept"] == len(VALID)


def test_drops_are_counted_by_reason(make: Make, pairs: Pairs) -> None:
    unique = list(dict.fromkeys(pairs))
    bad = [("", "die"), ("the", " "), ("", ""), *unique[:4], ("cat " * 200, "Katze " * 200), ("the", "die " * 40)]
    filters = FilterConfig(max_length=128, max_ratio=3.0, deduplicate=True)
    corpus = prepare(make(train=unique + bad, filters=filters))
    counts = corpus.counts["train"]
    assert counts["dropped"] == {"empty": 3, "duplicate": 4, "too long": 1, "length ratio": 1}
    assert counts["read"] == len(unique) + 9
    assert counts["kept"] == len(corpus.splits["train"]) == len(unique)
    assert counts["target_tokens"] == sum(map(len, corpus.splits["train"].tgt))


def test_pairs_that_train_shares_with_valid_and_test_are_counted(make: Make, pairs: Pairs) -> None:
    unique = list(dict.fromkeys(pairs))
    valid = [unique[0], (unique[1][0], "etwas anderes")]
    test = [unique[2], (f" {unique[3][0]}", f"{unique[3][1]} "), unique[0]]
    counts = prepare(make(train=[*unique, unique[0]], valid=valid, test=test)).counts
    assert counts["train"]["overlap"] == 4  # 0 twice, 2 and 3
    assert (counts["train"]["valid_in_train"], counts["train"]["test_in_train"]) == (1, 3)
    assert counts["train"]["kept"] == len(unique) + 1


def test_overlap_counts_kept_pairs_alone(make: Make, pairs: Pairs) -> None:
    long = ("cat " * 200, "Katze " * 200)
    assert prepare(make(train=[*pairs, long], test=[long])).counts["train"]["overlap"] == 0


def test_subwords_learn_from_training_text_alone(make: Make, pairs: Pairs) -> None:
    first = prepare(make()).subwords.models
    assert prepare(make(test=[("quite another text", "ein ganz anderer Text")] * 50)).subwords.models == first
    assert prepare(make(train=[*pairs, ("quite another text", "ein ganz anderer Text")])).subwords.models != first


def test_chunks_do_not_show(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make()
    whole = prepare(data)
    monkeypatch.setattr(preparing, "CHUNK", 7)
    parts = prepare(replace(data, cache=f"{data.cache}-again"))
    assert parts.counts == whole.counts
    for split in ("train", "valid", "test"):
        assert np.array_equal(parts.splits[split].tgt.values, whole.splits[split].tgt.values)
        assert np.array_equal(parts.splits[split].src.offsets, whole.splits[split].src.offsets)


def test_training_text_is_kept_only_where_segmentation_is_sampled(make: Make, pairs: Pairs) -> None:
    data = make()
    assert prepare(data).splits["train"].text is None
    train = prepare(replace(data, subwords=replace(data.subwords, sampling=0.1))).splits["train"]
    assert list(zip(train.lines(0), train.lines(1), strict=True)) == pairs


def test_no_pair_left_is_an_error(make: Make) -> None:
    with pytest.raises(UserError, match="no pair is left after filtering"):
        prepare(make(filters=FilterConfig(max_length=2)))
    with pytest.raises(UserError, match="empty side"):
        prepare(make(train=[("a", ""), ("", "b")]))


# ---------------------------------------------------------------------------------------------------------- cache


def test_a_prepared_corpus_is_opened_not_made_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make()
    first = prepare(data)
    monkeypatch.setattr(preparing, "write", lambda *_: pytest.fail("prepared twice"))
    second = prepare(data)
    assert second.folder == first.folder
    assert second.counts == first.counts
    assert second.fingerprint == first.fingerprint


CHANGES: dict[str, Callable[[DataConfig], DataConfig]] = {
    "max_length": lambda d: replace(d, filters=FilterConfig(max_length=64)),
    "max_ratio": lambda d: replace(d, filters=FilterConfig(max_ratio=4.0)),
    "deduplicate": lambda d: replace(d, filters=FilterConfig(deduplicate=True)),
    "vocab_size": lambda d: replace(d, subwords=replace(d.subwords, vocab_size=290)),
    "type": lambda d: replace(d, subwords=replace(d.subwords, type="unigram")),
    "joint": lambda d: replace(d, subwords=replace(d.subwords, joint=False)),
    "training_pairs": lambda d: replace(d, subwords=replace(d.subwords, training_pairs=30)),
    "sampling": lambda d: replace(d, subwords=replace(d.subwords, sampling=0.1)),
    "take": lambda d: replace(d, take=30),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_option_is_another_corpus(make: Make, change: Callable[[DataConfig], DataConfig]) -> None:
    data = make()
    assert prepare(change(data)).folder != prepare(data).folder
    assert len(prepared_folders(data)) == 2


def test_another_text_is_another_corpus(make: Make, pairs: Pairs) -> None:
    first = prepare(make())
    second = prepare(make(train=pairs[::-1]))
    third = prepare(make(test=VALID[1:]))
    assert len({corpus.folder for corpus in (first, second, third)}) == 3
    assert len({corpus.fingerprint for corpus in (first, second, third)}) == 3


def test_what_changes_no_id_makes_no_other_corpus(make: Make) -> None:
    data = make()
    sampled = replace(data, subwords=replace(data.subwords, sampling=0.1))
    more = replace(data, subwords=replace(data.subwords, sampling=0.2))
    assert prepare(sampled).folder == prepare(more).folder
    assert prepare(replace(data, name="another", split="valid")).folder == prepare(data).folder


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("no more"), MemoryError])
def test_an_interrupted_preparation_leaves_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException] | OSError
) -> None:
    data = make()
    encode, calls = ChunkEncoder.encode, []

    def interrupted(self: ChunkEncoder, sides: list[list[str]]) -> Encoded:
        calls.append(1)
        if len(calls) == 2:  # train is written, valid is not
            raise failure
        return encode(self, sides)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkEncoder, "encode", interrupted)
        with pytest.raises(UserError if isinstance(failure, OSError) else failure):
            prepare(data)
    assert prepared_folders(data) == []
    corpus: Corpus = prepare(data)
    assert prepared_folders(data) == [corpus.folder]


def test_a_cache_that_cannot_be_written_is_named(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"set data\.cache to a folder that can be written"):
        prepare(replace(make(), cache=str(tmp_path / "file")))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no counts": lambda folder: (folder / "counts.json").unlink(),
    "counts cut": lambda folder: (folder / "counts.json").write_text('{"dtype": "uint16"'),
    "no ids": lambda folder: (folder / "train.src.uint16").unlink(),
    "ids cut": lambda folder: (folder / "train.tgt.uint16").write_bytes(b"1234"),
    "no offsets": lambda folder: (folder / "valid.src.offsets.npy").unlink(),
    "offsets cut": lambda folder: (folder / "valid.src.offsets.npy").write_bytes(b"1234"),
    "no text": lambda folder: (folder / "test.src.text.offsets.npy").unlink(),
    "no subwords": lambda folder: (folder / "src.model").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_corpus_is_named_with_what_to_do(make: Make, damage: Callable[[Path], None]) -> None:
    data = make()
    folder = prepare(data).folder
    damage(folder)
    with pytest.raises(UserError) as error:
        prepare(data)
    assert str(folder) in str(error.value)
    assert "delete" in str(error.value)


# ---------------------------------------------------------------------------------------------------------- parts


def test_flat_arrays_hold_sequences_of_any_length(tmp_path: Path) -> None:
    writer = RaggedWriter(tmp_path, "x", "uint16")
    writer.extend([[1, 2, 3], [], [65_535]])
    writer.extend([])
    writer.extend([[7]])
    writer.close()
    ragged = RaggedArray(tmp_path, "x", "uint16")
    assert [ragged[row].tolist() for row in range(len(ragged))] == [[1, 2, 3], [], [65_535], [7]]
    assert list(map(len, ragged)) == [3, 0, 1, 1]


@pytest.mark.parametrize("block", [2, 1 << 20])
def test_offsets_are_written_in_pieces_as_numpy_saves_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(ragged, "BLOCK", block)
    writer = RaggedWriter(tmp_path, "x", "uint16")
    writer.extend([[1] * n for n in (3, 0, 1, 5, 2)])
    writer.close()
    np.save(tmp_path / "y.npy", np.array([0, 3, 3, 4, 9, 11]))
    assert (tmp_path / "x.offsets.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_flat_arrays_may_be_empty(tmp_path: Path) -> None:
    writer = RaggedWriter(tmp_path, "x", "uint8")
    writer.extend([b"", b""])
    writer.close()
    ragged = RaggedArray(tmp_path, "x", "uint8")
    assert [ragged[row].tobytes() for row in range(len(ragged))] == [b"", b""]


@pytest.mark.parametrize(("count", "most"), [(5, 10), (10, 10), (11, 10), (100, 10), (1_000, 1)])
def test_thin_keeps_at_most_so_many_evenly(count: int, most: int) -> None:
    kept = subsample(((str(n), "") for n in range(count)), most)
    places = [int(src) for src, _ in kept]
    assert len(kept) == count if count <= most else most / 2 <= len(kept) <= most
    assert len(set(np.diff(places))) <= 1
    assert places[0] == 0


def test_chunks_are_whole_but_for_the_last() -> None:
    rows = [(str(n), "") for n in range(7)]
    assert list(chunks(rows, 3)) == [rows[:3], rows[3:6], rows[6:]]
    assert list(chunks([], 3)) == []


def test_too_few_file_handles_are_no_reason_to_delete_a_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none_left(*_: object) -> Corpus:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(encoded, "_open", none_left)
    data = DataConfig(cache=str(tmp_path), grammar=GrammarConfig(pairs=30, valid=5, test=8, max_words=9))
    data.subwords.vocab_size = 320
    with pytest.raises(UserError, match="too many files are open: allow more"):
        prepare(data)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("counts.json", lambda b: b.replace(b'"uint16"', b'"int32"'), "counts.json says int32, not uint16"),
        ("counts.json", lambda b: b.replace(b'"overlap"', b'"overlop"'), "train.overlap is missing"),
        ("train.src.uint16", lambda b: b"\xff\xff" + b[2:], "holds ids that the vocabulary does not have"),
        ("train.src.uint16", lambda b: b[:-2], "values, not"),
        ("valid.tgt.offsets.npy", lambda b: b[:-8] + b"\xff" * 8, "holds offsets that fall"),
        ("valid.tgt.offsets.npy", lambda b: b[:40], "is no whole prepared corpus"),
    ],
)
def test_a_prepared_corpus_is_checked_against_its_record(
    make: Make, name: str, change: Callable[[bytes], bytes], said: str
) -> None:
    data = make()
    path = prepare(data).folder / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        prepare(data)
    assert "delete it and start the same command again" in str(caught.value)
