"""A preparation by several processes, and one that is ended and goes on: always the same files."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.config.schema import DataConfig, FilterConfig, SplitConfig, SubwordConfig
from seq2seq.data import filters, preparing, workers
from seq2seq.data.encoded import prepare
from seq2seq.data.encoding import ChunkEncoder, Encoded
from seq2seq.data.sources import open_source
from seq2seq.data.workers import Workers
from seq2seq.errors import UserError

Pairs = list[tuple[str, str]]
Make = Callable[[str], DataConfig]


@pytest.fixture
def make(tmp_path: Path, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> Make:
    """``make(cache)``: the options of a corpus of many small chunks."""
    monkeypatch.setattr(preparing, "CHUNK", 5)
    monkeypatch.setattr(preparing, "PART", 2)
    long = ("cat " * 40, "Katze " * 40)
    rows = {"train": [*pairs, ("", "x"), *pairs[:7], long, pairs[0]], "valid": pairs[:3], "test": pairs[5:9]}
    for split, some in rows.items():
        for side, name in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in some)
            (tmp_path / f"{split}.{name}").write_text(text, encoding="utf-8")
    splits = {
        split: SplitConfig(src=str(tmp_path / f"{split}.en"), tgt=str(tmp_path / f"{split}.de")) for split in rows
    }

    def options(cache: str) -> DataConfig:
        return DataConfig(
            source="text",
            **splits,
            cache=str(tmp_path / cache),
            subwords=SubwordConfig(vocab_size=300, sampling=0.1),
            filters=FilterConfig(max_length=60, deduplicate=True),
        )

    return options


def files_of(data: DataConfig) -> dict[str, bytes]:
    """All that is in the cache."""
    root = Path(data.cache) / "prepared"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_several_processes_write_what_one_writes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(make("one"), threads=1)
    monkeypatch.setattr(preparing, "WORTH", 1)
    for count in (2, 3):
        monkeypatch.setattr(preparing, "processes_for", lambda size, cores, count=count: count)
        prepare(make(f"by {count}"))
        assert files_of(make(f"by {count}")) == files_of(make("one"))


def stop_at(monkeypatch: pytest.MonkeyPatch, last: int) -> list[int]:
    """Let the encoding of a chunk, after so many, raise ``KeyboardInterrupt``; returns the growing list of chunks."""
    encode, calls = ChunkEncoder.encode, list[int]()

    def encoded(self: ChunkEncoder, sides: list[list[str]]) -> Encoded:
        if len(calls) == last:
            raise KeyboardInterrupt
        calls.append(len(sides[0]))
        return encode(self, sides)

    monkeypatch.setattr(ChunkEncoder, "encode", encoded)
    return calls


@pytest.mark.parametrize("damage", [None, "train.src.uint16", "train.tgt.lengths", "parts.jsonl", "src.model"])
def test_an_interrupted_preparation_goes_on_to_the_same_files(
    make: Make, monkeypatch: pytest.MonkeyPatch, damage: str | None
) -> None:
    prepare(make("whole"))
    data = make("stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 7)
        prepare(data)
    (begun,) = (Path(data.cache) / "prepared").iterdir()
    assert begun.name.endswith(".begun")
    if damage:
        content = bytearray((begun / damage).read_bytes())
        content[len(content) // 2] ^= 0x55
        (begun / damage).write_bytes(content)
    with monkeypatch.context() as patch:
        chunks = stop_at(patch, 1_000)
        prepare(data)
    assert files_of(data) == files_of(make("whole"))
    if damage is None:  # six chunks were noted; validation and test are a chunk each
        counts = prepare(data).counts["train"]
        filtered = counts["read"] - counts["dropped"]["empty"] - counts["dropped"]["duplicate"]
        assert len(chunks) == -(-filtered // 5) - 6 + 2


def test_changed_text_starts_anew(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pairs: Pairs) -> None:
    data = make("stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 7)
        prepare(data)
    for name in ("en", "de"):
        lines = (tmp_path / f"train.{name}").read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / f"train.{name}").write_text("".join(lines[3:]), encoding="utf-8")
    prepare(data)
    prepare(make("whole"))
    left = {name: content for name, content in files_of(data).items() if not name.startswith(".")}
    assert left == files_of(make("whole"))


def test_what_nobody_goes_on_with_is_removed_after_a_week(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make("stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 7)
        prepare(data)
    (begun,) = (Path(data.cache) / "prepared").iterdir()
    week = time.time() - 8 * 24 * 3600
    for path in begun.iterdir():
        os.utime(path, (week, week))
    data.filters.max_length = 59
    corpus = prepare(data)
    assert list((Path(data.cache) / "prepared").iterdir()) == [corpus.folder]


def test_subwords_are_learned_of_one_pair_in_so_many_and_the_others_are_not_held(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, held = make("learned"), Counter[str]()
    source = open_source(data)
    pairs = list(filters.drop_empty_and_duplicates(source.pairs("train"), data.filters, Counter()))

    class Held(tuple[str, ...]):
        def __new__(cls, pair: tuple[str, str]) -> Held:
            held["now"] += 1
            held["most"] = max(held["now"], held["most"])
            return super().__new__(cls, pair)

        def __del__(self) -> None:
            held["now"] -= 1

    monkeypatch.setattr(source, "pairs", lambda split: iter(pairs[::4]))
    expected, taken = preparing._count(source, data, 1, 1)
    monkeypatch.setattr(source, "pairs", lambda split: map(Held, pairs))
    counted, met = preparing._count(source, data, 4, 1)
    assert counted == expected
    assert (met, taken) == (len(pairs), -(-len(pairs) // 4))
    assert held["most"] <= 2 * preparing.CHUNK + 3, "a chunk, and the next one"


PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is begun with SIGINT ignored
from seq2seq.data import encoded, preparing
preparing.CHUNK, preparing.PART, preparing.WORTH = 5, 1, 1
preparing.processes_for = lambda size, cores: 2
append = preparing._Writer.write
def slowly(self, chunk, encoded):
    time.sleep(float(sys.argv[1]))
    return append(self, chunk, encoded)
preparing._Writer.write = slowly
print(encoded.prepare(options()).folder)
"""


