"""Rank and world size, as the launcher that started this process left them."""

from collections.abc import Mapping
from dataclasses import dataclass

from fujimi_core.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Who this process is among those that were started together.

    Args:
        launcher: ``mpi``, ``torchrun`` or ``none``.
        rank: From 0.
        world_size: Number of processes.
        local_rank: Rank among the processes of this node.
        local_size: Number of processes of this node.
    """

    launcher: str
    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size or not 0 <= self.local_rank < self.local_size:
            raise ValueError(f"rank {self.rank} of {self.world_size}, local {self.local_rank} of {self.local_size}")


# launcher, and its variables of rank, world size, local rank and local size
_VARIABLES = (
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("mpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("mpi", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)


def launch_of(environ: Mapping[str, str]) -> Launch:
    """Find rank and world size in an environment.

    Knows ``torchrun``, Open MPI (also Fujitsu MPI, its descendant) and the PMI launchers (MPICH, Intel MPI, Cray).

    >>> launch_of({"PMI_RANK": "1", "PMI_SIZE": "4"}).world_size
    4

    Raises:
        RunError: If only some of a launcher's variables are set, or are no numbers.
    """
    for launcher, *names in _VARIABLES:
        found = [environ.get(name) for name in names]
        if found[0] is None and found[1] is None:
            continue
        try:
            rank, world_size = int(found[0] or ""), int(found[1] or "")
            local_rank, local_size = int(found[2] or 0), int(found[3] or 1)
            return Launch(
                launcher=launcher,
                rank=rank,
                world_size=world_size,
                local_rank=local_rank,
                local_size=local_size,
            )
        except ValueError:
            values = ", ".join(f"{name}={value}" for name, value in zip(names, found, strict=True))
            raise RunError(f"the launcher left an environment that does not hold together: {values}") from None
    return Launch(launcher="none")
