"""How long the collectives and messages of one job take on its part of a machine."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fujimi_core.errors import MachineError, unknown
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm, Endpoints, Phase, Topology
from fujimi_core.placement import Placement
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Send

from fujimi_sim.network.timing import Cost, least_s, outline, phases_cost
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
        self._outlines: dict[tuple[CollectiveKind, tuple[str, ...]], dict[str, list[Phase]]] = {}
        self._costs: dict[tuple[str, CollectiveKind, tuple[str, ...]], Cost] = {}
        self._collectives: dict[tuple[CollectiveKind, int, tuple[str, ...], str | None], Timing] = {}
        self._sends: dict[tuple[str, int, _Where], Cost] = {}

    def collective(self, collective: Collective, *, algorithm: str | None = None) -> Timing:
        """Time of a collective that all groups along its axes run at the same time.

        The groups share the network, and the time is that of the slowest. A plugin chooses the algorithm; if none
        does, the fastest is taken of those that serve everybody.

        Args:
            collective: Which.
            algorithm: Name of the algorithm, if it is not to be chosen.

        Raises:
            MachineError: If no algorithm can serve the groups, or not the one that is asked for.
        """
        key = collective.kind, collective.nbytes, collective.axes, algorithm
        if key not in self._collectives:
            self._collectives[key] = self._time(collective, algorithm)
        return self._collectives[key]

    def cost(self, collective: Collective, algorithm: str) -> Cost:
        """What a collective costs with an algorithm, for any size.

        Raises:
            MachineError: If there is no such algorithm, or it cannot serve the groups.
        """
        return self._cost(algorithm, collective, self._built(collective))

    def serving(self, collective: Collective) -> list[str]:
        """Names of the algorithms that can serve the groups of a collective."""
        built = self._built(collective)
        return [name for name in built.names if built.phases(name) is not None]

    def send(self, send: Send, where: Intervals | None = None) -> Timing:
        """Time of messages that all ranks of a slice of the mesh send at the same time.

        Ranks whose receiver would lie outside the mesh send nothing.

        Args:
            send: The message of each rank.
            where: Half-open interval on each mesh axis, as in a role; axes that are not named are whole.
        """
        cost = self.send_cost(send, where)
        return Timing(seconds=cost.seconds(send.nbytes), algorithm="send", bottleneck=cost.bottleneck(send.nbytes))

    def send_cost(self, send: Send, where: Intervals | None = None) -> Cost:
        """What such messages cost, for any size."""
        key = send.axis, send.offset, tuple(sorted((where or {}).items()))
        if key not in self._sends:
            src, dst = self._partners(send, where or {})
            self._sends[key] = phases_cost([Phase(src=src, dst=dst)], self._topology, transport="send")
        return self._sends[key]

    def _time(self, collective: Collective, algorithm: str | None) -> Timing:
        members = self._mesh.groups(collective.axes).shape[1]
        if members == 1:
            return NOTHING
        built = self._built(collective)
        name = algorithm or self._chosen(collective, members, built) or self._fastest(collective, built)
        cost = self._cost(name, collective, built)
        nbytes = collective.nbytes
        return Timing(seconds=cost.seconds(nbytes), algorithm=name, bottleneck=cost.bottleneck(nbytes))

    def _built(self, collective: Collective) -> "_Built":
        groups = self._endpoints[self._mesh.groups(collective.axes)]
        return _Built(self._plugins.collectives(), collective.kind, groups, self._topology)

    def _chosen(self, collective: Collective, members: int, built: "_Built") -> str | None:
        """What plugins choose; they are asked again without those that turn out not to serve the groups."""
        names = list(built.names)
        while names:
            name = self._plugins.choose_collective(collective, members, self._machine, tuple(names))
            if name is None or built.phases(name) is not None:
                return name
            names.remove(name)
        return None

    def _fastest(self, collective: Collective, built: "_Built") -> str:
        """Name of the fastest algorithm; those that even at best are slower than another one are not routed."""
        at_least = {
            name: least_s(phases, self._machine, collective.nbytes, transport=built.transport(name))
            for name, phases in self._outlines_of(collective, built).items()
        }
        best, best_s = "", float("inf")
        for name in sorted(at_least, key=at_least.__getitem__):
            if at_least[name] >= best_s:
                break
            seconds = self._cost(name, collective, built).seconds(collective.nbytes)
            if seconds < best_s:
                best, best_s = name, seconds
        if not best:
            raise MachineError(f"no installed algorithm can run {collective.kind} along {collective.axes}")
        return best

    def _outlines_of(self, collective: Collective, built: "_Built") -> dict[str, list[Phase]]:
        """Phases of the algorithms that can serve the groups, without their messages, which can be large."""
        key = collective.kind, collective.axes
        if key not in self._outlines:
            found = {name: built.phases(name) for name in built.names if built.automatic(name)}
            self._outlines[key] = {
                name: [outline(phase) for phase in phases] for name, phases in found.items() if phases is not None
            }
        return self._outlines[key]

    def _cost(self, name: str, collective: Collective, built: "_Built") -> Cost:
        key = name, collective.kind, collective.axes
        if key not in self._costs:
            phases = built.phases(name)
            if phases is None:
                raise MachineError(
                    f"algorithm {name!r} cannot run {collective.kind} in groups of {built.groups.shape[1]} on this part"
                    f" of {self._machine.name!r}; these can: {', '.join(self.serving(collective))}"
                )
            self._costs[key] = phases_cost(phases, self._topology, transport=built.transport(name))
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
        self.groups = groups
        self._topology = topology
        self._phases: dict[str, Sequence[Phase] | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Algorithms for this kind of collective, whether or not they can serve the groups."""
        return tuple(self._algorithms)

    def transport(self, name: str) -> str:
        """What carries the messages of an algorithm."""
        return self._algorithms[name].transport

    def automatic(self, name: str) -> bool:
        """Whether an algorithm takes part where the fastest is looked for."""
        return self._algorithms[name].automatic

    def phases(self, name: str) -> Sequence[Phase] | None:
        """Phases of an algorithm, or None if it cannot serve the groups.

        Raises:
            MachineError: If no algorithm for this kind of collective has that name.
        """
        if name not in self._algorithms:
            raise MachineError(
                unknown(f"algorithm for {self._kind}", name, {_family(each) for each in self._algorithms})
            )
        if name not in self._phases:
            algorithm = self._algorithms[name]
            self._phases[name] = algorithm.phases(self._kind, self.groups, topology=self._topology)
        return self._phases[name]


def _family(name: str) -> str:
    """Name without numbers: hundreds differ by the size of segments and the number of lanes only.

    >>> _family("bine_halving_x3/65536"), _family("chain/4096")
    ('bine_halving_xN/SEGMENT', 'chain/SEGMENT')
    """
    return re.sub(r"_x\d+", "_xN", re.sub(r"/\d+", "/SEGMENT", name))
