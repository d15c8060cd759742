"""Training pairs that are streamed from a hub by several processes: the curve of one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist

from tests.hub_server import Hub, client_environment
from tests.training.test_torchrun import assert_same, command, points

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")


def jsonl(first: int, last: int) -> bytes:
    rows = [{"en": f"the cat {n} sees", "de": f"die Katze {n} sieht" + " es" * (n % 5)} for n in range(first, last)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as server:
        splits = {"train": (0, 300), "validation": (900, 920), "test": (950, 970)}
        server.publish("owner/pairs", {f"data/{name}.jsonl": jsonl(*rows) for name, rows in splits.items()})
        yield server


@pytest.mark.slow
def test_two_processes_stream_what_one_streams(hub: Hub, tmp_path: Path) -> None:
    """Over the end of a pass, with whole batches dealt out, and with the rows of each."""
    small = ["model.embedding=16", "model.encoder.width=16", "model.decoder.width=16", "model.dropout=0"]
    data = [
        "data.source=hub",
        "data.name=pairs",
        "data.hub.repo=owner/pairs",
        "data.hub.streaming=true",
        "data.hub.sample=200",
        "data.src=en",
    ]
    data += ["data.tgt=de", "data.subwords.vocab_size=300", "data.cache=cache", "data.filters.max_length=64"]
    trainer = ["trainer.max_steps=24", "trainer.valid_every=12", "trainer.log_every=1", "trainer.batch_tokens=256"]
    more = ["device=cpu", "trainer.threads=1", "trainer.precision=fp32", "trainer.samples=0", "decode.beam=1"]
    arguments = ["model=bahdanau", *small, *data, *trainer, *more]
    for accumulate in (1, 2):
        for processes in (1, 2):
            told = command(processes, *arguments, f"trainer.accumulate={accumulate}", f"name={processes}-{accumulate}")
            environment = client_environment(hub.address, tmp_path)
            done = subprocess.run(told, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200)
            assert done.returncode == 0, done.stderr
        assert_same(tmp_path / "outputs", f"1-{accumulate}", f"2-{accumulate}")
        assert len(points(tmp_path / "outputs" / f"2-{accumulate}")) > 24
