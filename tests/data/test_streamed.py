"""Training pairs that are streamed from a hub on this machine: each once a pass, and the same ones after a stop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.config.schema import DataConfig, SubwordConfig
from seq2seq.data import hub as hub_tables
from seq2seq.data import hub_stream, streamed, subwords
from seq2seq.errors import UserError
from tests.hub_server import Hub, client_environment

PAIRS = 230

CLIENT = """
import json, sys
from seq2seq.config.schema import DataConfig, HubConfig, SplitConfig, SubwordConfig
from seq2seq.data import hub, streamed
from seq2seq.data.encoded import prepare
from seq2seq.errors import UserError
hub.BATCH, streamed.CHUNKS = 10, 4
told = json.load(sys.stdin)
options = HubConfig(repo="owner/pairs", streaming=True, sample=80)
data = DataConfig(source="hub", src="en", tgt="de", hub=options, cache="cache", subwords=SubwordConfig(vocab_size=300))
for key, value in told["options"].items():
    setattr(data, key, value)
try:
    corpus = prepare(data)
    def stream(state):
        return streamed.batches_of(data, corpus, 120, 5, 1, state)
    def take(stream, count):
        batches = [next(stream) for _ in range(count)]
        return [[corpus.subwords.decode_tgt(rows.tolist()) for rows in (batch.src, batch.tgt_out)] for batch in batches]
    whole = stream(told["state"])
    answer = {"batches": take(whole, told["count"]), "state": whole.state(), "epoch": whole.epoch}
    answer |= {"read": corpus.counts, "stopped": []}
    for stop in told["stops"]:
        begun = stream(None)
        first = take(begun, stop)
        answer["stopped"].append(first + take(stream(json.loads(json.dumps(begun.state()))), told["count"] - stop))
    print(json.dumps(answer))
except UserError as error:
    print(json.dumps({"error": str(error)}))
"""


def ask(
    hub: Hub,
    folder: Path,
    count: int,
    state: dict[str, int] | None = None,
    stops: Sequence[int] = (),
    **options: Any,
) -> dict[str, Any]:
    """The next batches of a stream in a process of its own, as text; the same with ``stops``."""
    environment = client_environment(hub.address, folder)
    told = json.dumps({"count": count, "state": state, "stops": stops, "options": options})
    command = [sys.executable, "-c", CLIENT]
    done = subprocess.run(command, input=told, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def jsonl(first: int, count: int) -> bytes:
    rows = [{"en": f"the cat {n} sees", "de": f"die Katze {n} sieht" + " es" * (n % 5)} for n in range(first, count)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture(scope="module")
def hub() -> Any:
    with Hub() as server:
        parts = {f"data/train-{k}.jsonl": jsonl(start, end) for k, (start, end) in enumerate([(0, 90), (90, PAIRS)])}
        server.publish(
            "owner/pairs", {**parts, "data/validation.jsonl": jsonl(900, 920), "data/test.jsonl": jsonl(950, 980)}
        )
        yield server


@pytest.mark.slow
def test_a_pass_has_every_pair_once_and_a_stop_anywhere_changes_nothing(hub: Hub, tmp_path: Path) -> None:
    stops = (1, 9, 17, 25)  # in the first block, in others, at the end of a pass and in the second
    whole = ask(hub, tmp_path, 40, stops=stops)
    flat = [line for batch in whole["batches"] for line in batch[0]]
    first = Counter(flat[:PAIRS])
    assert first == Counter(f"the cat {n} sees" for n in range(PAIRS))
    assert flat[:PAIRS] != flat[PAIRS : 2 * PAIRS]
    assert whole["epoch"] >= 1
    assert whole["read"]["train"]["kept"] == 80
    assert whole["stopped"] == [whole["batches"]] * len(stops)
    begun = ask(hub, tmp_path, 13)
    gone_on = ask(hub, tmp_path, 27, begun["state"])  # in another process
    assert begun["batches"] + gone_on["batches"] == whole["batches"]
    assert gone_on["state"] == whole["state"]


Opened = Callable[[dict[str, int] | None], streamed.StreamedBatches]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens a stream of 60 pairs in two files of this machine, 20 pairs a block, at a state."""
    datasets = hub_tables._quiet_datasets()
    for name, rows in (("a", jsonl(0, 35)), ("b", jsonl(35, 60))):
        (tmp_path / f"{name}.jsonl").write_bytes(rows)
    files, cache = [str(tmp_path / f"{name}.jsonl") for name in "ab"], str(tmp_path / "cache")
    text = [json.loads(row) for row in jsonl(0, 60).splitlines()]
    options = SubwordConfig(vocab_size=60, byte_fallback=False)
    learned = subwords.train([row["en"] for row in text], [row["de"] for row in text], options)

    def opened(data: DataConfig, wanted: Sequence[str]) -> dict[str, hub_stream.Rows]:
        rows = datasets.load_dataset("json", data_files=files, split="train", streaming=True, cache_dir=cache)
        return {"train": hub_stream.Rows(rows, ("en",), ("de",), "hub owner/pairs train", "identity")}

    monkeypatch.setattr(hub_tables, "BATCH", 10)
    monkeypatch.setattr(streamed, "CHUNKS", 2)
    monkeypatch.setattr(streamed, "open_rows", opened)
    return lambda state: streamed.StreamedBatches(DataConfig(), learned, 60, 1, 1, state)


