"""Groups whose members stand on a grid of the network."""

from dataclasses import dataclass

import numpy as np
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Endpoints, Topology
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Groups of endpoints by coordinates.

    Args:
        axes: Axes of the network along which the groups extend; the others are left out.
        places: For each axis the coordinates that the first group has there, ascending.
        endpoints: Endpoints of shape (groups, places on the first axis, places on the second, …).
    """

    axes: tuple[NetworkAxis, ...]
    places: tuple[NDArray[np.int64], ...]
    endpoints: Endpoints

    def lines(self, axis: int) -> Endpoints:
        """All lines of endpoints along an axis, shape (lines, places)."""
        return np.moveaxis(self.endpoints, axis + 1, -1).reshape(-1, self.endpoints.shape[axis + 1])

    def closes(self, axis: int) -> bool:
        """Whether it is no further from the last place on an axis to the first than between two others."""
        places = self.places[axis]
        gaps = np.diff(places)
        back = places[0] + self.axes[axis].extent - places[-1]
        return self.axes[axis].wrap and bool(back <= gaps.max(initial=0))


def grid(groups: Endpoints, topology: Topology) -> Grid | None:
    """Arrange the members of groups on a grid.

    Args:
        groups: Endpoints of shape (groups, members).
        topology: Where they are.

    Returns:
        None if the members of some group are not all combinations of some coordinates along each axis, or if the
        groups differ in the number of coordinates.
    """
    extents = tuple(axis.extent for axis in topology.axes)
    keys = np.ravel_multi_index(tuple(topology.coordinates(groups.ravel())), extents).reshape(groups.shape)
    order = np.argsort(keys, axis=1)
    endpoints, keys = np.take_along_axis(groups, order, axis=1), np.take_along_axis(keys, order, axis=1)
    first = np.unravel_index(keys[0], extents)
    places = [np.flatnonzero(np.bincount(along)) for along in first]
    shape = tuple(len(each) for each in places)
    if np.prod(shape, dtype=np.int64) != groups.shape[1]:
        return None
    long = [axis for axis, count in enumerate(shape) if count > 1]
    for axis, coordinates in enumerate(np.unravel_index(keys.reshape(-1, *shape), extents)):
        on_the_axis = np.moveaxis(coordinates, axis + 1, -1)
        line = on_the_axis[(slice(None), *[slice(0, 1)] * (len(shape) - 1))]
        if not (on_the_axis == line).all():
            return None
    return Grid(
        axes=tuple(topology.axes[axis] for axis in long),
        places=tuple(places[axis] for axis in long),
        endpoints=endpoints.reshape(-1, *(shape[axis] for axis in long)),
    )
