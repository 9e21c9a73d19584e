"""The mesh in which all groups of some ranks are slices, and slices of ranks that do the same."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Axis, Mesh
from numpy.typing import NDArray


def mesh_of(world_size: int, groups: Iterable[Sequence[int]]) -> Mesh:
    """The coarsest mesh that has every group along some of its axes.

    >>> mesh_of(8, [[0, 1], [1, 3, 5, 7]]).shape
    (4, 2)

    Args:
        world_size: Number of ranks.
        groups: Ranks of each, in rising order.

    Raises:
        WorkloadError: If there is none.
    """
    cuts = {1, world_size}
    for offsets in {tuple(rank - group[0] for rank in group) for group in groups}:
        for stride, extent in _strides(offsets):
            cuts |= {stride, stride * extent}
    blocks = sorted(cuts)
    if any(larger % smaller for smaller, larger in itertools.pairwise(blocks)):
        raise WorkloadError(
            f"the groups of these {world_size:,} ranks are no slices of one mesh: blocks of"
            f" {', '.join(map(str, blocks))} ranks would have to divide each other"
        )
    extents = [larger // smaller for smaller, larger in itertools.pairwise(blocks)][::-1] or [1]
    return Mesh(axes=tuple(Axis(name=f"axis{index}", extent=extent) for index, extent in enumerate(extents)))


def axes_along(mesh: Mesh, group: Sequence[int]) -> tuple[str, ...]:
    """Axes along which a group lies.

    Raises:
        WorkloadError: If it is not the whole of these axes.
    """
    axes = mesh.axes_of(group)
    extent = int(np.prod([mesh.shape[mesh.index(axis)] for axis in axes], dtype=np.int64))
    if extent != len(group):
        raise WorkloadError(f"ranks {_listed(group)} are a group, but no slice of the mesh {_shape(mesh)}")
    return axes


def step_along(mesh: Mesh, rank: int, other: int) -> tuple[str, int]:
    """Axis and offset from one rank to another.

    Raises:
        WorkloadError: If they differ along several axes.
    """
    axes = mesh.axes_of([rank, other])
    if len(axes) != 1:
        where = "is the same rank" if not axes else f"differs along {' and '.join(axes)}"
        raise WorkloadError(
            f"rank {rank} sends to rank {other}, which {where} in the mesh {_shape(mesh)}; messages go along one axis"
        )
    return axes[0], mesh.coordinates(other)[axes[0]] - mesh.coordinates(rank)[axes[0]]


def boxes(mesh: Mesh, labels: NDArray[np.int64]) -> Iterator[tuple[int, dict[str, tuple[int, int]]]]:
    """Cut a mesh into slices of ranks with the same label.

    Args:
        mesh: Which.
        labels: One a rank, shape (ranks,), at least 0.

    Returns:
        Label and half-open interval on each axis.
    """
    left = labels.reshape(mesh.shape).copy()
    while (left >= 0).any():
        first = np.unravel_index(int(np.argmax(left >= 0)), mesh.shape)
        label = int(left[first])
        start, stop = [int(at) for at in first], [int(at) + 1 for at in first]
        for axis in reversed(range(len(mesh.shape))):
            while stop[axis] < mesh.shape[axis] and (left[_next(start, stop, axis)] == label).all():
                stop[axis] += 1
        left[tuple(slice(*ends) for ends in zip(start, stop, strict=True))] = -1
        yield label, {name: (start[i], stop[i]) for i, name in enumerate(mesh.names)}


def _next(start: Sequence[int], stop: Sequence[int], axis: int) -> tuple[slice, ...]:
    """What a slice would grow by along an axis."""
    return tuple(slice(stop[i], stop[i] + 1) if i == axis else slice(start[i], stop[i]) for i in range(len(start)))


def _strides(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Strides and extents, finest first, of a group of which the first rank is 0.

    Raises:
        WorkloadError: If the group is no product of arithmetic progressions.
    """
    left = np.asarray(offsets, np.int64)
    while len(left) > 1:
        stride = int(left[1])
        run = left == stride * np.arange(len(left))
        extent = len(left) if run.all() else int(np.argmin(run))
        if len(left) % extent or (left.reshape(-1, extent) != left[::extent, None] + left[:extent]).any():
            raise WorkloadError(f"ranks at offsets {_listed(offsets)} are a group, but no slice of any mesh")
        yield stride, extent
        left = left[::extent]


def _shape(mesh: Mesh) -> str:
    return " x ".join(f"{axis.name} {axis.extent}" for axis in mesh.axes)


def _listed(ranks: Sequence[int]) -> str:
    shown = ", ".join(map(str, ranks[:8]))
    return f"{shown}, …" if len(ranks) > 8 else shown
