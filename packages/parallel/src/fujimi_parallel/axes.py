"""Axes: where this rank is on the mesh of a plan, and who it shares each axis with."""

from collections.abc import Iterable

import torch.distributed as dist
from fujimi_core.mesh import Mesh

from fujimi_parallel.groups import group_along
from fujimi_parallel.world import World

#: Axes whose ranks work on different samples or tokens, so that their gradients are summed.
REPLICAS = ("dp", "sp")


class Axes:
    """Coordinates and groups of one rank; all ranks make theirs at the same time.

    Args:
        world: The ranks.
        mesh: Their layout over ``pp``, ``dp``, ``sp`` and ``tp``.
    """

    def __init__(self, world: World, mesh: Mesh) -> None:
        self.mesh = mesh
        self.captured = world.captured
        self.rank = world.rank
        self._at = mesh.coordinates(world.rank)
        self._groups: dict[frozenset[str], dist.ProcessGroup] = {}
        for axes in (("tp",), ("pp",), ("sp",), REPLICAS, mesh.names):
            if self.extent(*axes) > 1:
                self._groups.setdefault(self._key(axes), group_along(mesh, axes))

    def at(self, axis: str) -> int:
        """Coordinate of this rank."""
        return self._at[axis]

    def extent(self, *axes: str) -> int:
        """Ranks that differ only along these axes."""
        extent = 1
        for axis in axes:
            extent *= self.mesh.shape[self.mesh.index(axis)]
        return extent

    def group(self, *axes: str) -> dist.ProcessGroup | None:
        """Ranks that differ from this one only along these axes; None if there is no other.

        Raises:
            KeyError: If no group was made along these axes.
        """
        return self._groups[self._key(axes)] if self.extent(*axes) > 1 else None

    def everybody(self) -> dist.ProcessGroup | None:
        """All ranks."""
        return self.group(*self.mesh.names)

    def index(self, *axes: str) -> int:
        """Number of this rank in the group along these axes: in the order of ranks."""
        index = 0
        for axis in self.mesh.names:
            if axis in axes:
                index = index * self.extent(axis) + self.at(axis)
        return index

    def is_first(self, *axes: str) -> bool:
        """Whether this rank is the first along each of these axes; it then speaks for the others."""
        return all(self.at(axis) == 0 for axis in axes)

    def _key(self, axes: Iterable[str]) -> frozenset[str]:
        """Axes of one rank make no difference."""
        return frozenset(axis for axis in axes if self.extent(axis) > 1)
