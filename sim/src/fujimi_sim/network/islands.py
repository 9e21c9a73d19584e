"""Nodes of several devices on a network that never blocks."""

from dataclasses import dataclass

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.network import Endpoints, Routes
from numpy.typing import NDArray

#: From the sender to the network and from there to the receiver.
HOPS_BETWEEN_NODES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NonBlocking:
    """One ideal switch between all nodes: a fat tree of full bisection whose routes never collide.

    Only the interfaces of nodes and the links between the devices of a node limit messages.

    Args:
        machine: Of which it is the network.
        count: Nodes that a job has: the first of the machine, in order.
    """

    machine: Machine
    count: int

    @classmethod
    def of(cls, machine: Machine) -> "NonBlocking":
        """The whole network of a machine."""
        return cls(machine=machine, count=machine.nodes)

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """An axis over the nodes and one over the devices of a node; the distance along them does not matter."""
        return (
            NetworkAxis(name="node", extent=self.count, wrap=True),
            NetworkAxis(name="device", extent=self.machine.node.devices, wrap=True),
        )

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Nodes in order."""
        return np.arange(self.count, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """One line of nodes."""
        return (self.count,)

    def allocate(self, nodes: int, *, shape: tuple[int, ...] | None = None) -> "NonBlocking":
        """The first nodes.

        Raises:
            MachineError: If there are not so many.
        """
        if not 1 <= nodes <= self.count:
            raise MachineError(f"machine {self.machine.name!r}: {nodes} of {self.count} nodes cannot be used")
        return NonBlocking(machine=self.machine, count=nodes)

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Node and device of endpoints, shape (2, endpoints)."""
        return np.stack(np.divmod(endpoints, self.machine.node.devices))

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """No link is shared: only the interfaces of nodes and the links inside nodes are."""
        devices = self.machine.node.devices
        hops = np.where(src // devices == dst // devices, 0, HOPS_BETWEEN_NODES)
        return Routes(links=(), hops=hops)
