"""Groups of ranks along the axes of a mesh, and the mesh that torch's own parallelism takes."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from fujimi_core.errors import RunError
from fujimi_core.mesh import Mesh
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.distributed import distributed_c10d as c10d
from torch.distributed.device_mesh import DeviceMesh


def group_along(mesh: Mesh, axes: Sequence[str]) -> dist.ProcessGroup:
    """The group of this rank along some axes: the ranks that differ from it only there.

    Every rank must call it, in the same order for the same axes; other than over MPI, all ranks must have made as
    many groups before, from which torch makes their names. It makes the groups of all ranks at once: over MPI one
    ``MPI_Comm_split`` does, elsewhere each rank makes the group that it is in and no other.

    Args:
        mesh: All ranks.
        axes: Names; together they make one group.

    Raises:
        RunError: If the mesh has other ranks than torch.distributed.
    """
    everyone = c10d._get_default_group()
    if mesh.world_size != everyone.size():
        raise RunError(f"a mesh of {mesh.world_size} ranks does not fit {everyone.size()} processes")
    groups = mesh.groups(axes)
    if len(groups) == 1:
        return everyone
    number = int(np.flatnonzero((groups == everyone.rank()).any(axis=1))[0])
    ranks: list[int] = groups[number].tolist()
    if dist.get_backend() == "mpi":
        return _split(everyone, number, ranks)
    group = dist.new_group(ranks, use_local_synchronization=True)
    assert isinstance(group, dist.ProcessGroup)
    return group


def _split(everyone: dist.ProcessGroup, number: int, ranks: list[int]) -> dist.ProcessGroup:
    from fujimi_parallel.mpi.creation import enter  # loads MPI
    from fujimi_parallel.mpi.group import MpiGroup

    assert isinstance(everyone, MpiGroup)
    group = everyone.split(number)
    # torch shuts groups down by name, so the name must sort equally on all ranks
    enter(group, ranks, name=c10d._process_group_name(ranks, use_hashed_name=False))
    return group


def device_mesh(mesh: Mesh) -> DeviceMesh:
    """The same mesh for torch's own parallelism (FSDP2, DTensor, pipelining), with a group for each axis.

    Args:
        mesh: All ranks; every rank must call it.
    """
    groups = [group_along(mesh, [axis]) for axis in mesh.names]
    with unset_fake_temporarily():  # ranks are numbers in a dry run, too
        ranks = torch.arange(mesh.world_size, dtype=torch.int).view(mesh.shape)
        return DeviceMesh.from_group(groups, "cpu", mesh=ranks, mesh_dim_names=mesh.names)
