"""The same collectives packet by packet, for machines small enough to wait for it."""

import math
from collections.abc import Generator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import simpy
from fujimi_core.machine import Machine, Transport
from fujimi_core.network import Phase

from fujimi_sim.network.packet_network import PacketNetwork
from fujimi_sim.network.timing import TOUCHES_OF_A_COPY, TOUCHES_OF_AN_ADDITION
from fujimi_sim.network.torus import Torus

Steps = Generator[simpy.Event, Any, None]

PACKET_BYTES = 2048


def packet_seconds(
    phases: Sequence[Phase],
    *,
    nbytes: float,
    torus: Torus,
    packet_bytes: int = PACKET_BYTES,
    transport: str = "mpi",
) -> float:
    """Time that endpoints need for phases, one packet after the other.

    Every endpoint sends its messages of a step, waits until they and those for it have arrived, adds up what came, and
    goes on to the next step without waiting for the others. It sends the pieces of a message one after the other, each
    when the one before has left; it adds a piece up while others are under way. In a phase of several stages whose
    messages make up trees, it sends a piece when it has received the same one from all who send to it, and added it up.
    Where they make up circles, the stages before the last are steps of one piece.

    What an endpoint does besides, one thing at a time with its additions:

    - It pays ``operation_s`` for each piece sent and received, before the piece leaves, or when it has come if it sends
      none. The first is part of the latency.
    - It pays ``handshake_s`` for each of those on a further piece, and extra operations for each piece that comes.
    - Where receivers announce themselves, the first piece of a message leaves ``announce_s`` later.
    - Where the transport copies, each piece is copied before it leaves, but several messages at the same time.
    - It makes its plans before a step, and copies in its memory after it.

    Args:
        phases: Which messages.
        nbytes: One rank's whole buffer.
        torus: The network, or the box that a job has.
        packet_bytes: Longest packet.
        transport: What carries messages, where phases do not say.
    """
    environment = simpy.Environment()
    network = PacketNetwork(environment, torus, packet_bytes)
    transports = torus.machine.network
    steps = []
    for phase in phases:
        carrier = transports.transport(phase.transport or transport)
        circles = phase.stages > 1 and not is_tree(phase)
        for _ in range(phase.repeats):
            for _ in range((phase.stages - 1) * circles):
                steps.append(_Step(environment, network, phase, carrier, nbytes, tree=False, rehearses=True))
            steps.append(_Step(environment, network, phase, carrier, nbytes, tree=phase.stages > 1 and not circles))
    whole, lanes = transports.transport(transport), max((phase.lanes for phase in phases), default=1)
    call_s = whole.call_s + (whole.team_s + (lanes - 1) * whole.lane_s if lanes > 1 else 0.0)
    # Where nobody sends anything, everybody does the same.
    for each in sorted({int(each) for phase in phases for each in (*phase.src, *phase.dst)}) or [0]:
        environment.process(_endpoint(environment, each, steps, call_s=call_s))
    environment.run()
    return float(environment.now)


def is_tree(phase: Phase) -> bool:
    """Whether no message of a phase can come back to its sender."""
    senders: dict[int, set[int]] = {}
    for src, dst in zip(phase.src.tolist(), phase.dst.tolist(), strict=True):
        senders.setdefault(dst, set()).add(src)
    try:
        TopologicalSorter(senders).prepare()
    except CycleError:
        return False
    return True


def _endpoint(environment: simpy.Environment, me: int, steps: Sequence["_Step"], *, call_s: float) -> Steps:
    yield environment.timeout(call_s)
    for step in steps:
        yield from step.of(me)


