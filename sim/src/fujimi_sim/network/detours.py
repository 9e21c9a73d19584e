"""Ways around dead nodes and links of a mesh or torus."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from fujimi_core.network import Routes
from numpy.typing import NDArray

from fujimi_sim.network.damage import NOWHERE, Damage
from fujimi_sim.network.routes import Coordinates, route, signed_distance


class NoWayError(LookupError):
    """There is no way from the source of a message to its destination.

    Args:
        message: Its position among the messages.
    """

    def __init__(self, message: int) -> None:
        super().__init__(message)
        self.message = message


def route_around(
    src: Sequence[Coordinates],
    dst: Sequence[Coordinates],
    damage: Damage,
    *,
    bandwidth_bytes_per_s: float,
) -> Routes:
    """Route messages in dimension order, and those that would cross something dead another way.

    What is tried first is taken: the axes in their order, in the orders that begin with the second, third, … axis and
    go round, then one step aside and dimension order from there (the aside that makes the shortest way), and last a
    shortest way by breadth-first search.

    Args:
        src: Coordinates of the senders along each axis, shape (messages,) each.
        dst: Coordinates of the receivers.
        damage: Of the box.
        bandwidth_bytes_per_s: One link.

    Raises:
        NoWayError: If some message has none.
    """
    under_way = _UnderWay(
        src=np.array(src), dst=np.array(dst), damage=damage, bandwidth_bytes_per_s=bandwidth_bytes_per_s
    )
    left = np.arange(under_way.src.shape[1])
    positions = list(range(len(damage.axes)))
    for first in positions:
        if not first or len(left):
            left = under_way.in_order(left, positions[first:] + positions[:first])
    if len(left):
        left = under_way.aside(left)
    return under_way.routes(_search(under_way.src, under_way.dst, left, damage, under_way.hops))


@dataclass(slots=True, kw_only=True, eq=False)
class _UnderWay:
    """Messages, and the routes that some of them have already."""

    src: Coordinates
    dst: Coordinates
    damage: Damage
    bandwidth_bytes_per_s: float
    hops: NDArray[np.int64] = field(init=False)
    parts: list[Routes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hops = np.zeros(self.src.shape[1], np.int64)

    def in_order(self, messages: NDArray[np.int64], order: Sequence[int]) -> NDArray[np.int64]:
        """Send messages along the axes in an order where nothing is in the way, and tell which are left."""
        crossed = self.damage.crossed(self.src[:, messages], self.dst[:, messages], order)
        clear = messages[~crossed]
        self._send(clear, self.src[:, clear], self.dst[:, clear], order)
        return messages[crossed]

    def aside(self, messages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Send messages one step aside and on from there where nothing is in the way, and tell which are left."""
        asides, found = _asides(self.src[:, messages], self.dst[:, messages], self.damage)
        clear, order = messages[found], range(len(self.damage.axes))
        self._send(clear, self.src[:, clear], asides[:, found], order)
        self._send(clear, asides[:, found], self.dst[:, clear], order)
        return messages[~found]

    def routes(self, further: NDArray[np.int64]) -> Routes:
        """All routes, with further messages on each link."""
        links = tuple(
            replace(same[0], messages=np.sum([each.messages for each in same], axis=0) + more)
            for *same, more in zip(*(part.links for part in self.parts), further, strict=True)
        )
        return Routes(links=links, hops=self.hops)

    def _send(self, messages: NDArray[np.int64], start: Coordinates, stop: Coordinates, order: Sequence[int]) -> None:
        part = route(
            tuple(start),
            tuple(stop),
            self.damage.axes,
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s,
            order=order,
        )
        self.hops[messages] += part.hops
        self.parts.append(part)


def _asides(src: Coordinates, dst: Coordinates, damage: Damage) -> tuple[Coordinates, NDArray[np.bool_]]:
    """Neighbours of the senders from which dimension order is clear and shortest, and whether there are any."""
    extents = damage.dead.shape
    order = range(len(extents))
    senders = np.ravel_multi_index(tuple(src), extents)
    asides, shortest = src.copy(), np.full(len(senders), np.iinfo(np.int64).max)
    for leads_to in damage.neighbours:
        linked = leads_to[senders] != NOWHERE
        aside = np.array(np.unravel_index(np.where(linked, leads_to[senders], senders), extents))
        length = np.zeros(len(senders), np.int64)
        for start, stop, axis in zip(aside, dst, damage.axes, strict=True):
            length += np.abs(signed_distance(start, stop, axis))
        better = linked & (length < shortest) & ~damage.crossed(aside, dst, order)
        asides[:, better], shortest[better] = aside[:, better], length[better]
    return asides, shortest < np.iinfo(np.int64).max


def _search(
    src: Coordinates, dst: Coordinates, messages: NDArray[np.int64], damage: Damage, hops: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find shortest ways of some of the messages and write down their hops.

    Returns:
        Messages on each link, shape (links of a node, extent, extent, …).

    Raises:
        NoWayError: If one has none.
    """
    extents = damage.dead.shape
    counts = np.zeros_like(damage.neighbours)
    senders = np.ravel_multi_index(tuple(src[:, messages]), extents)
    receivers = np.ravel_multi_index(tuple(dst[:, messages]), extents)
    for sender in np.unique(senders):  # few: those all of whose simpler ways are blocked
        mine = senders == sender
        came_by = _reached_by(int(sender), receivers[mine], damage)
        at = receivers[mine]
        lost = np.flatnonzero(came_by[at] == NOWHERE)
        if len(lost):
            raise NoWayError(int(messages[mine][lost[0]]))
        on_the_way = messages[mine]
        while len(at):
            # A link back over the same axis leads to where the message came from.
            link = came_by[at]
            at = damage.neighbours[link ^ 1, at]
            np.add.at(counts, (link, at), 1)
            hops[on_the_way] += 1
            at, on_the_way = at[at != sender], on_the_way[at != sender]
    return counts.reshape(-1, *extents)


def _reached_by(sender: int, receivers: NDArray[np.int64], damage: Damage) -> NDArray[np.int64]:
    """Link by which a breadth-first search reaches each node first, until it has the receivers."""
    came_by = np.full(damage.dead.size, NOWHERE)
    seen = np.zeros(damage.dead.size, np.bool_)
    seen[sender] = True
    frontier = np.array([sender])
    while len(frontier) and not seen[receivers].all():
        reached = []
        for link, leads_to in enumerate(damage.neighbours):
            nodes = leads_to[frontier]
            nodes = nodes[nodes != NOWHERE]
            nodes = nodes[~seen[nodes]]
            came_by[nodes], seen[nodes] = link, True
            reached.append(nodes)
        frontier = np.concatenate(reached)
    return came_by
