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
WAIT = 5.0  # seconds; on a busy machine two were too few to connect in


def finished(processes: Any) -> None:
    """Wait for spawned processes."""
    until = time.monotonic() + 60
    while not processes.join(timeout=1):
        if time.monotonic() > until:
            for process in processes.processes:
                process.kill()
            raise AssertionError("they wait for each other")


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


@pytest.mark.slow
def test_addresses_of_processes_that_died_are_not_taken(tmp_path: Path) -> None:
    """torchrun's store has them when it starts the processes anew."""
    port = free_port()
    store = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    for number in (1, 2):
        processes = multiprocessing.spawn(live, (port, tmp_path, number), nprocs=2, join=False)
        finished(processes)
    assert store.num_keys() > 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{rank} in life {life} tried once" for rank in (0, 1) for life in (1, 2)
    }


def live(rank: int, port: int, folder: Path, life: int) -> None:
    """The follower comes late, so that the leader sees what an earlier one has left."""
    place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()} | {"TORCHELASTIC_USE_AGENT_STORE": "True"})
    time.sleep(rank * 2.0)
    distributed.ATTEMPTS = 1
    with distributed.joined() as group:
        assert group.sum(rank + 1) == (3,)
        if rank:
            group.listen()
    (folder / f"{rank} in life {life} tried once").touch()


@pytest.mark.slow
def test_one_that_fails_to_connect_meets_the_others_when_all_try_again(tmp_path: Path) -> None:
    finished(multiprocessing.spawn(meet, (free_port(), tmp_path), nprocs=2, join=False))
    assert {path.name for path in tmp_path.iterdir()} == {"0 tried 2 times", "1 tried 2 times"}
