"""Mesh: named axes of ranks, and which ranks form a group along an axis."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_core.errors import unknown

Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a mesh."""

    name: str
    extent: int

    def __post_init__(self) -> None:
        if self.extent < 1:
            raise ValueError(f"mesh axis {self.name!r} has extent {self.extent}; at least 1 is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Ranks laid out over named axes; the last axis varies fastest.

    >>> mesh = Mesh.of(dp=2, tp=3)
    >>> mesh.coordinates(4)
    {'dp': 1, 'tp': 1}
    >>> mesh.groups(["tp"]).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.axes):
            raise ValueError(f"mesh axes must have different names, got {self.names}")

    @classmethod
    def of(cls, **extents: int) -> "Mesh":
        """Make a mesh from axis names and extents, slowest axis first."""
        return cls(axes=tuple(Axis(name=name, extent=extent) for name, extent in extents.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, slowest first."""
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the axes, slowest first."""
        return tuple(axis.extent for axis in self.axes)

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return math.prod(self.shape)

    def index(self, axis: str) -> int:
        """Position of an axis.

        Raises:
            ValueError: If the mesh has no such axis.
        """
        if axis not in self.names:
            raise ValueError(unknown("mesh axis", axis, self.names))
        return self.names.index(axis)

    def coordinates(self, rank: int) -> dict[str, int]:
        """Coordinates of a rank, by axis.

        Raises:
            ValueError: If the rank is not in the mesh.
        """
        if not 0 <= rank < self.world_size:
            raise ValueError(f"rank {rank} is not in a mesh of {self.world_size} ranks")
        return {name: int(at) for name, at in zip(self.names, np.unravel_index(rank, self.shape), strict=True)}

    def groups(self, axes: Iterable[str]) -> Ranks:
        """All groups of ranks that differ only along the given axes.

        Returns:
            Ranks of shape (groups, ranks in a group), in rank order.
        """
        inside = sorted({self.index(axis) for axis in axes})
        outside = [i for i in range(len(self.axes)) if i not in inside]
        ranks = np.arange(self.world_size, dtype=np.int64).reshape(self.shape)
        extent = math.prod(self.shape[i] for i in inside)
        return ranks.transpose(outside + inside).reshape(-1, extent)

    def axes_of(self, ranks: Sequence[int]) -> tuple[str, ...]:
        """Axes along which some ranks differ.

        >>> Mesh.of(dp=2, tp=3).axes_of([3, 4, 5])
        ('tp',)
        """
        places = np.unravel_index(np.asarray(ranks, np.int64), self.shape)
        return tuple(name for name, at in zip(self.names, places, strict=True) if (at != at[0]).any())

    def slice(self, where: Mapping[str, tuple[int, int]]) -> Ranks:
        """Ranks whose coordinates lie in half-open intervals; axes that are not named are whole.

        >>> Mesh.of(pp=2, dp=3).slice({"pp": (1, 2)}).tolist()
        [3, 4, 5]
        """
        ranks = np.arange(self.world_size, dtype=np.int64).reshape(self.shape)
        for axis, (start, stop) in where.items():
            position = self.index(axis)
            if not 0 <= start < stop <= self.shape[position]:
                raise ValueError(
                    f"[{start}, {stop}) is not an interval of axis {axis!r}, extent {self.shape[position]}"
                )
            ranks = ranks.take(range(start, stop), axis=position)
        return ranks.reshape(-1)
