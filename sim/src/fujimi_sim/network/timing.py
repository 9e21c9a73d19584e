"""What phases of messages cost, for any size of the buffer."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fujimi_core.machine import Machine, Transport
from fujimi_core.network import Phase, Topology

from fujimi_sim.network.loads import Load, load

#: Reads of two operands and the write of their sum, each as long as the message.
TOUCHES_OF_AN_ADDITION = 3
#: A read and a write.
TOUCHES_OF_A_COPY = 2
LATENCY = "latency"
ADDITION = "addition"
COPY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCost:
    """Seconds of one phase as a function of the size of one rank's buffer.

    A message of m bytes takes ``latency + operations + hops + m (busy + copy + addition)``. One that is cut into k
    pieces which go through s stages takes s times that of a piece, and k - 1 times what a further piece takes: the
    longer of its time in the network with that of its operations, and of its addition.

    Args:
        phase: Which messages; only their numbers are read.
        load: What they ask of the network.
        machine: Where they are sent.
        transport: What carries them.
    """

    phase: Phase
    load: Load
    machine: Machine
    transport: Transport

    def parts(self, nbytes: float) -> Counter[str]:
        """Seconds by what takes them."""
        phase, load, transport = self.phase, self.load, self.transport
        message = phase.share * nbytes + phase.fixed_bytes
        pieces = max(1, math.ceil(message / phase.segment_bytes)) if phase.segment_bytes else 1
        piece = message / pieces
        regime = transport.regime(piece, load.hops)
        # The first of the operations of an endpoint is part of the latency, and lanes work side by side.
        operations = math.ceil(load.operations / phase.lanes)
        operations_s = (operations - 1) * transport.operation_s
        latency_s = regime.latency_s + load.hops * self.machine.network.hop_latency_s + operations_s
        wire_s = piece * load.busy_s_per_byte
        copy_s = piece / regime.copy_bytes_per_s if regime.copy_bytes_per_s else 0.0
        addition_s = piece * load.received / self._addition_bytes_per_s if phase.reduces else 0.0
        further = pieces - 1
        added_longer = addition_s > wire_s + copy_s + operations * transport.operation_s
        passed_on = phase.stages + further * (not added_longer)
        once = {
            LATENCY: phase.stages * latency_s + further * (not added_longer) * operations * transport.operation_s,
            load.bottleneck: passed_on * wire_s,
            COPY: passed_on * copy_s + phase.copied * nbytes / self._copy_bytes_per_s,
            ADDITION: (phase.stages + further * added_longer) * addition_s,
        }
        return Counter({what: phase.repeats * seconds for what, seconds in once.items() if seconds})

    @property
    def _addition_bytes_per_s(self) -> float:
        return self.transport.addition_bytes_per_s or _memory_bytes_per_s(self.machine) / TOUCHES_OF_AN_ADDITION

    @property
    def _copy_bytes_per_s(self) -> float:
        return self.transport.copy_bytes_per_s or _memory_bytes_per_s(self.machine) / TOUCHES_OF_A_COPY


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of phases one after the other as a function of the size of one rank's buffer.

    Args:
        phases: Each of them.
        call_s: What it takes besides.
    """

    phases: tuple[PhaseCost, ...] = ()
    call_s: float = 0.0

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
    network = topology.machine.network
    loads: dict[tuple[int, int], Load] = {}
    costs = []
    for phase in phases:
        if not len(phase.src) and not phase.copied:
            continue
        messages = id(phase.src), id(phase.dst)
        if messages not in loads:
            loads[messages] = load(topology, phase.src, phase.dst)
        carrier = network.transport(phase.transport or transport)
        costs.append(PhaseCost(phase=phase, load=loads[messages], machine=topology.machine, transport=carrier))
    whole, lanes = network.transport(transport), max((phase.lanes for phase in phases), default=1)
    return Cost(phases=tuple(costs), call_s=whole.call_s + (lanes - 1) * whole.lane_s if costs else 0.0)


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


def _memory_bytes_per_s(machine: Machine) -> float:
    device = machine.node.device
    return device.memory_bandwidth_bytes_per_s * device.memory_efficiency
