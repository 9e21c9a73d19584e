"""Where ranks go when nobody asks for something else."""

import math
from collections.abc import Sequence

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.network import Topology
from fujimi_core.placement import Placement, fill_nodes
from numpy.typing import NDArray

from fujimi_sim.network.allocation import snake


def place(mesh: Mesh, machine: Machine, topology: Topology, *, nodes: int) -> Placement:
    """Fill the devices of one node after the other, nodes in an order that keeps groups of the mesh on grids.

    The last mesh axis gets a small box along the last axes of the network, the one before gets boxes of such boxes, and
    so on; ranks run through each box as a snake does. Every group along a mesh axis then stands on a grid of the
    network, and neighbours along the last axis are one hop apart. Where the job does not fill a box, or the axes of
    the mesh do not fit the devices of a node, nodes are taken in the topology's order.

    Raises:
        MachineError: If the mesh does not have one rank for each device of so many nodes.
    """
    devices = machine.node.devices
    if mesh.world_size != nodes * devices:
        raise MachineError(
            f"{nodes} nodes of {machine.name!r} have {nodes * devices} devices, one rank each,"
            f" but the mesh has {mesh.world_size} ranks"
        )
    part = topology.allocate(nodes)
    order = part.nodes
    shape, table = _outside_nodes(mesh.shape, devices), _table(part, devices)
    if shape is not None and table is not None:
        order = table[tuple(nested_snake(shape, table.shape))]
    return fill_nodes(order, ranks_per_node=devices)


def nested_snake(shape: Sequence[int], extents: Sequence[int]) -> NDArray[np.int64]:
    """Coordinates in a box of all points of a mesh, each mesh axis a snake through boxes of the next one's boxes.

    >>> nested_snake((2, 4), (4, 2)).T.tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0], [2, 0], [2, 1], [3, 1], [3, 0]]

    Args:
        shape: Extents of the mesh, slowest axis first.
        extents: Extents of the box, with the same product.

    Returns:
        Coordinates of shape (axes of the box, points), points in C order of the mesh.
    """
    left = np.array(extents)
    stride = np.ones_like(left)
    coordinates = np.zeros((len(extents), 1), np.int64)
    for extent in reversed(shape):
        block = _divide(extent, left)
        steps = snake(tuple(block)) * stride[:, None]
        coordinates = (steps[:, :, None] + coordinates[:, None, :]).reshape(len(extents), -1)
        left, stride = left // block, stride * block
    return coordinates


def _divide(extent: int, left: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many places of each axis of a box make up the extent, from the last axis on as many as divide it."""
    block = np.ones_like(left)
    for axis in reversed(range(len(left))):
        block[axis] = math.gcd(extent, int(left[axis]))
        extent //= int(block[axis])
    return block


def _outside_nodes(shape: Sequence[int], devices: int) -> tuple[int, ...] | None:
    """What is left of a mesh when its last axes have filled the devices of a node; None if they do not fit."""
    outside = []
    for extent in reversed(shape):
        inside = math.gcd(extent, devices)
        if inside not in (extent, devices):
            return None
        outside.append(extent // inside)
        devices //= inside
    return tuple(reversed(outside))


def _table(part: Topology, devices: int) -> NDArray[np.int64] | None:
    """Node at each place of the box that the nodes fill; None if they do not fill one."""
    nodes = part.nodes
    coordinates = part.coordinates(nodes * devices)
    coordinates = coordinates - coordinates.min(axis=1, keepdims=True)
    extents = tuple(coordinates.max(axis=1) + 1)
    if math.prod(extents) != len(nodes):
        return None
    table = np.empty(extents, np.int64)
    table[tuple(coordinates)] = nodes
    return table
