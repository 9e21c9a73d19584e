"""What phases of messages cost, for any size of the buffer."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.machine import Machine, Transport
from fujimi_core.network import Phase, Topology

from fujimi_sim.network.loads import Load, load

#: Reads of two operands and the write of their sum, each as long as the message.
TOUCHES_OF_AN_ADDITION = 3
#: A read and a write.
TOUCHES_OF_A_COPY = 2
NOBODY = np.array([], np.int64)
LATENCY = "latency"
ADDITION = "addition"
COPY = "copy"
PLAN = "software"
MEMORY = "new memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCost:
    """Seconds of one phase as a function of the size of one rank's buffer.

    A message of m bytes takes ``latency + operations + hops + m (busy + copy + addition)``. One that is cut into k
    pieces which go through s stages takes s times that of a piece, and k - 1 times what a further piece takes: its
    operations, and the longer of its time in the network and that of its addition, which go on at the same time.

    Args:
        phase: Which messages; only their numbers are read.
        load: What they ask of the network.
        machine: Where they are sent.
        carrier: Name of the transport that carries them.
    """

    phase: Phase
    load: Load
    machine: Machine
    carrier: str = "mpi"

    @property
    def transport(self) -> Transport:
        """What carries them."""
        return self.machine.network.transport(self.carrier)

    def parts(self, nbytes: float) -> Counter[str]:
        """Seconds by what takes them."""
        phase, load, transport = self.phase, self.load, self.transport
        message = phase.share * nbytes + phase.fixed_bytes
        pieces = max(1, math.ceil(message / phase.segment_bytes)) if phase.segment_bytes else 1
        piece = message / pieces
        regime = transport.regime(piece, load.hops)
        operations = load.operations + phase.extra_operations
        operations_s = (operations - 1) * transport.operation_s  # the first one is part of the latency
        latency_s = regime.latency_s + load.hops * self.machine.network.hop_latency_s + operations_s
        if phase.announced and message > transport.announce_bytes:
            latency_s += transport.announce_s
        wire_s = piece * load.busy_s_per_byte
        copy_s = piece / regime.copy_bytes_per_s if regime.copy_bytes_per_s else 0.0
        addition_s = load.received * self._addition_s(piece) if phase.reduces else 0.0
        further = pieces - 1
        added_longer = addition_s > wire_s + copy_s
        passed_on = phase.stages + further * (not added_longer)
        if not load.operations:
            latency_s = wire_s = copy_s = 0.0
        once = {
            LATENCY: phase.stages * latency_s + further * operations * (transport.operation_s + regime.handshake_s),
            load.bottleneck: passed_on * wire_s,
            COPY: passed_on * copy_s + phase.copied * nbytes / (phase.lanes * self._copy_bytes_per_s),
            ADDITION: (phase.stages + further * added_longer) * addition_s,
            MEMORY: self._fresh_s(nbytes),
            PLAN: phase.plans * transport.plan_s
            + phase.blocks * transport.block_s
            + phase.teams / phase.repeats * transport.team_s,
        }
        return Counter({what: phase.repeats * seconds for what, seconds in once.items() if seconds})

    def _fresh_s(self, nbytes: float) -> float:
        """Time until temporary buffers that no call before has left are there."""
        longest = self.transport.fresh_bytes
        kept = longest is None or nbytes <= longest
        return 0.0 if kept else self.phase.fresh * nbytes / self.transport.fresh_bytes_per_s

    def _addition_s(self, piece: float) -> float:
        """Time to add up one piece, by all threads together if it is long enough."""
        transport = self.transport
        together = transport.team_bytes is not None and piece >= transport.team_bytes
        team_s = transport.team_s if self.phase.lanes == 1 else transport.lane_team_s
        return piece / self._addition_bytes_per_s + team_s * together

    @property
    def _addition_bytes_per_s(self) -> float:
        return (
            self.transport.addition_bytes_per_s
            or self.machine.node.device.streaming_bytes_per_s / TOUCHES_OF_AN_ADDITION
        )

    @property
    def _copy_bytes_per_s(self) -> float:
        return self.transport.copy_bytes_per_s or self.machine.node.device.streaming_bytes_per_s / TOUCHES_OF_A_COPY


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of phases one after the other as a function of the size of one rank's buffer.

    Args:
        phases: Each of them.
        carrier: Name of the transport whose call they are; empty for none.
    """

    phases: tuple[PhaseCost, ...] = ()
    carrier: str = ""

    @property
    def call_s(self) -> float:
        """Time to enter and leave the call, and to set up its threads."""
        if not self.phases or not self.carrier:
            return 0.0
        whole = self.phases[0].machine.network.transport(self.carrier)
        lanes = max(each.phase.lanes for each in self.phases)
        return whole.call_s + (whole.team_s + (lanes - 1) * whole.lane_s if lanes > 1 else 0.0)

    def on(self, machine: Machine) -> "Cost":
        """The same messages where transports cost something else; links and interfaces must be as fast."""
        return replace(self, phases=tuple(replace(each, machine=machine) for each in self.phases))

    def parts(self, nbytes: float) -> Counter[str]:
        """Seconds by what takes them."""
        parts = Counter({LATENCY: self.call_s})
        for phase in self.phases:
            parts.update(phase.parts(nbytes))
        return parts

    def seconds(self, nbytes: float) -> float:
        """Time for a buffer."""
        return math.fsum(self.parts(nbytes).values())

    def bottleneck(self, nbytes: float) -> str:
        """What takes most of that time, in words."""
        parts = self.parts(nbytes)
        longest = max(parts, key=parts.__getitem__)
        return longest if parts[longest] > 0 else "nothing"


def phases_cost(phases: Sequence[Phase], topology: Topology, *, transport: str = "mpi") -> Cost:
    """Cost of the phases of a collective; messages that occur in several phases are routed once.

    Args:
        phases: One after the other.
        topology: Where they are sent.
        transport: What carries them, where they do not say.
    """
    loads: dict[tuple[int, int, int | None], Load] = {}
    costs = []
    for phase in phases:
        messages = id(phase.src), id(phase.dst), phase.interfaces
        if messages not in loads:
            loads[messages] = load(topology, phase.src, phase.dst, interfaces=phase.interfaces)
        carrier = phase.transport or transport
        costs.append(PhaseCost(phase=outline(phase), load=loads[messages], machine=topology.machine, carrier=carrier))
    return Cost(phases=tuple(costs), carrier=transport if loads else "")


def outline(phase: Phase) -> Phase:
    """A phase without its messages, which can be large."""
    return replace(phase, src=NOBODY, dst=NOBODY)


def least_s(phases: Sequence[Phase], machine: Machine, nbytes: float, *, transport: str = "mpi") -> float:
    """A bound below the time of phases that takes no routing: each message alone on the network, without hops."""
    node = machine.node
    fastest_bytes_per_s = max(node.interface_bandwidth_bytes_per_s, node.peer_bandwidth_bytes_per_s or 0.0)
    seconds = 0.0
    for phase in phases:
        regimes = machine.network.transport(phase.transport or transport).regimes
        latency_s = phase.stages * min(regime.latency_s for regime in regimes)
        seconds += phase.repeats * (latency_s + (phase.share * nbytes + phase.fixed_bytes) / fastest_bytes_per_s)
    return seconds
