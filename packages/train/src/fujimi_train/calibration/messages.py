"""Collectives and messages between the ranks of this machine."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from fujimi_parallel.world import World

#: Of a buffer, in bytes.
SIZES = tuple(4**power for power in range(5, 13))


def all_reduces() -> list[tuple[int, Callable[[], object]]]:
    """Sums of buffers over all ranks."""
    return [(nbytes, _all_reduce(torch.zeros(nbytes // 4))) for nbytes in SIZES]


def _all_reduce(buffer: torch.Tensor) -> Callable[[], object]:
    return lambda: dist.all_reduce(buffer)


def round_trips(world: World) -> list[tuple[int, Callable[[], object]]]:
    """Messages to a neighbour and back; of an odd number of ranks the last has none."""
    return [(nbytes, _round_trip(torch.zeros(nbytes // 4), world)) for nbytes in SIZES]


def _round_trip(buffer: torch.Tensor, world: World) -> Callable[[], object]:
    partner = world.rank ^ 1

    def first() -> None:
        dist.send(buffer, partner)
        dist.recv(buffer, partner)

    def second() -> None:
        dist.recv(buffer, partner)
        dist.send(buffer, partner)

    if partner >= world.size:
        return lambda: None
    return second if world.rank % 2 else first
