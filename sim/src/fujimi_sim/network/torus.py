"""Meshes and tori of any number of axes, and the box of one that a job has."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.network import Endpoints, Routes
from numpy.typing import NDArray

from fujimi_sim.network.allocation import box, box_axes, by, check_shape, free_origin, snake, spread
from fujimi_sim.network.damage import Damage, damage_of
from fujimi_sim.network.detours import NoWayError, route_around
from fujimi_sim.network.routes import route, together

#: Name of the axis over the devices of a node.
DEVICE_AXIS = "device"
#: Messages are routed in slices, so that what is computed on the way fits in caches.
MESSAGES_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Torus:
    """A mesh or torus, or a box of one.

    Nodes are numbered over the axes of the whole machine, the last axis fastest; messages are routed along the first
    axis first. Messages of a box stay in it: an axis of which it has only a part does not wrap. Dead nodes are in no
    job, and messages go around dead nodes and links.

    Args:
        machine: Of which it is the network.
        box_axes: Axes of the box, in the order of the machine's.
        count: Nodes that a job can use: the first live ones of the box in its order; the others only pass messages on.
        origin: Where the box begins; empty for the origin of the machine.
        asked: The shape that the job asked for; empty if it did not say.
    """

    machine: Machine
    box_axes: tuple[NetworkAxis, ...]
    count: int
    origin: tuple[int, ...] = ()
    asked: tuple[int, ...] = ()

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """The whole network of a machine.

        Raises:
            MachineError: If its axes do not make up its nodes, or if it has not the nodes and links that are dead.
        """
        axes = machine.network.axes
        extents = tuple(axis.extent for axis in axes)
        if not axes or np.prod(extents, dtype=np.int64) != machine.nodes:
            raise MachineError(
                f"machine {machine.name!r} has {machine.nodes} nodes, but its network axes have the extents {extents}:"
                " their product must be the number of nodes"
            )
        dead = machine.network.dead_nodes
        whole = cls(machine=machine, box_axes=axes, count=machine.nodes - len(dead))
        if dead or machine.network.dead_links:
            whole._damage()
        return whole

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
        """Live nodes: in C order over the shape that the job asked for, else in snake order.

        In snake order each is one hop from the one before, where no dead ones lie between.
        """
        order = self._order()
        if self.origin:
            order = order + np.array(self.origin)[:, None]
        nodes = np.asarray(np.ravel_multi_index(tuple(order), self._machine_extents), np.int64)
        dead = self.machine.network.dead_nodes
        return (nodes[~np.isin(nodes, dead)] if dead else nodes)[: self.count]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents that the job asked for; else of the box if the job fills it, and one long line if not."""
        shape = self.asked or self.extents
        return shape if math.prod(shape) == self.count else (self.count,)

    def allocate(self, nodes: int, *, shape: tuple[int, ...] | None = None) -> Self:
        """The box that a job of so many nodes gets.

        With a shape, the first box with these extents that covers no dead node; extents of the shape can be fewer than
        axes if only one box fits them. Without one, a box that begins at the origin and has enough live nodes. A job
        that does not fill its box is not divided into smaller boxes: less of it are its first nodes.

        Raises:
            MachineError: If there are not so many, or not in this shape.
        """
        if shape is not None:
            check_shape(self.machine, nodes, shape)
            return self if shape == self.asked and nodes == self.count else self._shaped(nodes, shape)
        if nodes == self.count:
            return self
        if not 1 <= nodes < self.count:
            raise MachineError(f"machine {self.machine.name!r}: {nodes} of {self.count} nodes cannot be used")
        dead = self._dead()
        if self.count < math.prod(self.extents) - (0 if dead is None else int(dead.sum())):
            return replace(self, count=nodes)
        return self._part(box(self.box_axes, nodes, live=None if dead is None else ~dead), count=nodes)

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Coordinates of endpoints in the box, shape (axes, endpoints)."""
        device = endpoints % self.machine.node.devices
        return np.array((*self._places(endpoints), device)[: len(self.axes)])

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """Links of the box, for one message from each source to its destination.

        Raises:
            MachineError: If dead nodes and links cut off a destination.
        """
        starts = range(0, max(1, len(src)), MESSAGES_AT_ONCE)
        slices = [slice(start, start + MESSAGES_AT_ONCE) for start in starts]
        network = self.machine.network
        damage = self._damage() if network.dead_nodes or network.dead_links else None
        return together([self._routes(src[each], dst[each], damage) for each in slices])

    def _routes(self, src: Endpoints, dst: Endpoints, damage: Damage | None) -> Routes:
        """Routes of a slice of messages, around damage if there is any."""
        bandwidth_bytes_per_s = self.machine.network.link_bandwidth_bytes_per_s
        places = self._places(src), self._places(dst)
        if damage is None or not damage.any:
            return route(*places, self.box_axes, bandwidth_bytes_per_s=bandwidth_bytes_per_s)
        try:
            return route_around(*places, damage, bandwidth_bytes_per_s=bandwidth_bytes_per_s)
        except NoWayError as cut:
            devices = self.machine.node.devices
            raise MachineError(
                f"machine {self.machine.name!r}: there is no way from node {src[cut.message] // devices} to node"
                f" {dst[cut.message] // devices} around dead nodes and links"
            ) from None

    def _shaped(self, nodes: int, shape: tuple[int, ...]) -> Self:
        """The part that has a shape.

        Raises:
            MachineError: If no box has it, if several have, or if dead nodes are in the way.
        """
        boxes = spread(shape, self.extents)
        if len(boxes) != 1:
            what = "does not fit" if not boxes else f"could be any of the boxes {', '.join(map(by, boxes))} of"
            raise MachineError(
                f"machine {self.machine.name!r}: a job of shape {by(shape)} {what} {self._described()}:"
                " ask for one extent for each axis"
            )
        return self._part(boxes[0], count=nodes, offset=self._free_offset(boxes[0], shape), asked=shape)

    def _part(
        self,
        extents: tuple[int, ...],
        *,
        count: int,
        offset: tuple[int, ...] | None = None,
        asked: tuple[int, ...] = (),
    ) -> Self:
        """A box of this one, from an offset on."""
        origin = tuple(np.add(self._origin, offset or 0).tolist())
        return replace(
            self,
            box_axes=box_axes(self.box_axes, extents),
            count=count,
            origin=origin if any(origin) else (),
            asked=asked,
        )

    def _free_offset(self, extents: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
        """Where a box covers only nodes that can be used.

        Raises:
            MachineError: If there is no such place.
        """
        offset = free_origin(~self._own(), extents)
        if offset is None:
            raise MachineError(
                f"machine {self.machine.name!r}: dead nodes or those of others are in every box for a job of shape"
                f" {by(shape)} in {self._described()}: ask for another shape, or for a number of nodes without one"
            )
        return offset

    def _own(self) -> NDArray[np.bool_]:
        """Whether a job can use each node, over the coordinates of the box."""
        own = np.zeros(self.extents, np.bool_)
        own[tuple(self._places(self.nodes * self.machine.node.devices))] = True
        return own

    def _dead(self) -> NDArray[np.bool_] | None:
        """Whether each node is dead, over the coordinates of the box; None if the machine has no dead nodes."""
        return self._damage().dead if self.machine.network.dead_nodes else None

    def _damage(self) -> Damage:
        """Dead nodes and links of the box."""
        return damage_of(self.machine, self.box_axes, self._origin)

    def _order(self) -> NDArray[np.int64]:
        """Coordinates of the nodes in the box in the order in which ranks fill them, shape (axes, nodes)."""
        if self.asked:
            return np.indices(self.extents).reshape(len(self.extents), -1)
        return snake(self.extents)

    def _described(self) -> str:
        """Names and extents of the axes, for messages."""
        axes = ", ".join(f"{axis.name} of {axis.extent}" for axis in self.box_axes)
        return f"its axes {axes}"

    @property
    def _origin(self) -> tuple[int, ...]:
        return self.origin or (0,) * len(self.box_axes)

    @property
    def _machine_extents(self) -> tuple[int, ...]:
        return tuple(axis.extent for axis in self.machine.network.axes)

    def _places(self, endpoints: Endpoints) -> tuple[NDArray[np.int64], ...]:
        """Coordinates of the endpoints' nodes along each axis of the box."""
        places = np.unravel_index(endpoints // self.machine.node.devices, self._machine_extents)
        if not self.origin:
            return places
        return tuple(place - start for place, start in zip(places, self.origin, strict=True))
