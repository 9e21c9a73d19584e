"""The same network packet by packet, for machines small enough to wait for it."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import simpy
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Phase
from simpy.resources.resource import Request

from fujimi_sim.network.timing import TOUCHES_OF_AN_ADDITION
from fujimi_sim.network.torus import Torus

Place = tuple[int, ...]
#: A node's coordinates, an axis, and +1 or -1 for the direction.
Link = tuple[Place, int, int]
Steps = Generator[simpy.Event, Any, None]

PACKET_BYTES = 2048


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


def packet_seconds(phases: Sequence[Phase], *, nbytes: float, torus: Torus, packet_bytes: int = PACKET_BYTES) -> float:
    """Time that endpoints need for phases, one packet after the other.

    Every endpoint sends its messages of a step, waits until they and those for it have arrived, adds up what came, and
    goes on to the next step without waiting for the others.

    Args:
        phases: Which messages.
        nbytes: One rank's whole buffer.
        torus: The network, or the box that a job has.
        packet_bytes: Longest packet.
    """
    steps = [phase for phase in phases for _ in range(phase.repeats)]
    network = _Network(simpy.Environment(), torus, packet_bytes)
    arrivals = [[network.environment.event() for _ in step.src] for step in steps]
    for endpoint in sorted({int(each) for step in steps for each in (*step.src, *step.dst)}):
        network.environment.process(_endpoint(endpoint, steps, arrivals, nbytes=nbytes, network=network))
    network.environment.run()
    return float(network.environment.now)


def _endpoint(
    me: int, steps: Sequence[Phase], arrivals: Sequence[Sequence[simpy.Event]], *, nbytes: float, network: "_Network"
) -> Steps:
    device = network.torus.machine.node.device
    memory_bytes_per_s = device.memory_bandwidth_bytes_per_s * device.memory_efficiency
    for step, arrived in zip(steps, arrivals, strict=True):
        sends = [index for index, src in enumerate(step.src) if src == me]
        receives = [index for index, dst in enumerate(step.dst) if dst == me]
        for index in sends:
            message = network.message(me, int(step.dst[index]), step.share * nbytes, arrived[index])
            network.environment.process(message)
        if sends or receives:
            yield network.environment.all_of([arrived[index] for index in (*sends, *receives)])
        if step.reduces:
            added_bytes = TOUCHES_OF_AN_ADDITION * len(receives) * step.share * nbytes
            yield network.environment.timeout(added_bytes / memory_bytes_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A server that passes packets on in order of arrival, and the time from its head to that of the next."""

    server: simpy.Resource
    bandwidth_bytes_per_s: float
    latency_s: float = 0.0


class _Network:
    """Servers of all interfaces and links, made when first used; buffers are unlimited."""

    def __init__(self, environment: simpy.Environment, torus: Torus, packet_bytes: int) -> None:
        self.environment = environment
        self.torus = torus
        self._packet_bytes = packet_bytes
        self._used: Counter[tuple[str, int]] = Counter()
        self._server = cache(lambda *_: simpy.Resource(environment, capacity=1))
        self._place = cache(lambda each: tuple(map(int, torus.coordinates(each)[: len(torus.box_axes)])))

    def message(self, src: int, dst: int, nbytes: float, arrived: simpy.Event) -> Steps:
        """Send one message: its packets leave one after the other, and each goes its way alone."""
        if src != dst:
            yield self.environment.timeout(self.torus.machine.network.message_latency_s)
            first, *others = self._stages(src, dst)
            count = max(1, -(-int(nbytes) // self._packet_bytes))
            packets = []
            for _ in range(count):
                with first.server.request() as turn:
                    yield turn
                    packets.append(self.environment.process(self._packet(others, nbytes / count)))
                    yield self.environment.timeout(nbytes / count / first.bandwidth_bytes_per_s)
            yield self.environment.all_of(packets)
        arrived.succeed()

    def _packet(self, stages: Sequence[_Stage], nbytes: float) -> Steps:
        """Pass one packet on: its head goes ahead while its tail still keeps the servers behind busy (cut-through)."""
        tail_s = self.environment.now
        for stage in stages:
            turn = stage.server.request()
            yield turn
            service_s = nbytes / stage.bandwidth_bytes_per_s
            self.environment.process(self._keep_busy(stage.server, turn, service_s))
            tail_s = max(tail_s, self.environment.now + service_s) + stage.latency_s
            yield self.environment.timeout(stage.latency_s)
        yield self.environment.timeout(tail_s - self.environment.now)

    def _keep_busy(self, server: simpy.Resource, turn: Request, seconds: float) -> Steps:
        yield self.environment.timeout(seconds)
        server.release(turn)

    def _stages(self, src: int, dst: int) -> list[_Stage]:
        """Servers on the way of a message, interfaces taken in turn."""
        node, network = self.torus.machine.node, self.torus.machine.network
        from_node, to_node = src // node.devices, dst // node.devices
        if from_node == to_node:
            speed = node.peer_bandwidth_bytes_per_s or float("inf")
            return [self._at(speed, "peer out", src), self._at(speed, "peer in", dst)]
        links = links_on_route(self._place(src), self._place(dst), self.torus.box_axes)
        interface, injection = node.interface_bandwidth_bytes_per_s, node.injection_bandwidth_bytes_per_s
        return [
            self._at(interface, "interface out", from_node, self._next("out", from_node)),
            self._at(injection, "injection", from_node),
            *(self._at(network.link_bandwidth_bytes_per_s, *link, latency_s=network.hop_latency_s) for link in links),
            self._at(injection, "ejection", to_node),
            self._at(interface, "interface in", to_node, self._next("in", to_node)),
        ]

    def _at(self, bandwidth_bytes_per_s: float, *key: object, latency_s: float = 0.0) -> _Stage:
        server = self._server(*key)
        return _Stage(server=server, bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=latency_s)

    def _next(self, direction: str, node: int) -> int:
        """Interface that takes the next message of a node."""
        self._used[direction, node] += 1
        return self._used[direction, node] % self.torus.machine.node.interfaces
