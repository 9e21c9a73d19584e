"""Data parallelism: every rank has all parameters; gradients are averaged in buckets."""

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fujimi_parallel.capture.torch_repairs import FakeDataParallel
from fujimi_parallel.world import World

_MIB = 2**20


def data_parallel(model: nn.Module, world: World, *, bucket_bytes: int) -> nn.Module:
    """Make ``backward`` average the gradients over the ranks, while it goes on.

    Args:
        model: On this rank; every rank must have made the same.
        world: The ranks.
        bucket_bytes: Gradients are sent in pieces of about this many bytes.

    Returns:
        The model itself on one rank, else a wrapper to be called instead.
    """
    if world.size == 1:
        return model
    if world.captured:
        return FakeDataParallel(model, bucket_bytes=bucket_bytes)
    return DistributedDataParallel(model, bucket_cap_mb=bucket_bytes / _MIB, gradient_as_bucket_view=True)
