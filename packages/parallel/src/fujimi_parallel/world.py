"""World: the ranks that train together, and how they find each other."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from fujimi_core.errors import RunError
from fujimi_core.launch import Launch, launch_of
from fujimi_core.mesh import Mesh
from torch._C._distributed_c10d import TCPStore

from fujimi_parallel.mpi.library import load_mpi

#: Name of the mesh axis along which ranks hold the same parameters and different samples.
DATA_AXIS = "dp"
#: In which gloo's threads, idle by then, let go of what they did last. One that does so while the interpreter ends
#: (it may need the interpreter's lock for it) ends the process with SIGABRT; torch 2.13 has no way to wait for them.
_THREADS_LET_GO_S = 0.2
#: Long enough for rank 0 to tell what all ranks found, before any other does.
_RANK_0_FIRST_S = 1.0
#: In which the launcher passes on what a rank said; what it has not read when it hears of an abort is lost (MPICH).
_LAUNCHER_READS_S = 0.5


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
def join(backend: str | None = None, *, timeout_s: float = 600.0) -> Iterator[World]:
    """Join the ranks that were started together with this one; leave them at the end.

    A rank that fails keeps its connections, so that the others wait for it instead of reporting a lost one; whoever
    catches the error calls `stop_all`.

    Args:
        backend: Of collectives: ``mpi``, ``gloo`` or ``nccl``, which comes with gloo for what is not on a GPU; None
            takes ``nccl`` where there are GPUs, else ``mpi`` where MPI started the ranks, else ``gloo``. One rank that
            is alone needs none.
        timeout_s: How long to wait for a rank that does not answer; over MPI, for one on the same node.

    Raises:
        RunError: If the launcher's environment does not hold together, or there is no MPI library.
    """
    launch = launch_of(os.environ)
    mesh = Mesh.of(**{DATA_AXIS: launch.world_size})
    if launch.world_size == 1:
        yield World(rank=0, mesh=mesh)
        return
    backend = backend or usual_backend(launch.launcher, has_gpu=torch.cuda.is_available())
    _start(backend, launch, timedelta(seconds=timeout_s))
    yield World(rank=launch.rank, mesh=mesh, local_rank=launch.local_rank, local_size=launch.local_size)
    dist.destroy_process_group()
    if backend != "mpi":
        time.sleep(_THREADS_LET_GO_S)


def usual_backend(launcher: str, *, has_gpu: bool) -> str:
    """Backend of collectives where none is asked for."""
    if has_gpu:
        return "nccl"
    return "mpi" if launcher == "mpi" else "gloo"


def _start(backend: str, launch: Launch, timeout: timedelta) -> None:
    """Make the group of all ranks."""
    if backend == "nccl":
        backend = "cpu:gloo,cuda:nccl"  # heartbeats are not on a GPU
    if launch.launcher == "mpi":
        _check_library(launch)
    if backend == "mpi":
        dist.init_process_group("mpi")
        dist.distributed_c10d._get_default_group().set_timeout(timeout)
    elif launch.launcher == "mpi":
        store = _meet_over_mpi(launch, timeout)
        dist.init_process_group(backend, store=store, rank=launch.rank, world_size=launch.world_size, timeout=timeout)
    else:
        _require_meeting_point(launch)
        dist.init_process_group(backend, rank=launch.rank, world_size=launch.world_size, timeout=timeout)


def _require_meeting_point(launch: Launch) -> None:
    """Refuse ranks without MPI that were not told where rank 0 is; torchrun tells, srun does not."""
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise RunError(
            f"{launch.launcher} started {launch.world_size} ranks without MPI and without {' and '.join(missing)}: "
            "the ranks do not know where to meet; set MASTER_ADDR to the node of rank 0 and MASTER_PORT to a port that "
            "is free there, as the batch script of 'fujimi submit' does"
        )


def _check_library(launch: Launch) -> None:
    """Refuse an MPI library that knows nothing of the ranks that were started."""
    ranks = load_mpi().COMM_WORLD
    if ranks.Get_size() != launch.world_size:
        raise RunError(
            f"the launcher started {launch.world_size} ranks, the MPI library sees {ranks.Get_size()}: they are of "
            "different kinds; start with the mpiexec that belongs to the library"
        )


def _meet_over_mpi(launch: Launch, timeout: timedelta) -> TCPStore:
    """Let rank 0 open a store on a free port, and tell the others by MPI where it is."""
    host = socket.gethostname() if launch.local_size < launch.world_size else "127.0.0.1"
    store = None
    if launch.rank == 0:
        store = TCPStore(host, 0, launch.world_size, is_master=True, timeout=timeout, wait_for_workers=False)
    host, port = load_mpi().COMM_WORLD.bcast((host, store.port if store else 0))
    return store or TCPStore(host, port, launch.world_size, timeout=timeout, wait_for_workers=False)


def stop_all(code: int, *, say: Callable[[], None]) -> None:
    """Say why, and end the processes of all ranks where MPI started them; elsewhere only say why.

    Args:
        code: With which they exit.
        say: Tells the reason. Of ranks that fail together only rank 0 gets to call it: it ends the others first.
    """
    launch = launch_of(os.environ)
    ranks = None
    if launch.launcher == "mpi":
        with contextlib.suppress(RunError):  # it has a reason to tell already
            ranks = load_mpi().COMM_WORLD  # where MPI has not started yet, this waits for all ranks
    if launch.rank:
        time.sleep(_RANK_0_FIRST_S)
    say()
    if ranks is not None:
        time.sleep(_LAUNCHER_READS_S)
        ranks.Abort(code)
