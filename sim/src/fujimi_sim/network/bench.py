"""Collectives and single messages on an idle machine, size by size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fujimi_core.errors import MachineError, unknown
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.placement import fill_nodes
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Send

from fujimi_sim.network.allocation import by
from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.network.timing import TOUCHES_OF_A_COPY, Cost

#: Name of the only mesh axis.
AXIS = "rank"
#: Who sends when one message is timed: rank 0.
SENDER = {AXIS: (0, 1)}
#: One message from rank 0 to rank 1, besides the collectives, and the transport of such messages.
SEND = "send"
OPERATIONS = (*(kind.value for kind in CollectiveKind), SEND)

_WITHOUT_OWN = {"all_gather", "reduce_scatter", "all_to_all", "gather", "scatter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one operation of one size takes.

    Args:
        collective: Which operation.
        nodes: Of the job.
        ranks: Of the job; all of them take part, of a send two.
        nbytes: Size as in `Collective`; 0 for a barrier, in which case there is no bandwidth.
        algorithm: How it is done.
        chosen: Whether a job takes this algorithm if it does not name one; None if that was not asked.
        seconds: From its beginning until all are done; one way for a send.
        algorithm_bandwidth_bytes_per_s: Size over seconds.
        bus_bandwidth_bytes_per_s: The same times `bus_factor`: comparable with the speed of the network for any ranks.
        limit_bandwidth_bytes_per_s: What the algorithm bandwidth would be if each phase took as long as its busiest
            link or interface needs for the bytes that cross it: without latency, copies, additions and the filling of
            pipelines. None if nothing crosses the network.
        bottleneck: What takes most of the time, in words.
        bottleneck_share: Its part of the time.
    """

    collective: str
    nodes: int
    ranks: int
    nbytes: int
    algorithm: str
    chosen: bool | None
    seconds: float
    algorithm_bandwidth_bytes_per_s: float | None
    bus_bandwidth_bytes_per_s: float | None
    limit_bandwidth_bytes_per_s: float | None
    bottleneck: str
    bottleneck_share: float


class Bench:
    """Runs operations on a part of an idle machine, one at a time.

    Ranks fill the nodes in the topology's order, those of a node one after the other.

    Args:
        machine: Whose network it is.
        part: What the job has of it.
        plugins: Who offers and chooses algorithms.
    """

    def __init__(self, machine: Machine, part: Topology, *, plugins: Plugins) -> None:
        placement = fill_nodes(part.nodes, ranks_per_node=machine.node.devices)
        self.machine = machine
        self.part = part
        self.ranks = placement.ranks
        self._plugins = plugins
        self._endpoints: Endpoints = placement.nodes * machine.node.devices + placement.devices
        mesh = Mesh.of(**{AXIS: self.ranks})
        self._timer = CommunicationTimer(machine, part, mesh=mesh, placement=placement, plugins=plugins)
        self._names: dict[str, list[str]] = {}

    def run(self, operation: str, nbytes: int, *, algorithm: str | None = None) -> Timed:
        """Time of an operation with one algorithm; with the one that a job would take if none is named.

        Raises:
            MachineError: If there is no such operation or algorithm, it cannot serve the ranks, there is one rank, or
                it would take no time.
        """
        self._require_ranks(operation)
        if operation == SEND:
            return self._measured(operation, nbytes, name=_only_send(algorithm), chosen=None)
        name = algorithm or self._chosen(operation, nbytes)
        return self._measured(operation, nbytes, name=name, chosen=None if algorithm else True)

    def run_all(self, operation: str, nbytes: int) -> list[Timed]:
        """Time of an operation with every algorithm that can serve the ranks, fastest first.

        Raises:
            MachineError: If there is no such operation, or no algorithm for it, or there is one rank.
        """
        self._require_ranks(operation)
        if operation == SEND:
            return [self.run(operation, nbytes)]
        chosen = self._chosen(operation, nbytes)
        if operation not in self._names:
            self._names[operation] = self._timer.serving(_collective(operation, nbytes))
        names = self._names[operation]
        found = [self._measured(operation, nbytes, name=name, chosen=name == chosen) for name in names]
        return sorted(found, key=lambda each: each.seconds)

    def phases(self, operation: str, algorithm: str) -> Sequence[Phase]:
        """Messages of an operation that was run with this algorithm."""
        if operation == SEND:
            return [Phase(src=self._endpoints[:1], dst=self._endpoints[1:2])]
        offered = self._plugins.collectives()[algorithm]
        return offered.phases(CollectiveKind(operation), self._endpoints[None, :], topology=self.part) or ()

    def _require_ranks(self, operation: str) -> None:
        require_operation(operation)
        if self.ranks < 2:
            raise MachineError(
                f"{operation} needs at least 2 ranks, but 1 node of {self.machine.name!r} has 1: ask for more nodes,"
                " or more ranks per node"
            )

    def _measured(self, operation: str, nbytes: int, *, name: str, chosen: bool | None) -> Timed:
        cost = self._cost(operation, nbytes, name)
        seconds, bottleneck = cost.seconds(nbytes), cost.bottleneck(nbytes)
        if not seconds > 0:
            raise MachineError(f"{operation} takes no time on {self.machine.name!r}: its latencies are all 0")
        factor = bus_factor(operation, self.ranks)
        algorithm_bytes_per_s = nbytes / seconds if nbytes else None
        network_s = busy_s(cost, nbytes)
        return Timed(
            collective=operation,
            nodes=len(self.part.nodes),
            ranks=self.ranks,
            nbytes=nbytes,
            algorithm=name,
            chosen=chosen,
            seconds=seconds,
            algorithm_bandwidth_bytes_per_s=algorithm_bytes_per_s,
            bus_bandwidth_bytes_per_s=algorithm_bytes_per_s and factor and factor * algorithm_bytes_per_s,
            limit_bandwidth_bytes_per_s=nbytes / network_s if nbytes and network_s else None,
            bottleneck=bottleneck,
            bottleneck_share=cost.parts(nbytes)[bottleneck] / seconds,
        )

    def _cost(self, operation: str, nbytes: int, name: str) -> Cost:
        if operation == SEND:
            return self._timer.send_cost(Send(nbytes=nbytes, axis=AXIS, offset=1), where=SENDER)
        return self._timer.cost(_collective(operation, nbytes), name)

    def _chosen(self, operation: str, nbytes: int) -> str:
        return self._timer.collective(_collective(operation, nbytes)).algorithm


