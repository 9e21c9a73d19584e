"""Collectives of all ranks that go on while the caller computes."""

import torch
import torch.distributed as dist

from fujimi_parallel.world import World


def all_reduce(tensor: torch.Tensor) -> dist.Work:
    """Start to replace a tensor by its sum over all ranks; it is done after ``wait`` on what is returned."""
    work = dist.all_reduce(tensor, async_op=True)
    if work is None:
        raise RuntimeError("this process is not among the ranks")
    assert isinstance(work, dist.Work)
    return work


def average(tensor: torch.Tensor, world: World) -> dist.Work | None:
    """Start to replace a tensor by its mean over all ranks; None if there is only one, and nothing to wait for."""
    if world.size == 1:
        return None
    tensor.div_(world.size)
    return all_reduce(tensor)


def of_all_ranks(number: int, world: World) -> list[int]:
    """A number of each rank, by rank; waits for all of them."""
    if world.size == 1:
        return [number]
    numbers = torch.zeros(world.size, dtype=torch.int64)
    numbers[world.rank] = number
    all_reduce(numbers).wait()
    return [int(each) for each in numbers.tolist()]
