"""Processes that meet: one that fails to connect and tries again, and long waits after the meeting."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from torch import multiprocessing

from seq2seq.system import distributed
from tests.training.test_ranks import free_port

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")
WAIT = 2.0


def meet(rank: int, port: int, folder: Path) -> None:
    """Process 1 gives its first connection up at once; later the leader is silent longer than connecting may take."""
    place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    distributed.CONNECTING, distributed.PAUSE = timedelta(seconds=WAIT), 0.1
    connect, tried = dist.init_process_group, []

    def hasty(*given: Any, **named: Any) -> None:
        tried.append(rank)
        if rank and len(tried) == 1:
            named["timeout"] = timedelta(milliseconds=1)
        connect(*given, **named)

    dist.init_process_group = hasty
    with distributed.joined() as group:
        if rank == 0:
            time.sleep(2 * WAIT)
            group.tell("hello")
        else:
            assert group.listen()["do"] == "hello"
            group.listen()
    (folder / f"{rank} tried {len(tried)} times").touch()


def test_one_that_fails_to_connect_meets_the_others_when_all_try_again(tmp_path: Path) -> None:
    processes = multiprocessing.spawn(meet, (free_port(), tmp_path), nprocs=2, join=False)
    until = time.monotonic() + 100
    while not processes.join(timeout=1):
        if time.monotonic() > until:
            for process in processes.processes:
                process.kill()
            raise AssertionError("they wait for each other")
    assert {path.name for path in tmp_path.iterdir()} == {"0 tried 2 times", "1 tried 2 times"}
