"""Groups that are the whole job, on the grid as which the job asked for its nodes."""

import math

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind
from numpy.typing import NDArray

_ADDS = (CollectiveKind.REDUCE, CollectiveKind.ALL_REDUCE)


def on_the_job(groups: Endpoints, topology: Topology) -> tuple[Endpoints, tuple[int, ...]]:
    """Members in the order of the grid on which they stand, and its extents.

    That is the job's own grid if the group is the whole job, with the ranks of a node next to each other on its last
    axis; else members stay in their order and stand in a line.

    Args:
        groups: Endpoints of shape (groups, members).
        topology: The part of the network that the job has.
    """
    devices = topology.machine.node.devices
    shape = tuple(extent for extent in (*topology.shape[:-1], topology.shape[-1] * devices) if extent > 1)
    everyone = _everyone(groups, topology)
    if everyone is None:
        return groups, (groups.shape[1],)
    return everyone.reshape(1, -1), shape or (1,)


def leaders(groups: Endpoints, topology: Topology) -> tuple[Endpoints, tuple[int, ...]]:
    """The first rank of each node in the order of the job's grid, and its extents; everybody if it is not the job."""
    everyone = _everyone(groups, topology)
    if everyone is None:
        return groups, (groups.shape[1],)
    return everyone[:, 0][None], tuple(extent for extent in topology.shape if extent > 1) or (1,)


def inside_nodes(groups: Endpoints, topology: Topology, kind: CollectiveKind) -> tuple[list[Phase], list[Phase]]:
    """What the other ranks of each node do before and after its first one takes part: hand in theirs, get the result.

    Nothing where a node has one rank, or the group is not the whole job.
    """
    everyone = _everyone(groups, topology)
    if everyone is None or everyone.shape[1] == 1:
        return [], []
    first = np.repeat(everyone[:, 0], everyone.shape[1] - 1)
    others = everyone[:, 1:].ravel()
    before = [Phase(src=others, dst=first, reduces=True)] if kind in _ADDS else []
    after = [Phase(src=first, dst=others)] if kind is not CollectiveKind.REDUCE else []
    return before, after


def _everyone(groups: Endpoints, topology: Topology) -> Endpoints | None:
    """Endpoints of the job, shape (nodes, devices), if they are the only group.

    Rotated along all axes so that the first member of the group, which collectives with a root take for it, is first.
    """
    devices = topology.machine.node.devices
    if len(groups) > 1 or groups.size != math.prod(topology.shape) * devices:
        return None
    first_node, first_device = divmod(int(groups[0, 0]), devices)
    nodes = _nodes_on_the_grid(topology)
    everyone = nodes[:, None] * devices + (np.arange(devices) + first_device) % devices
    if not np.array_equal(np.sort(groups[0]), np.sort(everyone.ravel())):
        return None
    grid = everyone.reshape(*topology.shape, devices)
    at = np.unravel_index(int(np.flatnonzero(nodes == first_node)[0]), topology.shape)
    rotated = np.roll(grid, [-int(place) for place in at], axis=tuple(range(len(at))))
    return rotated.reshape(-1, devices)


def _nodes_on_the_grid(topology: Topology) -> NDArray[np.int64]:
    """Nodes of the job in C order over its grid: a torus lists those of a box without a shape in a snake."""
    nodes, devices = topology.nodes, topology.machine.node.devices
    axes = topology.axes[:-1] if devices > 1 else topology.axes
    if tuple(axis.extent for axis in axes) != tuple(topology.shape):
        return nodes
    places = topology.coordinates(nodes * devices)[: len(axes)]
    return nodes[np.argsort(np.ravel_multi_index(tuple(places), topology.shape))]
