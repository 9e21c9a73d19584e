"""One process that stands for any rank of a world of any size."""

import contextlib
from collections.abc import Iterator

import torch.distributed as dist
from fujimi_core.mesh import Mesh
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from fujimi_parallel.capture.compiler import compiler_left_out
from fujimi_parallel.capture.torch_repairs import initial_values_left_out
from fujimi_parallel.world import World


@contextlib.contextmanager
def fake_world(mesh: Mesh, *, rank: int = 0) -> Iterator[World]:
    """Enter a world in which tensors have shapes but no numbers, and collectives go nowhere.

    Args:
        mesh: All ranks.
        rank: For which this process stands.

    Raises:
        RuntimeError: If this process has joined a real world.
    """
    if dist.is_initialized():
        raise RuntimeError("a process that has joined a world cannot capture; capture before or after")
    dist.init_process_group("fake", rank=rank, world_size=mesh.world_size, store=FakeStore())
    try:
        with compiler_left_out(), FakeTensorMode(), initial_values_left_out():
            yield World(rank=rank, mesh=mesh, captured=True)
    finally:
        dist.destroy_process_group()
