"""How groups over MPI come into being, and into torch's books."""

import sys
import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import mpi4py.run
import torch.distributed as dist
from fujimi_core.errors import RunError
from mpi4py import MPI
from torch._C._distributed_c10d import PrefixStore
from torch.distributed import distributed_c10d as c10d

from fujimi_parallel.mpi.group import MpiGroup

#: Any MPI library has so many tags.
_TAGS = 32_768


def group_of(ranks: Sequence[int], *, freed_together: bool = True) -> MpiGroup:
    """Make a group.

    Args:
        ranks: Of its members, who call this; of all ranks if empty.
        freed_together: See `MpiGroup`.

    Raises:
        RunError: If MPI knows other ranks than torch does.
    """
    everyone = MPI.COMM_WORLD
    if not ranks:
        _let_a_failure_end_all_ranks()
        return MpiGroup(everyone.Dup())
    if dist.get_world_size() != everyone.size:
        raise RunError(
            f"torch.distributed has {dist.get_world_size()} ranks, MPI has {everyone.size}: groups of the backend "
            "'mpi' need processes that mpiexec has started"
        )
    members = everyone.group.Incl(list(ranks))
    communicator = everyone.Create_group(members, tag=zlib.crc32(repr(ranks).encode()) % _TAGS)
    members.Free()
    default = c10d._get_default_group()
    timeout = default.timeout if isinstance(default, MpiGroup) else dist.default_pg_timeout
    return MpiGroup(communicator, timeout=timeout, freed_together=freed_together)


def group_of_members(ranks: Sequence[int], *, sort: bool) -> MpiGroup | None:
    """Make a group without the ranks that are not in it; they get None, and need not call this."""
    ranks = sorted(ranks) if sort else list(ranks)
    if dist.get_rank() not in ranks:
        return None
    group = group_of(ranks, freed_together=False)
    enter(group, ranks, name=c10d._process_group_name(ranks, use_hashed_name=True))
    return group


def enter(group: MpiGroup, ranks: Sequence[int], *, name: str) -> None:
    """Enter a group into torch's books, as ``new_group`` does."""
    group._set_group_name(name)
    store = c10d._world.pg_map[c10d._get_default_group()][1]
    c10d._register_pg_in_world(
        group,
        backend_name="mpi",
        store=PrefixStore(f"{name}/", store),
        group_name=c10d.GroupName(name),
        backend_config=str(c10d.BackendConfig(c10d.Backend("mpi"))),
        rank_mapping={rank: number for number, rank in enumerate(ranks)},
    )


def _let_a_failure_end_all_ranks() -> None:
    """Make an exception that nobody catches end the other ranks too, which would wait for this one."""
    earlier = sys.excepthook

    def hook(kind: type[BaseException], wrong: BaseException, trace: TracebackType | None) -> Any:
        mpi4py.run.set_abort_status(1)
        return earlier(kind, wrong, trace)

    sys.excepthook = hook
