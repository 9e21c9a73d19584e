"""World: the ranks that train together, and how they find each other."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist
from fujimi_core.mesh import Mesh
from torch._C._distributed_c10d import TCPStore

from fujimi_parallel.launch import Launch, launch_of

#: Name of the mesh axis along which ranks hold the same parameters and different samples.
DATA_AXIS = "dp"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """This rank and its mesh.

    Args:
        rank: Of this process.
        mesh: All ranks.
        local_rank: Rank among those of this node.
        local_size: Ranks of this node.
        captured: Whether this is a dry run: one process that stands for all ranks.
    """

    rank: int
    mesh: Mesh
    local_rank: int = 0
    local_size: int = 1
    captured: bool = False

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.mesh.world_size


@contextlib.contextmanager
def join(*, timeout_s: float = 600.0) -> Iterator[World]:
    """Join the ranks that were started together with this one; leave them at the end.

    Collectives run over gloo, unless there is only one rank, which needs none.

    Args:
        timeout_s: How long to wait for a rank that does not answer.

    Raises:
        RunError: If the launcher's environment does not hold together.
    """
    launch = launch_of(os.environ)
    mesh = Mesh.of(**{DATA_AXIS: launch.world_size})
    if launch.world_size == 1:
        yield World(rank=0, mesh=mesh)
        return
    timeout = timedelta(seconds=timeout_s)
    if launch.launcher == "torchrun":
        dist.init_process_group("gloo", timeout=timeout)
    else:
        store = _meet_over_mpi(launch, timeout)
        dist.init_process_group("gloo", store=store, rank=launch.rank, world_size=launch.world_size, timeout=timeout)
    try:
        yield World(rank=launch.rank, mesh=mesh, local_rank=launch.local_rank, local_size=launch.local_size)
    finally:
        dist.destroy_process_group()


def _meet_over_mpi(launch: Launch, timeout: timedelta) -> TCPStore:
    """Let rank 0 open a store on a free port, and tell the others by MPI where it is."""
    from mpi4py import MPI  # loading MPI starts it, which only launched processes may

    host = socket.gethostname() if launch.local_size < launch.world_size else "127.0.0.1"
    store = None
    if launch.rank == 0:
        store = TCPStore(host, 0, launch.world_size, is_master=True, timeout=timeout, wait_for_workers=False)
    host, port = MPI.COMM_WORLD.bcast((host, store.port if store else 0))
    return store or TCPStore(host, port, launch.world_size, timeout=timeout, wait_for_workers=False)


def stop_all(code: int) -> None:
    """End the processes of all ranks, where MPI started them; one rank alone is left to end by itself."""
    if launch_of(os.environ).launcher == "mpi":
        from mpi4py import MPI  # as above

        MPI.COMM_WORLD.Abort(code)
