"""A training of twenty thousand updates needs no more memory than one of two thousand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.study.resuming import OPTIONS

PROGRAM = """
import json, sys
from pathlib import Path
from seq2seq.config.compose import compose
from seq2seq.training import session
from seq2seq.training.trainer import Trainer

resident, update = {}, Trainer._update

def measured(trainer, batches):
    update(trainer, batches)
    if trainer.state.step in (2_000, 20_000):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident[trainer.state.step] = pages * 4096

Trainer._update = measured
session.train(compose(sys.argv[2:]))
Path(sys.argv[1]).write_text(json.dumps(resident))
"""
SIZE = ("model.embedding=16", "model.encoder.width=16", "model.decoder.width=16", "model.decoder.context_width=16")
LENGTH = ("trainer.max_steps=20000", "trainer.valid_every=1000", "trainer.save_every=500", "trainer.log_every=50")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")
def test_memory_does_not_grow_with_the_updates(tmp_path: Path) -> None:
    out = tmp_path / "resident.json"
    places = [f"outputs={tmp_path}", f"data.cache={tmp_path}", "name=long"]
    more = [*OPTIONS, *SIZE, *LENGTH, "trainer.accumulate=1", "trainer.batch_tokens=64", "data.filters.max_length=64"]
    command = [sys.executable, "-c", PROGRAM, str(out), "experiment=lstm", *more, *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_800)
    assert done.returncode == 0, done.stderr
    early, late = json.loads(out.read_text()).values()
    print(f"resident after 2,000 updates {early / 2**20:.0f} MiB, after 20,000 {late / 2**20:.0f} MiB")
    assert late <= 1.05 * early
