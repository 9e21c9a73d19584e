"""Nodes of several devices on a network that never blocks."""

from dataclasses import dataclass

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.network import Endpoints, Load
from numpy.typing import NDArray

from fujimi_sim.network.interfaces import interface_demands, peer_demands, worst

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

    def allocate(self, nodes: int) -> "NonBlocking":
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

    def load(self, src: Endpoints, dst: Endpoints) -> Load:
        """Load of messages of equal size that are sent all at once; one to the sender itself asks for nothing."""
        node = self.machine.node
        from_node, to_node = src // node.devices, dst // node.devices
        leaves = from_node != to_node
        inside = ~leaves & (src != dst)
        demands = interface_demands(from_node[leaves], to_node[leaves], node)
        demands |= peer_demands(src[inside], dst[inside], node)
        return worst(demands, hops=HOPS_BETWEEN_NODES if leaves.any() else 0)
