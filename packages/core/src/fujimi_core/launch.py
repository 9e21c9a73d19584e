"""Rank and world size, as the launcher that started this process left them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from fujimi_core.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Who this process is among those that were started together.

    Args:
        launcher: ``mpi``, ``torchrun``, ``srun`` (a launcher of Slurm's own, without MPI) or ``none``.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Launcher:
    """Variables by which a launcher tells a process who it is; of several names the first that is set counts.

    Args:
        name: As in `Launch`.
        sign: Set in what it started, and nowhere else.
        rank, size, local_rank, local_size: Where the numbers are.
    """

    name: str
    sign: str
    rank: tuple[str, ...]
    size: tuple[str, ...]
    local_rank: tuple[str, ...]
    local_size: tuple[str, ...]


#: Tasks of the step on this node, read from a list over its nodes.
_TASKS_HERE = "SLURM_STEP_TASKS_PER_NODE[SLURM_NODEID]"

# Innermost first, for variables are inherited. srun and mpiexec may start a torchrun on each node; srun may start a
# shell in which mpiexec starts ranks, and Hydra starts its helpers by srun, so that its ranks have their numbers too.
# Slurm's numbers therefore come last, and count where nothing that starts MPI has left its own.
_LAUNCHERS = (
    # docs.pytorch.org, "torchrun (Elastic Launch)", environment variables
    _Launcher(
        name="torchrun",
        sign="RANK",
        rank=("RANK",),
        size=("WORLD_SIZE",),
        local_rank=("LOCAL_RANK",),
        local_size=("LOCAL_WORLD_SIZE",),
    ),
    # Open MPI 5.0, "Environment variables set for MPI applications"; Fujitsu MPI is made from it
    _Launcher(
        name="mpi",
        sign="OMPI_COMM_WORLD_RANK",
        rank=("OMPI_COMM_WORLD_RANK",),
        size=("OMPI_COMM_WORLD_SIZE",),
        local_rank=("OMPI_COMM_WORLD_LOCAL_RANK",),
        local_size=("OMPI_COMM_WORLD_LOCAL_SIZE",),
    ),
    # MVAPICH2's mpirun_rsh and mpispawn
    _Launcher(
        name="mpi",
        sign="MV2_COMM_WORLD_RANK",
        rank=("MV2_COMM_WORLD_RANK",),
        size=("MV2_COMM_WORLD_SIZE",),
        local_rank=("MV2_COMM_WORLD_LOCAL_RANK",),
        local_size=("MV2_COMM_WORLD_LOCAL_SIZE",),
    ),
    # MPICH and Intel MPI under Hydra, Cray MPICH under PALS, and srun --mpi=pmi2
    _Launcher(
        name="mpi",
        sign="PMI_RANK",
        rank=("PMI_RANK",),
        size=("PMI_SIZE",),
        local_rank=("MPI_LOCALRANKID", "PMI_LOCAL_RANK", "PALS_LOCAL_RANKID", "SLURM_LOCALID"),
        local_size=("MPI_LOCALNRANKS", "PMI_LOCAL_SIZE", "PALS_LOCAL_SIZE", _TASKS_HERE),
    ),
    # PALS where Cray's PMI is not loaded
    _Launcher(
        name="mpi",
        sign="PALS_RANKID",
        rank=("PALS_RANKID",),
        size=("PMI_SIZE",),
        local_rank=("PALS_LOCAL_RANKID",),
        local_size=("PALS_LOCAL_SIZE",),
    ),
    # PMIx tells the rank in the environment and the rest to those who ask its server: srun --mpi=pmix, Fujitsu MPI
    _Launcher(
        name="mpi",
        sign="PMIX_RANK",
        rank=("PMIX_RANK",),
        size=("SLURM_STEP_NUM_TASKS", "PJM_MPI_PROC"),
        local_rank=("SLURM_LOCALID", "PLE_RANK_ON_NODE"),
        local_size=(_TASKS_HERE, "PJM_PROC_BY_NODE"),
    ),
    # srun --mpi=none. A batch script has a SLURM_PROCID as well, and SLURM_NTASKS, but is no step.
    _Launcher(
        name="srun",
        sign="SLURM_STEP_NUM_TASKS",
        rank=("SLURM_PROCID",),
        size=("SLURM_STEP_NUM_TASKS",),
        local_rank=("SLURM_LOCALID",),
        local_size=(_TASKS_HERE,),
    ),
)
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMI_SIZE")
#: From here on, ids of steps are those of a job's own shells (slurm.h, SLURM_INTERACTIVE_STEP).
_FIRST_SHELL = 0xFFFFFFFA


def launch_of(environ: Mapping[str, str]) -> Launch:
    """Find rank and world size in an environment.

    Knows, and asks in this order, as one may have started the other: ``torchrun``, Open MPI (also Fujitsu MPI, its
    descendant), MVAPICH, PMI (MPICH, Intel MPI, Cray MPICH, ``srun --mpi=pmi2``), PALS, PMIx (``srun --mpi=pmix``), and
    the steps of Slurm.

    >>> launch_of({"PMI_RANK": "1", "PMI_SIZE": "4"}).world_size
    4

    Raises:
        RunError: If only some of a launcher's variables are set, or are no numbers.
    """
    environ = _with_slurm(environ)
    for launcher in _LAUNCHERS:
        if launcher.sign in environ:
            return _read(launcher, environ)
    if any(size in environ for size in _SIZES):
        raise _broken({size: environ[size] for size in _SIZES if size in environ}, "there is no rank")
    return Launch(launcher="none")


def _read(launcher: _Launcher, environ: Mapping[str, str]) -> Launch:
    wanted = (launcher.rank, launcher.size, launcher.local_rank, launcher.local_size)
    names = [next((name for name in each if name in environ), each[0]) for each in wanted]
    rank, size, local_rank, local_size = (environ.get(name) for name in names)
    try:
        return Launch(
            launcher=launcher.name,
            rank=int(rank or ""),
            world_size=int(size or ""),
            local_rank=int(local_rank or 0),
            local_size=int(local_size or 1),
        )
    except ValueError as wrong:
        raise _broken({name: environ.get(name) for name in names}, str(wrong)) from None


def _broken(values: Mapping[str, str | None], why: str) -> RunError:
    found = ", ".join(f"{name}={value}" for name, value in values.items())
    return RunError(f"the launcher left an environment that does not hold together: {found} ({why})")


def _with_slurm(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with the number of tasks here, if this is a step that srun started; else without the step's."""
    step = environ.get("SLURM_STEP_ID", "")
    if step.isdecimal() and int(step) >= _FIRST_SHELL:
        return {name: value for name, value in environ.items() if not name.startswith("SLURM_STEP_")}
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE")
    return environ if tasks is None else {**environ, _TASKS_HERE: _tasks_on(environ.get("SLURM_NODEID", "0"), tasks)}


def _tasks_on(node: str, tasks: str) -> str:
    """Tasks of a node, in a list such as ``2(x3),1``; the list itself if it is none."""
    counts = (count for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks) for _ in range(int(times or 1)))
    return next(islice(counts, int(node), None), tasks) if node.isdecimal() else tasks