class _Step:
    """One repeat of a phase.

    Args:
        environment: Whose clock it is.
        network: What carries packets.
        phase: Which messages.
        transport: What carries them.
        nbytes: One rank's whole buffer.
        tree: Whether endpoints pass on what they receive.
        rehearses: Whether it is only one piece, and nothing besides.
    """

    def __init__(
        self,
        environment: simpy.Environment,
        network: PacketNetwork,
        phase: Phase,
        transport: Transport,
        nbytes: float,
        *,
        tree: bool,
        rehearses: bool = False,
    ) -> None:
        message = phase.share * nbytes + phase.fixed_bytes
        pieces = max(1, math.ceil(message / phase.segment_bytes)) if phase.segment_bytes else 1
        self._environment = environment
        self._network = network
        self._phase = phase
        self._transport = transport
        self._tree = tree
        self._pieces = 1 if rehearses else pieces
        self._piece_bytes = message / pieces
        waits = phase.announced and message > transport.announce_bytes
        self._announced_s = transport.announce_s if waits else 0.0
        self._addition_s = self._addition(network.torus.machine) if phase.reduces else 0.0
        self._planned_s = 0.0 if rehearses else self._plan()
        self._copied_s = 0.0 if rehearses else self._copy(network.torus.machine, nbytes)
        self._arrived = [[environment.event() for _ in range(self._pieces)] for _ in phase.src]
        self._sends: dict[int, list[int]] = {}
        self._receives: dict[int, list[int]] = {}
        for index, (src, dst) in enumerate(zip(phase.src.tolist(), phase.dst.tolist(), strict=True)):
            self._sends.setdefault(src, []).append(index)
            self._receives.setdefault(dst, []).append(index)

    def of(self, me: int) -> Steps:
        """What one endpoint does in the step."""
        yield self._environment.timeout(self._planned_s)
        added = [self._environment.event() for _ in range(self._pieces)]
        processor = simpy.Resource(self._environment)
        receiving = self._environment.process(self._receive(me, added, processor))
        sending = self._environment.process(self._send(me, added, processor))
        yield receiving & sending
        yield self._environment.timeout(self._copied_s)

    def _plan(self) -> float:
        phase, transport = self._phase, self._transport
        once_s = phase.plans * transport.plan_s + phase.blocks * transport.block_s
        return once_s + phase.teams / phase.repeats * transport.team_s

    def _copy(self, machine: Machine, nbytes: float) -> float:
        rate = self._transport.copy_bytes_per_s or machine.node.device.streaming_bytes_per_s / TOUCHES_OF_A_COPY
        return self._phase.copied * nbytes / (self._phase.lanes * rate)

    def _addition(self, machine: Machine) -> float:
        """Time to add up one piece that came."""
        transport = self._transport
        rate = transport.addition_bytes_per_s or machine.node.device.streaming_bytes_per_s / TOUCHES_OF_AN_ADDITION
        together = transport.team_bytes is not None and self._piece_bytes >= transport.team_bytes
        team_s = transport.team_s if self._phase.lanes == 1 else transport.lane_team_s
        return self._piece_bytes / rate + team_s * together

    def _receive(self, me: int, added: Sequence[simpy.Event], processor: simpy.Resource) -> Steps:
        """Wait for each piece and add it up."""
        receives, sends = self._receives.get(me, []), self._sends.get(me, [])
        for piece in range(self._pieces):
            yield self._environment.all_of([self._arrived[index][piece] for index in receives])
            operations = 0 if sends or not receives else len(receives) - (piece == 0)
            extra_s = self._phase.extra_operations * self._transport.operation_s if receives else 0.0
            work_s = self._operations_s(operations, piece) + extra_s + len(receives) * self._addition_s
            yield from self._work(processor, work_s)
            added[piece].succeed()

    def _send(self, me: int, added: Sequence[simpy.Event], processor: simpy.Resource) -> Steps:
        """Send each piece to all receivers and wait until it has left; after the last one, until all have arrived."""
        receives, sends = self._receives.get(me, []), self._sends.get(me, [])
        for piece in range(self._pieces if sends else 0):
            if self._tree:
                yield added[piece]
            operations = len(sends) + len(receives) - (piece == 0)
            yield from self._work(processor, self._operations_s(operations, piece))
            left = [self._environment.event() for _ in sends]
            for index, event in zip(sends, left, strict=True):
                self._environment.process(self._carry(index, piece, event))
            yield self._environment.all_of(left)
        yield self._environment.all_of([each for index in sends for each in self._arrived[index]])

    def _operations_s(self, operations: int, piece: int) -> float:
        """Operations on a piece; those on a further piece wait for the handshake that the first has in its latency."""
        handshake_s = self._transport.regime(self._piece_bytes, 1).handshake_s if piece else 0.0
        return operations * (self._transport.operation_s + handshake_s)

    def _work(self, processor: simpy.Resource, seconds: float) -> Steps:
        if seconds:
            with processor.request() as turn:
                yield turn
                yield self._environment.timeout(seconds)

    def _carry(self, index: int, piece: int, left: simpy.Event) -> Steps:
        """Carry one piece of a message to its receiver."""
        src, dst = int(self._phase.src[index]), int(self._phase.dst[index])
        if src != dst:
            regime = self._transport.regime(self._piece_bytes, self._network.hops(src, dst))
            if self._announced_s and piece == 0:
                yield self._environment.timeout(self._announced_s)
            if regime.copy_bytes_per_s:
                yield self._environment.timeout(self._piece_bytes / regime.copy_bytes_per_s)
            flight = self._network.send(src, dst, self._piece_bytes, interfaces=self._phase.interfaces)
            yield flight.left
            left.succeed()
            yield flight.arrived
            yield self._environment.timeout(regime.latency_s)
        else:
            left.succeed()
        self._arrived[index][piece].succeed()
