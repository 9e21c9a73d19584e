"""Interfaces and links that pass packets on one after the other."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import simpy
from fujimi_core.machine import NetworkAxis

from fujimi_sim.network.torus import Torus

Place = tuple[int, ...]
#: A node's coordinates, an axis, and +1 or -1 for the direction.
Link = tuple[Place, int, int]


def links_on_route(src: Place, dst: Place, axes: Sequence[NetworkAxis]) -> Iterator[Link]:
    """Links of one message in dimension order, step by step.

    >>> ring = NetworkAxis(name="x", extent=5, wrap=True)
    >>> list(links_on_route((1,), (4,), [ring]))
    [((1,), 0, -1), ((0,), 0, -1)]
    """
    at = list(src)
    for axis, along in enumerate(axes):
        ahead = dst[axis] - at[axis]
        if along.wrap:
            ahead %= along.extent
            direction = 1 if ahead <= along.extent - ahead else -1
        else:
            direction = 1 if ahead > 0 else -1
        while at[axis] != dst[axis]:
            yield tuple(at), axis, direction
            at[axis] = (at[axis] + direction) % along.extent


@dataclass(slots=True, kw_only=True, eq=False)
class _Server:
    """An interface or a link, which serves packets in order of arrival.

    Args:
        bandwidth_bytes_per_s: At which it passes them on.
        latency_s: From its head to that of the next one.
        free_s: When it has served all that have come so far.
    """

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0
    free_s: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """A message under way, packet by packet.

    Args:
        route: Servers on its way.
        packet_bytes: Length of each packet.
        waiting: Packets that have not left yet.
        missing: Packets that have not arrived yet.
        left: Happens when the last packet has left the sender.
        arrived: Happens when the last packet has arrived.
    """

    route: Sequence[_Server]
    packet_bytes: float
    waiting: int
    missing: int
    left: simpy.Event
    arrived: simpy.Event


class PacketNetwork:
    """Servers of all interfaces and links of a torus, made when first used; buffers are unlimited."""

    def __init__(self, environment: simpy.Environment, torus: Torus, packet_bytes: int) -> None:
        self._environment = environment
        self.torus = torus
        self._packet_bytes = packet_bytes
        self._used: Counter[tuple[str, int]] = Counter()
        self._servers: dict[tuple[object, ...], _Server] = {}
        self._place = cache(lambda each: tuple(map(int, torus.coordinates(each)[: len(torus.box_axes)])))
        self._links = cache(lambda src, dst: list(links_on_route(src, dst, torus.box_axes)))

    def hops(self, src: int, dst: int) -> int:
        """Links between two endpoints."""
        devices = self.torus.machine.node.devices
        return len(self._links(self._place(src), self._place(dst))) if src // devices != dst // devices else 0

    def send(self, src: int, dst: int, nbytes: float, *, interfaces: int | None = None) -> Flight:
        """Send one message: its packets leave one after the other, and each goes its way alone.

        Args:
            src: Endpoint that sends it.
            dst: Endpoint that receives it.
            nbytes: Its length.
            interfaces: How many of a node's interfaces it can choose from; None for all.
        """
        count = max(1, -(-int(nbytes) // self._packet_bytes)) if src != dst else 0
        flight = Flight(
            route=self._route(src, dst, interfaces) if count else (),
            packet_bytes=nbytes / max(1, count),
            waiting=count,
            missing=count,
            left=self._environment.event(),
            arrived=self._environment.event(),
        )
        if count:
            self._next_packet(flight)
        else:
            flight.left.succeed()
            flight.arrived.succeed()
        return flight

    def _next_packet(self, flight: Flight) -> None:
        if flight.waiting:
            flight.waiting -= 1
            self._reach(flight, 0, self._environment.now)
        else:
            flight.left.succeed()

    def _reach(self, flight: Flight, position: int, tail_s: float) -> None:
        """Let a packet wait for a server; its head then goes ahead while its tail keeps it busy (cut-through)."""
        server = flight.route[position]
        start_s = max(self._environment.now, server.free_s)
        server.free_s = start_s + flight.packet_bytes / server.bandwidth_bytes_per_s
        tail_s = max(tail_s, server.free_s) + server.latency_s
        if position == 0:
            self._at(server.free_s, lambda: self._next_packet(flight))
        if position + 1 < len(flight.route):
            self._at(start_s + server.latency_s, lambda: self._reach(flight, position + 1, tail_s))
        else:
            self._at(tail_s, lambda: self._arrive(flight))

    def _arrive(self, flight: Flight) -> None:
        flight.missing -= 1
        if not flight.missing:
            flight.arrived.succeed()

    def _at(self, when_s: float, what: Callable[[], None]) -> None:
        """Do something later, or now if it is time."""
        wait_s = when_s - self._environment.now
        if wait_s <= 0:
            what()
            return
        timeout = self._environment.timeout(wait_s)
        timeout.callbacks.append(lambda _: what())

    def _route(self, src: int, dst: int, interfaces: int | None) -> list[_Server]:
        """Servers on the way of a message, interfaces taken in turn."""
        node, network = self.torus.machine.node, self.torus.machine.network
        from_node, to_node = src // node.devices, dst // node.devices
        if from_node == to_node:
            speed = node.peer_bandwidth_bytes_per_s or float("inf")
            return [self._server(speed, "peer out", src), self._server(speed, "peer in", dst)]
        one, all_of_them = node.interface_bandwidth_bytes_per_s, node.injection_bandwidth_bytes_per_s
        usable = min(node.interfaces, interfaces or node.interfaces)
        links = self._links(self._place(src), self._place(dst))
        return [
            self._server(one, "interface out", from_node, self._turn("out", from_node) % usable),
            self._server(all_of_them, "injection", from_node),
            *(
                self._server(network.link_bandwidth_bytes_per_s, *link, latency_s=network.hop_latency_s)
                for link in links
            ),
            self._server(all_of_them, "ejection", to_node),
            self._server(one, "interface in", to_node, self._turn("in", to_node) % usable),
        ]

    def _server(self, bandwidth_bytes_per_s: float, *key: object, latency_s: float = 0.0) -> _Server:
        if key not in self._servers:
            self._servers[key] = _Server(bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=latency_s)
        return self._servers[key]

    def _turn(self, direction: str, node: int) -> int:
        self._used[direction, node] += 1
        return self._used[direction, node]
