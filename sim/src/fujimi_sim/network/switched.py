"""What networks of switches have in common: nodes in order, and axes from the top switches down."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.network import Endpoints, Links
from numpy.typing import NDArray

from fujimi_sim.network.allocation import Extents, check_shape

#: From a node to its switch and from there to another node.
HOPS_BETWEEN_NODES = 2
DEVICE_AXIS = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A network of switches, of which jobs get the first nodes in order.

    Args:
        machine: Of which it is the network.
        count: Nodes that a job has: the first live ones of the machine, in order.
        asked: The shape that the job asked for, as good as any other; empty if it did not say.
    """

    machine: Machine
    count: int
    asked: Extents = ()

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """The whole network of a machine.

        Raises:
            MachineError: If it has dead links, or dead nodes that it does not have.
        """
        network = machine.network
        if network.dead_links:
            raise MachineError(
                f"machine {machine.name!r}: dead links are for meshes, tori and tofu; {network.topology!r} has no links"
                " from node to node"
            )
        absent = [node for node in network.dead_nodes if node >= machine.nodes]
        if absent:
            raise MachineError(f"machine {machine.name!r}: dead node {absent[0]} is not one of {machine.nodes}")
        return cls(machine=machine, count=machine.nodes - len(network.dead_nodes))

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Live nodes in order."""
        nodes = np.arange(self.machine.nodes, dtype=np.int64)
        dead = self.machine.network.dead_nodes
        return (nodes[~np.isin(nodes, dead)] if dead else nodes)[: self.count]

    @property
    def shape(self) -> Extents:
        """What the job asked for, or one line of nodes."""
        return self.asked or (self.count,)

    def allocate(self, nodes: int, *, shape: Extents | None = None) -> Self:
        """The first nodes, in whatever shape.

        Raises:
            MachineError: If there are not so many, or the shape is one of another number.
        """
        if not 1 <= nodes <= self.count:
            raise MachineError(f"machine {self.machine.name!r}: {nodes} of {self.count} nodes cannot be used")
        if shape is not None:
            check_shape(self.machine, nodes, shape)
        elif nodes == self.count:
            return self
        return replace(self, count=nodes, asked=shape or ())


def nested_axes(names: tuple[str, ...], below: Extents, *, nodes: int, devices: int) -> tuple[NetworkAxis, ...]:
    """Axes over the places below each other, as long as the first nodes need them, and one over several devices.

    >>> [axis.extent for axis in nested_axes(("group", "switch", "node"), (9, 4, 2), nodes=12, devices=1)]
    [2, 4, 2]

    Args:
        names: Slowest first.
        below: Places below each place of the axis before.
        nodes: The first of the machine, which are to have coordinates.
        devices: Of a node.
    """
    axes = []
    for position, name in enumerate(names):
        needed = -(-nodes // math.prod(below[position + 1 :]))
        axes.append(NetworkAxis(name=name, extent=min(below[position], needed), wrap=True))
    return (*axes, NetworkAxis(name=DEVICE_AXIS, extent=devices, wrap=True)) if devices > 1 else tuple(axes)


def nested_coordinates(endpoints: Endpoints, below: Extents, *, devices: int) -> NDArray[np.int64]:
    """Coordinates of endpoints along such axes, shape (axes, endpoints)."""
    places = np.unravel_index(endpoints // devices, below)
    return np.array((*places, endpoints % devices) if devices > 1 else places)


def counted(name: str, used: NDArray[np.int64], *, links: int, bandwidth_bytes_per_s: float) -> Links:
    """Links of a kind by number, with as many messages as use each of them."""
    messages = np.bincount(used, minlength=links)
    return Links(name=name, messages=messages, bandwidth_bytes_per_s=bandwidth_bytes_per_s)
