"""The processes that train together. Alone by default: every sum over the group is then the process's own value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Group:
    """This process's place among those that share a training."""

    rank: int = 0
    world: int = 1

    def sum(self, value: Number) -> Number:
        """The sum of ``value`` over all processes of the group; a group of several overrides it."""
        if self.world > 1:
            raise TypeError("a group of several processes must say how it sums")
        return value


ALONE = Group()
