"""What is remembered of large files, and when it is found anew."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from seq2seq.config.schema import DataConfig, FilterConfig, SplitConfig, SubwordConfig
from seq2seq.data import files, ragged, remembered
from seq2seq.data.encoded import prepare
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(remembered, "LARGE", 0)


def settle(path: Path, seconds: float = 60) -> None:
    """Let a file be older than it is."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_file_is_read_once_and_again_when_it_changes(large: None, tmp_path: Path) -> None:
    path, reads = tmp_path / "text", list[int]()

    def find() -> str:
        reads.append(1)
        return path.read_text()

    def ask() -> str:
        return remembered.remembered(path, "text", tmp_path / "cache", find)

    path.write_text("one")
    assert (ask(), ask(), len(reads)) == ("one", "one", 2)  # just written: another change might have the same time
    settle(path)
    assert (ask(), ask(), len(reads)) == ("one", "one", 3)
    path.write_text("two")  # of the same size
    settle(path, 30)
    assert (ask(), ask(), len(reads)) == ("two", "two", 4)
    (record,) = (tmp_path / "cache" / "measured").iterdir()
    record.write_text("[damaged")
    assert (ask(), len(reads)) == ("two", 5)


def test_small_files_are_always_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("one")
    settle(tmp_path / "text")
    found = [remembered.remembered(tmp_path / "text", "what", tmp_path / "cache", lambda n=n: n) for n in (1, 2)]
    assert found == [1, 2]
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_time_alone(large: None, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("one")
    settle(tmp_path / "text")
    (tmp_path / "cache").write_text("in the way")
    assert remembered.remembered(tmp_path / "text", "what", tmp_path / "cache", lambda: 7) == 7


def test_a_prepared_corpus_is_opened_without_reading_its_text_or_ids(
    large: None, tmp_path: Path, pairs: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {}
    for split in ("train", "valid", "test"):
        for side, name in enumerate(("en", "de")):
            path = tmp_path / f"{split}.{name}"
            path.write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
            settle(path)
        splits[split] = SplitConfig(src=str(tmp_path / f"{split}.en"), tgt=str(tmp_path / f"{split}.de"))
    options = {"cache": str(tmp_path / "cache"), "subwords": SubwordConfig(vocab_size=300), "filters": FilterConfig()}
    data = DataConfig(source="text", **splits, **options)  # type: ignore[arg-type]
    first = prepare(data)
    for path in first.folder.iterdir():
        settle(path)
    prepare(data)  # checks the ids, and remembers that they are good
    with monkeypatch.context() as patch:
        for module, name in ((files, "measure"), (ragged, "all_below")):
            patch.setattr(module, name, lambda *_: pytest.fail("read again"))
        patch.setattr("seq2seq.data.encoded.all_below", lambda *_: pytest.fail("read again"))
        again = prepare(data)
    assert again.folder == first.folder
    assert again.fingerprint == first.fingerprint == open_source(data).fingerprint()
    ids = first.folder / "train.src.uint16"
    ids.write_bytes(b"\xff\xff" + ids.read_bytes()[2:])
    with pytest.raises(UserError, match="holds ids that the vocabulary does not have"):
        prepare(data)
