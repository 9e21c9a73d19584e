"""Measured collectives beside what the same cost here."""

from collections.abc import Iterable
from dataclasses import dataclass

from fujimi_core.errors import MachineError, unknown
from fujimi_core.machine import Machine
from fujimi_core.measurements import Measurement
from fujimi_core.mesh import Mesh
from fujimi_core.placement import fill_nodes
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Send

from fujimi_sim.network.bench import AXIS, SEND, SENDER, with_ranks_per_node
from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.network.timing import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A measurement, and what it costs here.

    Args:
        measured: What was measured.
        algorithm: What it was taken for here.
        named: Whether the benchmark named that algorithm; if not, the library's table did.
        cost: For any size of the buffer.
    """

    measured: Measurement
    algorithm: str
    named: bool
    cost: Cost

    @property
    def seconds(self) -> float:
        """Simulated time."""
        return self.cost.seconds(self.measured.nbytes)

    @property
    def error(self) -> float:
        """Simulated over measured time, less 1."""
        return self.seconds / self.measured.seconds - 1


def compare(
    measurements: Iterable[Measurement], machine: Machine, *, plugins: Plugins
) -> tuple[list[Compared], list[Measurement]]:
    """Take every measurement for a collective of this machine.

    An algorithm that cannot serve the job or the collective, which a library refuses as well, is replaced by the
    library's choice.

    Args:
        measurements: What was measured.
        machine: On which.
        plugins: Who offers topologies and algorithms, and chooses.

    Returns:
        Those that can be compared, and those whose algorithm is not modelled.

    Raises:
        MachineError: If the machine does not have the nodes of a measurement, or nobody offers its algorithm.
    """
    found, left_out = [], []
    timers: dict[tuple[int, tuple[int, ...], int], CommunicationTimer] = {}
    for each in measurements:
        key = each.nodes, each.shape, each.ranks_per_node
        if key not in timers:
            timers[key] = _timer(each, machine, plugins)
        if each.modelled:
            _require_algorithm(each, plugins)
        compared = _compared(each, timers[key]) if each.modelled else None
        if compared is None:
            left_out.append(each)
        else:
            found.append(compared)
    return found, left_out


def _require_algorithm(measured: Measurement, plugins: Plugins) -> None:
    """Refuse a name that no algorithm has: the library's choice must not hide a typing error."""
    offered = plugins.collectives()
    if measured.collective != SEND and measured.algorithm and measured.algorithm not in offered:
        kind = CollectiveKind(measured.collective)
        names = [name for name, each in offered.items() if kind in each.kinds]
        raise MachineError(unknown(f"algorithm for {kind}", measured.algorithm, names))


def _timer(measured: Measurement, machine: Machine, plugins: Plugins) -> CommunicationTimer:
    """A timer for the part of the machine on which was measured, ranks in the order of its nodes."""
    ranked = with_ranks_per_node(machine, measured.ranks_per_node)
    part = plugins.topology(ranked).allocate(measured.nodes, shape=measured.shape or None)
    placement = fill_nodes(part.nodes, ranks_per_node=measured.ranks_per_node)
    mesh = Mesh.of(**{AXIS: placement.ranks})
    return CommunicationTimer(ranked, part, mesh=mesh, placement=placement, plugins=plugins)


def _compared(measured: Measurement, timer: CommunicationTimer) -> Compared | None:
    if measured.collective == SEND:
        cost = timer.send_cost(Send(nbytes=measured.nbytes, axis=AXIS, offset=1), where=SENDER)
        return Compared(measured=measured, algorithm=SEND, named=True, cost=cost)
    collective = Collective(
        kind=CollectiveKind(measured.collective), nbytes=measured.nbytes, axes=(AXIS,), dtype=measured.dtype
    )
    for name in (measured.algorithm, ""):
        try:
            taken = name or timer.collective(collective).algorithm
            cost = timer.cost(collective, taken)
        except MachineError:
            continue
        return Compared(measured=measured, algorithm=taken, named=bool(name), cost=cost)
    return None