def sessions(opened: Opened, batches: int, each: int) -> list[tuple[list[list[int]], int, int, float]]:
    """Source, block, number in it and epoch of so many batches; after ``each`` of them another stream goes on."""
    found, stream = list[tuple[list[list[int]], int, int, float]](), opened(None)
    for number in range(batches):
        if number and number % each == 0:
            state = json.loads(json.dumps(stream.state()))
            stream = opened(state)
            assert stream.state() == state
        source = next(stream).src.tolist()
        found.append((source, stream.shard_number, stream.batch_number, stream.epoch))
    return found


@pytest.mark.parametrize("each", [1, 3])
def test_any_number_of_stops_gives_the_batches_and_places_of_one_session(local: Opened, each: int) -> None:
    """Several in a block, at the last batch of one, and in the first block of the second pass."""
    whole = sessions(local, 30, 30)
    assert whole[-1][-1] >= 1, "in the second pass"
    assert max(number for _, _, number, _ in whole) >= 3
    assert sessions(local, 30, each) == whole


def test_a_lost_place_is_said_in_a_line(local: Opened) -> None:
    with pytest.raises(
        UserError, match=r"^hub owner/pairs train: .* its place in the stream is lost: .*overwrite=true$"
    ):
        local(local(None).state() | {"batch": 99})


def test_a_hub_that_fails_is_said_in_a_line_where_a_stream_goes_on(
    local: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(stream: hub_stream.PairStream) -> Any:
        raise ConnectionError("no route")
        yield

    state = local(None).state()
    monkeypatch.setattr(hub_stream.PairStream, "_iterate", failing)
    with pytest.raises(UserError, match=r"^hub owner/pairs train cannot be read on \(no route\): check the network"):
        local(state)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"take": 5}, "data.take=5 needs a whole corpus"),
        pytest.param({"weights": [2.0]}, "data.weights=[2.0] needs a whole corpus", marks=pytest.mark.slow),
    ],
)
def test_what_needs_a_whole_corpus_is_refused(hub: Hub, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    assert said in ask(hub, tmp_path, 1, **options)["error"]


def test_batches_of_many_short_passes_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update may take more batches than a pass has, so that each batch is made before the next block is read."""

    class Passes:
        """Two pairs again and again; a pass ends with an empty list."""

        def __init__(self, split: Any) -> None:
            self.place, self.read = (lambda: {"pass": self.read // 2}), 0

        def next(self) -> list[tuple[str, str]]:
            self.read += 1
            return [("ab", f"b{'a' * self.read}"), ("ba", "a")] if self.read % 2 else []

    learned = subwords.train(["a b ab ba"], ["a b ab ba"], SubwordConfig(vocab_size=8, byte_fallback=False))
    monkeypatch.setattr(streamed, "PairStream", Passes)
    monkeypatch.setattr(streamed, "open_rows", lambda data, wanted: {"train": None})
    at_once, one_by_one = (streamed.StreamedBatches(DataConfig(), learned, 100, 1, 1) for _ in range(2))
    for ours, theirs in zip(at_once.take(6), (next(one_by_one) for _ in range(6)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours[:3], theirs[:3], strict=True))
