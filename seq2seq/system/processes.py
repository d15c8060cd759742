"""The processes that train together: their places, and how they speak. Alone by default. Loads nothing heavy.

The leader (rank 0) alone decides and writes: it reads the config, keeps the run folder, holds the clock and the
schedule, and tells the others what to do next. The others follow: ``training/following.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Order = dict[str, Any]
"""What the leader tells: plain data, the name of the order under ``do``."""


class Group:
    """This process's place among those that share a training. Alone, each method gives the process's own value.

    Attributes:
        rank: 0 to ``world`` − 1; 0 leads.
        world: the number of processes.
        local: the rank among the processes of this machine, by which a process takes its GPU.
    """

    rank, world, local = 0, 1, 0

    def sum(self, *values: int) -> tuple[int, ...]:
        """The sum of each value over all processes."""
        return values

    def sum_tensors(self, *tensors: Any) -> tuple[Any, ...]:
        """The sum of each scalar tensor over all processes."""
        return tensors

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items that are this process's work."""
        return items[self.rank :: self.world]

    def tell(self, do: str, **given: Any) -> None:
        """Give the followers an order."""

    def listen(self) -> Order:
        """Wait for the leader's order."""
        raise TypeError("a process that is alone has no leader")

    def collect(self, own: Any) -> list[Any]:
        """What all processes have, by rank, on the leader; plain data. Followers get an empty list.

        Raises:
            Interrupted: on a follower, whose leader does not want it any more.
        """
        return [own]

    def same(self, tensors: Sequence[Any]) -> None:
        """Give all processes the leader's values, in place."""


ALONE = Group()


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Interrupted(Exception):
    """The leader gives another order than the one that was due: ``order``."""

    def __init__(self, order: Order) -> None:
        super().__init__(order["do"])
        self.order = order


def place() -> tuple[int, int, int]:
    """The rank, the number of processes and the local rank, as ``torchrun`` tells them; (0, 1, 0) without it."""
    rank, world, local = (int(os.environ.get(name) or 0) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return (rank, world, local) if world > 1 else (0, 1, 0)
