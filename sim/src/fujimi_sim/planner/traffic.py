"""How long a plan's communication takes, each kind routed once for each layout of ranks."""

from collections.abc import Callable, Sequence
from typing import Protocol

from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Send

from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.planner.parts import Exchange
from fujimi_sim.planner.space import Layout

_REPLICAS = ("dp", "sp")


class Communicating(Protocol):
    """Times communication."""

    def exchange_s(self, exchange: Exchange) -> float:
        """Time of what a part of the network exchanges within a copy of it."""
        ...

    def replicas_s_per_byte(self, kind: CollectiveKind, unit_bytes: float) -> float:
        """Time of collectives over all ranks with the same parameters, in pieces of so many bytes."""
        ...

    def message_s(self, nbytes: float) -> float:
        """Time of a message to the next stage."""
        ...


class Silence:
    """Communication that takes no time: with it, an estimate is a bound."""

    def exchange_s(self, exchange: Exchange) -> float:
        """No time."""
        return 0.0

    def replicas_s_per_byte(self, kind: CollectiveKind, unit_bytes: float) -> float:
        """No time."""
        return 0.0

    def message_s(self, nbytes: float) -> float:
        """No time."""
        return 0.0


class Network:
    """Communication of one layout, placed on a machine.

    Args:
        layout: Ranks along each axis.
        placement: Order of the axes, slowest first.
        machine: Where they run.
        dtype: In which gradients travel.
        plugins: Who knows networks and placement.

    Raises:
        MachineError: If the machine cannot give so many nodes.
    """

    def __init__(
        self, layout: Layout, placement: tuple[str, ...], *, machine: Machine, dtype: str, plugins: Plugins
    ) -> None:
        extents = layout.extents
        mesh = Mesh.of(**{axis: extents[axis] for axis in placement if extents[axis] > 1 or axis == "dp"})
        nodes = layout.ranks // machine.node.devices
        topology = plugins.topology(machine).allocate(nodes)
        placed = plugins.place_ranks(mesh, machine, topology, nodes)
        self._timer = CommunicationTimer(machine, topology, mesh=mesh, placement=placed, plugins=plugins)
        self._replicas = tuple(axis for axis in mesh.names if axis in _REPLICAS and extents[axis] > 1)
        self._dtype = dtype
        self._known: dict[object, float] = {}

    def exchange_s(self, exchange: Exchange) -> float:
        """Time of what a part of the network exchanges within a copy of it."""
        if exchange not in self._known:
            each = (count * self._timer.collective(collective).seconds for collective, count in exchange.collectives)
            self._known[exchange] = sum(each)
        return self._known[exchange]

    def replicas_s_per_byte(self, kind: CollectiveKind, unit_bytes: float) -> float:
        """Time of collectives over all ranks with the same parameters, in pieces of so many bytes."""
        if not self._replicas:
            return 0.0
        key = kind, unit_bytes
        if key not in self._known:
            collective = Collective(kind=kind, nbytes=round(unit_bytes), axes=self._replicas, dtype=self._dtype)
            self._known[key] = self._timer.collective(collective).seconds / collective.nbytes
        return self._known[key]

    def message_s(self, nbytes: float) -> float:
        """Time of a message of all ranks of the first stage to the next."""
        if nbytes not in self._known:
            send = Send(nbytes=round(nbytes), axis="pp", offset=1)
            self._known[nbytes] = self._timer.send(send, {"pp": (0, 1)}).seconds
        return self._known[nbytes]


class Cheapest:
    """Of several placements of a layout, the shortest time of each kind: an estimate with it is a bound for all.

    Args:
        networks: One for each placement, at least one.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._known: dict[object, float] = {}

    def exchange_s(self, exchange: Exchange) -> float:
        """Time of what a part of the network exchanges within a copy of it."""
        return self._least(exchange, lambda network: network.exchange_s(exchange))

    def replicas_s_per_byte(self, kind: CollectiveKind, unit_bytes: float) -> float:
        """Time of collectives over all ranks with the same parameters, in pieces of so many bytes."""
        return self._least((kind, unit_bytes), lambda network: network.replicas_s_per_byte(kind, unit_bytes))

    def message_s(self, nbytes: float) -> float:
        """Time of a message to the next stage."""
        return self._least(nbytes, lambda network: network.message_s(nbytes))

    def _least(self, key: object, of: Callable[[Network], float]) -> float:
        if key not in self._known:
            self._known[key] = min(map(of, self._networks))
        return self._known[key]
