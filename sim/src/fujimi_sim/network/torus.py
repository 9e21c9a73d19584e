"""Meshes and tori of any number of axes, and the box of one that a job has."""

import math
from dataclasses import dataclass

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.network import Endpoints, Routes
from numpy.typing import NDArray

from fujimi_sim.network.allocation import box, box_axes, snake
from fujimi_sim.network.routes import route, together

#: Name of the axis over the devices of a node.
DEVICE_AXIS = "device"
#: Messages are routed in slices, so that what is computed on the way fits in caches.
MESSAGES_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Torus:
    """A mesh or torus, or a box of one.

    Nodes are numbered over the axes of the whole machine, the last axis fastest; messages are routed along the first
    axis first. A box begins at the origin. Its messages stay in it: an axis of which it has only a part does not wrap.

    Args:
        machine: Of which it is the network.
        box_axes: Axes of the box, in the order of the machine's.
        count: Nodes that a job can use: the first in snake order; the others of the box only pass messages on.
    """

    machine: Machine
    box_axes: tuple[NetworkAxis, ...]
    count: int

    @classmethod
    def of(cls, machine: Machine) -> "Torus":
        """The whole network of a machine.

        Raises:
            MachineError: If its axes do not make up its nodes.
        """
        axes = machine.network.axes
        extents = tuple(axis.extent for axis in axes)
        if not axes or np.prod(extents, dtype=np.int64) != machine.nodes:
            raise MachineError(
                f"machine {machine.name!r} has {machine.nodes} nodes, but its network axes have the extents {extents}:"
                " their product must be the number of nodes"
            )
        return cls(machine=machine, box_axes=axes, count=machine.nodes)

    @property
    def extents(self) -> tuple[int, ...]:
        """Nodes of the box along each axis."""
        return tuple(axis.extent for axis in self.box_axes)

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """Axes of the box, and one over the devices of a node if there are several."""
        devices = self.machine.node.devices
        inside = (NetworkAxis(name=DEVICE_AXIS, extent=devices, wrap=True),) if devices > 1 else ()
        return self.box_axes + inside

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Nodes in snake order, each one hop from the one before."""
        order = snake(self.extents)[:, : self.count]
        return np.asarray(np.ravel_multi_index(tuple(order), self._machine_extents), np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the box if the job fills it; one long line if not."""
        return self.extents if math.prod(self.extents) == self.count else (self.count,)

    def allocate(self, nodes: int, *, shape: tuple[int, ...] | None = None) -> "Torus":
        """The box that a job of so many nodes gets.

        Raises:
            MachineError: If there are not so many.
        """
        if nodes == self.count and shape is None:
            return self
        if not 1 <= nodes < self.count:
            raise MachineError(f"machine {self.machine.name!r}: {nodes} of {self.count} nodes cannot be used")
        extents = box(self.box_axes, nodes)
        return Torus(machine=self.machine, box_axes=box_axes(self.box_axes, extents), count=nodes)

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Coordinates of endpoints, shape (axes, endpoints)."""
        device = endpoints % self.machine.node.devices
        return np.array((*self._places(endpoints), device)[: len(self.axes)])

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """Links of the box, for one message from each source to its destination."""
        bandwidth_bytes_per_s = self.machine.network.link_bandwidth_bytes_per_s
        starts = range(0, max(1, len(src)), MESSAGES_AT_ONCE)
        slices = [slice(start, start + MESSAGES_AT_ONCE) for start in starts]
        return together(
            [
                route(
                    self._places(src[each]),
                    self._places(dst[each]),
                    self.box_axes,
                    bandwidth_bytes_per_s=bandwidth_bytes_per_s,
                )
                for each in slices
            ]
        )

    @property
    def _machine_extents(self) -> tuple[int, ...]:
        return tuple(axis.extent for axis in self.machine.network.axes)

    def _places(self, endpoints: Endpoints) -> tuple[NDArray[np.int64], ...]:
        """Coordinates of the endpoints' nodes along each axis."""
        return np.unravel_index(endpoints // self.machine.node.devices, self._machine_extents)
