"""A group of several processes, started by ``torchrun``, over ``torch.distributed``. Knows tensors and plain data."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from seq2seq.errors import UserError
from seq2seq.system.processes import ALONE, Group, Interrupted, Order, place

PATIENCE = timedelta(days=7)  # followers wait while the leader prepares a corpus; a process that dies is seen at once
MEETING = timedelta(minutes=5)  # until all processes are there
CONNECTING = timedelta(seconds=60)  # of processes that are all there
HEADER = 4096  # bytes of an order, most of which fit; a longer one is sent in a second part
SETTLING = 0.1  # seconds; a thread of gloo that waits for Python's lock, to free a tensor, while Python ends aborts it
ATTEMPTS, PAUSE = 3, 2.0  # to meet: processes that restart may race for the address; seconds between


class Team(Group):
    """Several processes. Orders and counts travel over gloo, gradients over NCCL where there are GPUs."""

    def __init__(self, rank: int, world: int, local: int) -> None:
        self.rank, self.world, self.local = rank, world, local

    def sum(self, *values: int) -> tuple[int, ...]:
        """The sum of each value over all processes."""
        sums = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(sums)
        return tuple(map(int, sums))

    def sum_tensors(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The sum of each scalar tensor over all processes, on its device."""
        sums = torch.stack(tensors)
        dist.all_reduce(sums)
        return sums.unbind()

    def tell(self, do: str, **given: Any) -> None:
        """Give the followers an order."""
        content = json.dumps({"do": do, **given}).encode()
        header = torch.zeros(HEADER, dtype=torch.uint8)
        length = len(content).to_bytes(8, "little")
        short = (length + content)[:HEADER]
        header[: len(short)] = torch.frombuffer(bytearray(short), dtype=torch.uint8)
        dist.broadcast(header, 0)
        if len(content) > HEADER - 8:
            dist.broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8), 0)

    def listen(self) -> Order:
        """Wait for the leader's order."""
        header = torch.zeros(HEADER, dtype=torch.uint8)
        dist.broadcast(header, 0)
        plain = header.numpy().tobytes()
        length, content = int.from_bytes(plain[:8], "little"), plain[8:]
        if length > HEADER - 8:
            whole = torch.zeros(length, dtype=torch.uint8)
            dist.broadcast(whole, 0)
            content = whole.numpy().tobytes()
        order: Order = json.loads(content[:length])
        return order

    def collect(self, own: Any) -> list[Any]:
        """What all processes have, by rank, on the leader; an empty list elsewhere. Raises ``Interrupted`` there."""
        if self.rank == 0:
            self.tell("collect")
        elif (order := self.listen())["do"] != "collect":
            raise Interrupted(order)
        content = torch.frombuffer(bytearray(json.dumps(own).encode()), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        dist.all_gather(lengths, torch.tensor([len(content)]))
        longest = max(map(int, lengths))
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(content)] = content
        parts = [torch.zeros_like(padded) for _ in range(self.world)] if self.rank == 0 else None
        dist.gather(padded, parts, 0)
        return [json.loads(part[: int(n)].numpy().tobytes()) for part, n in zip(parts or (), lengths, strict=False)]

    def same(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the leader's values, in place."""
        for tensor in tensors:
            dist.broadcast(tensor, 0)


@contextmanager
def joined() -> Iterator[Group]:
    """The group of this process; where it is one of several it meets the others, and at the end the leader ends all.

    Raises:
        UserError: the others cannot be met, or one of them is lost.
    """
    rank, world, local = place()
    if world == 1:
        yield ALONE
        return
    _meet(local)
    team = Team(rank, world, local)
    try:
        with told_of_loss():
            yield team
    finally:
        if rank == 0:
            with suppress(RuntimeError):  # the others may be gone
                team.tell("end")
        dist.destroy_process_group()
        time.sleep(SETTLING)


def _meet(local: int) -> None:
    gpu = torch.cuda.is_available()
    if gpu and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            store, rank, world = next(iter(rendezvous("env://", timeout=MEETING)))
            store = PrefixStore(_name_of_meeting(store, rank, world), store)
            backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=CONNECTING)
            store.set(f"met {rank}", "")  # one may be connected where another has given up
            store.wait([f"met {each}" for each in range(world)], CONNECTING)
            dist.distributed_c10d._set_pg_timeout(PATIENCE)
            return
        except (RuntimeError, ValueError, OSError) as error:
            _forget_attempt()
            if attempt == ATTEMPTS:
                raise UserError(
                    f"the other processes of this training were not met ({str(error).splitlines()[0]}): start it with "
                    "torchrun, on each machine with the same --rdzv-endpoint"
                ) from error
            time.sleep(PAUSE)


def _forget_attempt() -> None:
    """Leave nothing of a group that not all have met: its addresses are stored under the number of groups so far."""
    if dist.is_initialized():
        dist.destroy_process_group()
    dist.distributed_c10d._world.group_count = 0


def _name_of_meeting(store: Store, rank: int, world: int) -> str:
    """A name that all living processes agree on, and that no earlier meeting had.

    torchrun's store outlives the processes: it still has the addresses of those that died, at which nobody answers, and
    of an attempt that another process has given up. Each puts a new number there, and all are met when each has made
    the same name out of the same numbers.

    Raises:
        RuntimeError: not all processes came.
    """
    numbers, names = ([f"{what} {each}" for each in range(world)] for what in ("number", "name"))
    store.set(numbers[rank], uuid.uuid4().hex)
    until = time.monotonic() + MEETING.total_seconds()
    while time.monotonic() < until:
        if store.check(numbers):
            name = hashlib.sha256(b" ".join(store.multi_get(numbers))).hexdigest()
            store.set(names[rank], name)
            if store.check(names) and {each.decode() for each in store.multi_get(names)} == {name}:
                return name
        time.sleep(0.1)
    raise RuntimeError("not all of them came")


@contextmanager
def told_of_loss() -> Iterator[None]:
    """Raise ``UserError`` where the connection to another process breaks inside."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not any(sign in str(error) for sign in ("gloo", "NCCL", "peer")):
            raise
        raise UserError(
            "another process of this training has ended, and so this one cannot go on: the last checkpoint is kept, "
            "and the same command goes on from it"
        ) from error