def start(data: DataConfig, pause: float) -> subprocess.Popen[str]:
    """Another process that prepares the corpus, and writes its chunks with pauses."""
    options = f"from seq2seq.config.schema import *\ndef options(): return {data!r}\n"
    command = [sys.executable, "-c", options + PROGRAM, str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_preparation_goes_on_to_the_same_files(make: Make) -> None:
    prepare(make("whole"))
    data = make("killed")
    for seconds, number in ((0.4, signal.SIGKILL), (0.9, signal.SIGKILL), (1.1, signal.SIGINT), (0.8, signal.SIGTERM)):
        process = start(data, 0.6)  # eight chunks: longer than all four together live, however soon they begin
        time.sleep(seconds)
        process.send_signal(number)
        process.communicate()
        assert process.returncode
    prepare(data)
    assert files_of(data) == files_of(make("whole"))


def test_of_two_processes_one_prepares_and_the_other_waits(make: Make) -> None:
    data = make("both")
    processes = [start(data, 0.05) for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    (folder,) = {out for out, _ in ended}
    assert sorted("waiting for another process" in err for _, err in ended) == [False, True]
    assert [path.name for path in (Path(data.cache) / "prepared").iterdir()] == [Path(folder.strip()).name]


def test_a_worker_that_is_killed_is_an_error_that_says_what_to_do(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Workers):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            self.processes[0].kill()

    monkeypatch.setattr(preparing, "processes_for", lambda size, cores: 2)
    monkeypatch.setattr(workers, "Workers", Killed)
    with pytest.raises(UserError, match="start the same command again"):
        prepare(make("killed"))


def kill_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers be killed when two chunks are written."""
    crews, written, write = list[Workers](), list[int](), preparing._Writer.write

    class Crew(Workers):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            crews.append(self)

    def killing(self: preparing._Writer, chunk: Pairs, encoded: Encoded) -> Pairs:
        written.append(len(chunk))
        if len(written) == 2:
            for process in crews[-1].processes:
                process.kill()
        return write(self, chunk, encoded)

    monkeypatch.setattr(preparing, "processes_for", lambda size, cores: 2)
    monkeypatch.setattr(workers, "Workers", Crew)
    monkeypatch.setattr(preparing._Writer, "write", killing)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full for every file that is written as a whole."""

    def full(path: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)


@pytest.mark.parametrize(
    ("fail", "message"), [(kill_workers, "it goes on where it was"), (fill_disk, "the disk is full")]
)
def test_a_preparation_goes_on_after_a_killed_worker_and_after_a_full_disk(
    make: Make, monkeypatch: pytest.MonkeyPatch, fail: Callable[[pytest.MonkeyPatch], None], message: str
) -> None:
    prepare(make("whole"))
    data = make("ended")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 4)
        prepare(data)
    with monkeypatch.context() as patch, pytest.raises(UserError, match=message):
        fail(patch)
        prepare(data)
    with monkeypatch.context() as patch:
        chunks = stop_at(patch, 1_000)
        counts = prepare(data).counts["train"]
    assert files_of(data) == files_of(make("whole"))
    filtered = counts["read"] - counts["dropped"]["empty"] - counts["dropped"]["duplicate"]
    assert len(chunks) <= -(-filtered // 5) - 4 + 2, "what is noted is not encoded again"
