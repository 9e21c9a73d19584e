"""Rail-optimised islands: device r of every node on a leaf switch of its own."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.network import Endpoints, Routes
from numpy.typing import NDArray

from fujimi_sim.network.fat_tree import FatTree
from fujimi_sim.network.switched import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Rails(FatTree):
    """Islands of nodes whose devices have an interface each, joined rail by rail.

    Rail r of an island is one leaf switch, which joins device r of ``down[0]`` nodes; ``up[0]`` are the links up from
    each of these leaf switches. Rails and islands meet at the next level, which goes on as a fat tree. Messages between
    the same devices of two nodes of an island take two links; all others between nodes go higher. To change the rail
    inside a node first, over its own links, is left to algorithms.

    ``rail out`` and ``rail in`` are the devices' interfaces: they take only messages of their own device.
    """

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """The whole network of a machine.

        Raises:
            MachineError: If nodes have not one interface for each device, or what a fat tree needs is missing.
        """
        node = machine.node
        if node.devices != node.interfaces:
            raise MachineError(
                f"machine {machine.name!r}: rails need one interface for each device of a node; there are"
                f" {node.interfaces} interfaces and {node.devices} devices"
            )
        return super(Rails, cls).of(machine)

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """Interfaces of devices, then links of the levels.

        Raises:
            MachineError: If messages change the rail and there is no level above the leaf switches.
        """
        devices = self.machine.node.devices
        between = src // devices != dst // devices
        if not self.levels.up and (lost := between & (src % devices != dst % devices)).any():
            first = int(np.flatnonzero(lost)[0])
            raise MachineError(
                f"machine {self.machine.name!r}: there is no way from device {src[first] % devices} of node"
                f" {src[first] // devices} to device {dst[first] % devices} of node {dst[first] // devices}: its rails"
                " do not meet, network.levels has one level"
            )
        above = super(Rails, self).routes(src, dst)
        interfaces = tuple(
            counted(
                name,
                ends[between],
                links=self.machine.ranks,
                bandwidth_bytes_per_s=self.machine.node.interface_bandwidth_bytes_per_s,
            )
            for name, ends in (("rail out", src), ("rail in", dst))
        )
        return Routes(links=interfaces + above.links, hops=above.hops)

    def _switch(self, level: int, endpoints: Endpoints) -> NDArray[np.int64]:
        """Switch of a level above each endpoint; leaf switches are islands times rails."""
        above = super(Rails, self)._switch(level, endpoints)
        devices = self.machine.node.devices
        return above if level else above * devices + endpoints % devices

    def _switches(self, level: int) -> int:
        """Switches of a level."""
        above = super(Rails, self)._switches(level)
        return above if level else above * self.machine.node.devices
