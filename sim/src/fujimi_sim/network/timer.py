"""How long the collectives and messages of one job take on its part of a machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm, Endpoints, Phase, Topology
from fujimi_core.placement import Placement
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Send

from fujimi_sim.network.timing import Cost, least_cost, phases_cost
from fujimi_sim.slices import neighbours

Intervals = Mapping[str, tuple[int, int]]
_Where = tuple[tuple[str, tuple[int, int]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a communication takes.

    Args:
        seconds: From the moment the last member begins until all are done.
        algorithm: How it is done.
        bottleneck: What takes most of the time, in words.
    """

    seconds: float
    algorithm: str
    bottleneck: str


NOTHING = Timing(seconds=0.0, algorithm="none", bottleneck="nothing")


class CommunicationTimer:
    """Times communication of one job, each pattern of messages routed once.

    Args:
        machine: The whole machine.
        topology: The part of its network that the job has.
        mesh: The job's ranks.
        placement: Where they are.
        plugins: Who offers and chooses algorithms.

    Raises:
        MachineError: If the placement does not have one place for each rank.
    """

    def __init__(
        self, machine: Machine, topology: Topology, *, mesh: Mesh, placement: Placement, plugins: Plugins
    ) -> None:
        if placement.ranks != mesh.world_size:
            raise MachineError(f"{placement.ranks} ranks are placed, but the mesh has {mesh.world_size}")
        self._machine = machine
        self._topology = topology
        self._mesh = mesh
        self._plugins = plugins
        self._endpoints: Endpoints = placement.nodes * machine.node.devices + placement.devices
        self._bounds: dict[tuple[CollectiveKind, tuple[str, ...]], dict[str, Cost]] = {}
        self._costs: dict[tuple[str, CollectiveKind, tuple[str, ...]], Cost] = {}
        self._collectives: dict[tuple[CollectiveKind, int, tuple[str, ...]], Timing] = {}
        self._sends: dict[tuple[str, int, _Where], Cost] = {}

    def collective(self, collective: Collective) -> Timing:
        """Time of a collective that all groups along its axes run at the same time.

        The groups share the network, and the time is that of the slowest. A plugin chooses the algorithm; if none
        does, the fastest that can serve the groups is taken.

        Raises:
            MachineError: If no algorithm can serve them.
        """
        key = collective.kind, collective.nbytes, collective.axes
        if key not in self._collectives:
            self._collectives[key] = self._time(collective)
        return self._collectives[key]

    def send(self, send: Send, where: Intervals | None = None) -> Timing:
        """Time of messages that all ranks of a slice of the mesh send at the same time.

        Ranks whose receiver would lie outside the mesh send nothing.

        Args:
            send: The message of each rank.
            where: Half-open interval on each mesh axis, as in a role; axes that are not named are whole.
        """
        key = send.axis, send.offset, tuple(sorted((where or {}).items()))
        if key not in self._sends:
            src, dst = self._partners(send, where or {})
            self._sends[key] = phases_cost([Phase(src=src, dst=dst)], self._topology, self._machine)
        cost = self._sends[key]
        return Timing(seconds=cost.seconds(send.nbytes), algorithm="send", bottleneck=cost.bottleneck(send.nbytes))

    def _time(self, collective: Collective) -> Timing:
        groups = self._mesh.groups(collective.axes)
        if groups.shape[1] == 1:
            return NOTHING
        built = _Built(self._plugins.collectives(), collective.kind, self._endpoints[groups], self._topology)
        bounds = self._serving(collective, built)
        if not bounds:
            raise MachineError(f"no installed algorithm can run {collective.kind} along {collective.axes}")
        name = self._plugins.choose_collective(collective, groups.shape[1], self._machine, tuple(bounds))
        if name is None:
            name = self._fastest(collective, built, bounds)
        cost = self._cost(name, collective, built)
        nbytes = collective.nbytes
        return Timing(seconds=cost.seconds(nbytes), algorithm=name, bottleneck=cost.bottleneck(nbytes))

    def _serving(self, collective: Collective, built: "_Built") -> dict[str, Cost]:
        """Algorithms that can serve the groups, and what each costs at least."""
        key = collective.kind, collective.axes
        if key not in self._bounds:
            self._bounds[key] = {name: least_cost(phases, self._machine) for name, phases in built.serving()}
        return self._bounds[key]

    def _fastest(self, collective: Collective, built: "_Built", bounds: Mapping[str, Cost]) -> str:
        """Name of the fastest algorithm; those that even at best are slower than another one are not routed."""
        at_least = {name: cost.seconds(collective.nbytes) for name, cost in bounds.items()}
        best, best_s = "", float("inf")
        for name in sorted(at_least, key=at_least.__getitem__):
            if at_least[name] >= best_s:
                break
            seconds = self._cost(name, collective, built).seconds(collective.nbytes)
            if seconds < best_s:
                best, best_s = name, seconds
        return best

    def _cost(self, name: str, collective: Collective, built: "_Built") -> Cost:
        key = name, collective.kind, collective.axes
        if key not in self._costs:
            self._costs[key] = phases_cost(built.phases(name) or [], self._topology, self._machine)
        return self._costs[key]

    def _partners(self, send: Send, where: Intervals) -> tuple[Endpoints, Endpoints]:
        """Endpoints of those who send and of those who receive."""
        senders = self._mesh.slice(where)
        receivers = neighbours(self._mesh, senders, axis=send.axis, offset=send.offset)
        exist = receivers >= 0
        return self._endpoints[senders[exist]], self._endpoints[receivers[exist]]


class _Built:
    """Phases of the algorithms for one collective, built when asked for and not kept: they can be large."""

    def __init__(
        self,
        algorithms: Mapping[str, CollectiveAlgorithm],
        kind: CollectiveKind,
        groups: Endpoints,
        topology: Topology,
    ) -> None:
        self._algorithms = {name: each for name, each in algorithms.items() if kind in each.kinds}
        self._kind = kind
        self._groups = groups
        self._topology = topology
        self._phases: dict[str, Sequence[Phase] | None] = {}

    def serving(self) -> Iterator[tuple[str, Sequence[Phase]]]:
        """Names and phases of the algorithms that can serve the groups."""
        for name in self._algorithms:
            phases = self.phases(name)
            if phases is not None:
                yield name, phases

    def phases(self, name: str) -> Sequence[Phase] | None:
        """Phases of an algorithm."""
        if name not in self._phases:
            algorithm = self._algorithms[name]
            self._phases[name] = algorithm.phases(self._kind, self._groups, topology=self._topology)
        return self._phases[name]
