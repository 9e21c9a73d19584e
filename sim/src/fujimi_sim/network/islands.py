"""Nodes of several devices on a network that never blocks."""

from dataclasses import dataclass

import numpy as np
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Endpoints, Routes
from numpy.typing import NDArray

from fujimi_sim.network.switched import DEVICE_AXIS, HOPS_BETWEEN_NODES, Switched


@dataclass(frozen=True, slots=True, kw_only=True)
class NonBlocking(Switched):
    """One ideal switch between all nodes: a fat tree of full bisection whose routes never collide.

    Only the interfaces of nodes and the links between the devices of a node limit messages.
    """

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """An axis over the nodes and one over the devices of a node; the distance along them does not matter."""
        return (
            NetworkAxis(name="node", extent=int(self.nodes[-1]) + 1, wrap=True),
            NetworkAxis(name=DEVICE_AXIS, extent=self.machine.node.devices, wrap=True),
        )

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Node and device of endpoints, shape (2, endpoints)."""
        return np.stack(np.divmod(endpoints, self.machine.node.devices))

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """No link is shared: only the interfaces of nodes and the links inside nodes are."""
        devices = self.machine.node.devices
        hops = np.where(src // devices == dst // devices, 0, HOPS_BETWEEN_NODES)
        return Routes(links=(), hops=hops)