def require_operation(name: str) -> None:
    """Refuse what is no collective and no send.

    Raises:
        MachineError: Names those there are.
    """
    if name not in OPERATIONS:
        raise MachineError(unknown("collective", name, OPERATIONS))


def bus_factor(operation: str, ranks: int) -> float | None:
    """Bytes that cross the network at each rank, over the size; None where there is no size.

    ``2 (p - 1) / p`` for an all-reduce, ``(p - 1) / p`` where each rank keeps its own part, 1 for a broadcast, a
    reduce or a send.

    Source:
        NVIDIA, nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth".
    """
    if operation == "barrier":
        return None
    others = (ranks - 1) / ranks
    return {"all_reduce": 2 * others}.get(operation, others if operation in _WITHOUT_OWN else 1.0)


def busy_s(cost: Cost, nbytes: float) -> float:
    """Time for which the busiest link or interface of each phase is busy."""
    return math.fsum(
        each.phase.repeats * (each.phase.share * nbytes + each.phase.fixed_bytes) * each.load.busy_s_per_byte
        for each in cost.phases
    )


def part_of(machine: Machine, *, nodes: int | None, shape: tuple[int, ...] | None, plugins: Plugins) -> Topology:
    """The part of a machine's network that a job gets.

    Args:
        machine: Whose network it is.
        nodes: How many; None for as many as the shape has, or all that work.
        shape: As which grid; None if the job does not say.
        plugins: Who offers the topology.

    Raises:
        MachineError: If the machine does not have the nodes, or not in that shape.
    """
    if nodes is None and shape is None:
        return plugins.topology(machine)
    nodes = nodes if nodes is not None else math.prod(shape or ())
    machine.require_nodes(nodes)
    if shape is not None and math.prod(shape) != nodes:
        raise MachineError(
            f"a grid of {by(shape)} has {math.prod(shape):,} nodes, not {nodes:,}: leave the number of nodes"
            " out, or choose other extents"
        )
    part = plugins.topology(machine).allocate(nodes, shape=shape)
    if shape is not None and tuple(part.shape) != shape:
        raise MachineError(
            f"{machine.name!r} does not give {nodes:,} nodes as a grid of {by(shape)}, but as"
            f" {by(part.shape)}: the topology {machine.network.topology!r} gives no other; leave the shape out"
        )
    return part


def with_ranks_per_node(machine: Machine, ranks: int) -> Machine:
    """The same machine with another number of ranks, each a device, on each node.

    Fewer ranks than devices leave some idle. More share them evenly: each has its part of the memory, its bandwidth
    and the peak. Where the machine does not say how fast devices of a node reach each other, they copy through that
    memory, which is read and written.

    Args:
        machine: Which.
        ranks: On each node, at least 1.
    """
    node = machine.node
    if ranks == node.devices:
        return machine
    part = min(1.0, node.devices / ranks)
    device = replace(
        node.device,
        memory_bytes=part * node.device.memory_bytes,
        memory_bandwidth_bytes_per_s=part * node.device.memory_bandwidth_bytes_per_s,
        peak_flops_per_s=_scaled(node.device.peak_flops_per_s, part),
    )
    copied_bytes_per_s = device.streaming_bytes_per_s / TOUCHES_OF_A_COPY
    peer_bytes_per_s = node.peer_bandwidth_bytes_per_s or copied_bytes_per_s
    return replace(
        machine, node=replace(node, devices=ranks, device=device, peer_bandwidth_bytes_per_s=peer_bytes_per_s)
    )


def _scaled(values: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: factor * value for name, value in values.items()}


def _collective(operation: str, nbytes: int) -> Collective:
    return Collective(kind=CollectiveKind(operation), nbytes=nbytes, axes=(AXIS,), dtype="uint8")


def _only_send(algorithm: str | None) -> str:
    if algorithm not in (None, SEND):
        raise MachineError(unknown(f"algorithm for {SEND}", str(algorithm), [SEND]))
    return SEND
