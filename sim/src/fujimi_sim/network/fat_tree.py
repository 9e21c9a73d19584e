"""Fat trees of any number of levels, full or tapered, with static routes."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Levels, Machine, NetworkAxis
from fujimi_core.network import Endpoints, Links, Routes
from numpy.typing import NDArray

from fujimi_sim.network.switched import HOPS_BETWEEN_NODES, Switched, counted, nested_axes, nested_coordinates


@dataclass(frozen=True, slots=True, kw_only=True)
class FatTree(Switched):
    """A fat tree, or the first nodes of one.

    Messages go up to the first switch that is above both ends, and down again. Of the links between a switch and the
    level above it a message takes number ``destination mod links``, up and down (D-mod-k): what happens to have the
    same remainder shares a link, as with static routing tables in a real network. A destination is an endpoint, since
    each interface has an address of its own. The links between nodes and leaf switches are the nodes' interfaces.

    A switch of a level above the leaves may stand for several smaller ones, a pod: each of those is the remainder by
    fewer links, so that the number of a link tells the whole way.

    Source:
        E. Zahavi, Fat-tree routing and node ordering providing contention free traffic for MPI global collectives,
        Journal of Parallel and Distributed Computing 72, 2012: D-mod-k.
    """

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """The whole network of a machine.

        Raises:
            MachineError: If the machine does not say its levels, or has more nodes than they hold.
        """
        levels = machine.network.levels
        if levels is None or levels.nodes < machine.nodes:
            has = "no network.levels" if levels is None else f"levels {levels.down} for {levels.nodes} nodes"
            raise MachineError(
                f"machine {machine.name!r}: a {machine.network.topology} of {machine.nodes} nodes needs network.levels"
                f" whose numbers down multiply to at least that; got {has}"
            )
        return super(FatTree, cls).of(machine)

    @property
    def levels(self) -> Levels:
        """Levels of the machine."""
        levels = self.machine.network.levels
        assert levels is not None  # of() sees to it
        return levels

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """An axis for each level from the top down, the last over the nodes of a leaf switch, then one over devices."""
        nodes, devices = int(self.nodes[-1]) + 1, self.machine.node.devices
        names = (*(f"level{level}" for level in range(len(self._below) - 1, 0, -1)), "node")
        return nested_axes(names, self._below, nodes=nodes, devices=devices)

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Position below each switch on the way down to the endpoints, shape (axes, endpoints)."""
        return nested_coordinates(endpoints, self._below, devices=self.machine.node.devices)

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """Links ``level 1 up``, ``level 1 down`` and so on: those from the leaf switches are level 1."""
        devices = self.machine.node.devices
        hops = np.where(src // devices == dst // devices, 0, HOPS_BETWEEN_NODES)
        links: list[Links] = []
        for level, up in enumerate(self.levels.up):
            leaves, enters = self._switch(level, src), self._switch(level, dst)
            meet_above = (leaves != enters) & (hops > 0)
            hops += 2 * meet_above
            for name, switch in (("up", leaves), ("down", enters)):
                used = (switch * up + dst % up)[meet_above]
                links.append(self._links(f"level {level + 1} {name}", used, count=self._switches(level) * up))
        return Routes(links=tuple(links), hops=hops)

    def _links(self, name: str, used: NDArray[np.int64], *, count: int) -> Links:
        bandwidth_bytes_per_s = self.machine.network.link_bandwidth_bytes_per_s
        return counted(name, used, links=count, bandwidth_bytes_per_s=bandwidth_bytes_per_s)

    def _switch(self, level: int, endpoints: Endpoints) -> NDArray[np.int64]:
        """Switch of a level above each endpoint."""
        return endpoints // (self.machine.node.devices * math.prod(self.levels.down[: level + 1]))

    def _switches(self, level: int) -> int:
        """Switches of a level."""
        return -(-self.machine.nodes // math.prod(self.levels.down[: level + 1]))

    @property
    def _below(self) -> tuple[int, ...]:
        """What is below each switch, from the top down."""
        return tuple(reversed(self.levels.down))
