"""What phases of messages cost, for any size of the buffer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from fujimi_core.machine import Machine
from fujimi_core.network import Load, Phase, Topology

#: Reads of two operands and the write of their sum, each as long as the message.
TOUCHES_OF_AN_ADDITION = 3
LATENCY = "latency"
ADDITION = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds as a function of the size of one rank's buffer: ``latency_s + nbytes * s_per_byte``.

    Args:
        latency_s: Part that does not depend on the size.
        s_per_byte: Part that grows with it, by what limits it.
    """

    latency_s: float = 0.0
    s_per_byte: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, nbytes: float) -> float:
        """Time for a buffer."""
        return self.latency_s + nbytes * sum(self.s_per_byte.values())

    def bottleneck(self, nbytes: float) -> str:
        """What takes most of that time, in words."""
        parts = {LATENCY: self.latency_s} | {what: nbytes * part for what, part in self.s_per_byte.items()}
        longest = max(parts, key=parts.__getitem__)
        return longest if parts[longest] > 0 else "nothing"


def total(costs: Iterable[Cost]) -> Cost:
    """Cost of things that are done one after the other."""
    latency_s, s_per_byte = 0.0, dict[str, float]()
    for cost in costs:
        latency_s += cost.latency_s
        for what, part in cost.s_per_byte.items():
            s_per_byte[what] = s_per_byte.get(what, 0.0) + part
    return Cost(latency_s=latency_s, s_per_byte=s_per_byte)


def phase_cost(phase: Phase, *, load: Load, machine: Machine) -> Cost:
    """Cost of a phase with all its repeats.

    ``repeats * (message latency + hops * hop latency + bytes * (busy + addition))``, where the addition of what came
    to what was there reads two operands and writes one at the speed of the receiver's memory.

    Args:
        phase: Which messages.
        load: What they ask of the network.
        machine: Where they are sent.
    """
    if not len(phase.src):
        return Cost()
    network, device = machine.network, machine.node.device
    nbytes = phase.repeats * phase.share
    parts = {load.bottleneck: nbytes * load.busy_s_per_byte}
    if phase.reduces:
        arrivals = int(np.bincount(phase.dst - phase.dst.min()).max())
        memory_bytes_per_s = device.memory_bandwidth_bytes_per_s * device.memory_efficiency
        parts[ADDITION] = nbytes * arrivals * TOUCHES_OF_AN_ADDITION / memory_bytes_per_s
    latency_s = phase.repeats * (network.message_latency_s + load.hops * network.hop_latency_s)
    return Cost(latency_s=latency_s, s_per_byte={what: part for what, part in parts.items() if part})


def phases_cost(phases: Sequence[Phase], topology: Topology, machine: Machine) -> Cost:
    """Cost of phases one after the other; messages that occur in several phases are routed once."""
    loads: dict[tuple[int, int], Load] = {}
    costs = []
    for phase in phases:
        messages = id(phase.src), id(phase.dst)
        if messages not in loads:
            loads[messages] = topology.load(phase.src, phase.dst)
        costs.append(phase_cost(phase, load=loads[messages], machine=machine))
    return total(costs)


def least_cost(phases: Sequence[Phase], machine: Machine) -> Cost:
    """A bound below the cost of phases that takes no routing: each message alone on the network, without hops."""
    node = machine.node
    fastest_bytes_per_s = max(node.interface_bandwidth_bytes_per_s, node.peer_bandwidth_bytes_per_s or 0.0)
    return Cost(
        latency_s=machine.network.message_latency_s * sum(phase.repeats for phase in phases),
        s_per_byte={"interface": sum(phase.repeats * phase.share for phase in phases) / fastest_bytes_per_s},
    )
