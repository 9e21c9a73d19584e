"""Where one collective keeps links and interfaces busy, and how long."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Endpoints, Links, Phase, Topology
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Busy:
    """How long each link or interface of a kind is busy; while a pipeline fills, all but a few are not.

    Args:
        name: Of the kind: ``+x``, ``injection``.
        seconds: Bytes over bandwidth, summed over all phases; NaN at the ends of an axis, where there is no link. A
            network that is no grid does not tell which links it has: NaN for all that nothing crosses, if any is used.
    """

    name: str
    seconds: Seconds

    @property
    def mean_s(self) -> float:
        """Over all that are not NaN."""
        return float(np.nanmean(self.seconds))

    @property
    def max_s(self) -> float:
        """Of the busiest."""
        return float(np.nanmax(self.seconds))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heat:
    """What one collective asks of the network.

    Args:
        links: Links between nodes, by kind; kinds of which there are none are left out.
        nodes: Interfaces of the nodes that the job has, and links inside them.
        axes: Axes over whose coordinates the links lie; empty where the network is no grid.
    """

    links: tuple[Busy, ...]
    nodes: tuple[Busy, ...]
    axes: tuple[NetworkAxis, ...]

    @property
    def plane(self) -> tuple[int, ...]:
        """The two longest axes, or the only one, slowest first."""
        longest = sorted(range(len(self.axes)), key=lambda axis: -self.axes[axis].extent)[:2]
        return tuple(sorted(longest))

    def projected(self, busy: Busy) -> Seconds:
        """The busiest links over each place of the plane, shape (first axis, second axis); one row for one axis."""
        others = tuple(axis for axis in range(len(self.axes)) if axis not in self.plane)
        return np.atleast_2d(np.fmax.reduce(busy.seconds, axis=others) if others else busy.seconds)


def heat(phases: Sequence[Phase], topology: Topology, nbytes: float) -> Heat:
    """Load of all links and interfaces during phases one after the other; equal messages are routed once.

    Args:
        phases: Of a collective.
        topology: Where they are sent.
        nbytes: One rank's whole buffer.
    """
    links: dict[str, Busy] = {}
    nodes: dict[str, Busy] = {}
    axes: tuple[NetworkAxis, ...] = ()
    for phase, sent_bytes in _distinct(phases, nbytes):
        devices = topology.machine.node.devices
        leaves = phase.src // devices != phase.dst // devices
        found = topology.routes(phase.src[leaves], phase.dst[leaves]).links
        axes = _axes(found, topology)
        for position, each in enumerate(found):
            _add(links, Busy(name=each.name, seconds=_link_seconds(each, axes, position) * sent_bytes))
        for name, seconds in _node_seconds(phase, leaves, topology).items():
            _add(nodes, Busy(name=name, seconds=seconds * sent_bytes))
    there = [each if axes else _used(each) for each in links.values() if not np.isnan(each.seconds).all()]
    return Heat(links=tuple(there), nodes=tuple(nodes.values()), axes=axes)


def _used(busy: Busy) -> Busy:
    """Without the links that nothing crosses, unless that is all of them."""
    return replace(busy, seconds=np.where(busy.seconds > 0, busy.seconds, np.nan)) if busy.max_s > 0 else busy


def _distinct(phases: Sequence[Phase], nbytes: float) -> list[tuple[Phase, float]]:
    """Phases that differ in their messages, with the bytes that each message has in all of its phases."""
    first: dict[tuple[int, int, int | None], Phase] = {}
    sent: dict[tuple[int, int, int | None], float] = {}
    for phase in phases:
        if not len(phase.src):
            continue
        key = id(phase.src), id(phase.dst), phase.interfaces
        first.setdefault(key, phase)
        sent[key] = sent.get(key, 0.0) + phase.repeats * (phase.share * nbytes + phase.fixed_bytes)
    return [(first[key], sent[key]) for key in first]


def _axes(links: Sequence[Links], topology: Topology) -> tuple[NetworkAxis, ...]:
    """Axes of the grid if each kind of link lies along one of them, both ways, over the coordinates of nodes."""
    axes = topology.axes[: links[0].messages.ndim] if links else ()
    names = [f"{sign}{axis.name}" for axis in axes for sign in "+-"]
    extents = tuple(axis.extent for axis in axes)
    is_grid = [each.name for each in links] == names and all(each.messages.shape == extents for each in links)
    return axes if is_grid else ()


def _link_seconds(links: Links, axes: Sequence[NetworkAxis], position: int) -> Seconds:
    """For each byte of a message; NaN where an axis ends."""
    seconds = links.messages / links.bandwidth_bytes_per_s
    if axes and (not axes[position // 2].wrap or axes[position // 2].extent == 1):
        end = [slice(None)] * len(axes)
        end[position // 2] = slice(0, 1) if position % 2 else slice(-1, None)
        seconds[tuple(end)] = np.nan
    return seconds


def _node_seconds(phase: Phase, leaves: NDArray[np.bool_], topology: Topology) -> dict[str, Seconds]:
    """For each byte of a message, at each node of the job; inside nodes at each of their devices."""
    node = topology.machine.node
    src, dst = phase.src // node.devices, phase.dst // node.devices
    sent, received = (_counts(each[leaves], topology.nodes, topology.machine.nodes) for each in (src, dst))
    interfaces = min(node.interfaces, phase.interfaces or node.interfaces)
    seconds = {
        "interface": -(-np.maximum(sent, received) // interfaces) / node.interface_bandwidth_bytes_per_s,
        "injection": sent / node.injection_bandwidth_bytes_per_s,
        "ejection": received / node.injection_bandwidth_bytes_per_s,
    }
    if node.devices > 1 and node.peer_bandwidth_bytes_per_s:
        inside = ~leaves & (phase.src != phase.dst)
        devices = (topology.nodes[:, None] * node.devices + np.arange(node.devices)).ravel()
        everywhere = topology.machine.ranks
        busiest = np.maximum(*(_counts(each[inside], devices, everywhere) for each in (phase.src, phase.dst)))
        seconds["peer"] = busiest / node.peer_bandwidth_bytes_per_s
    return seconds


def _counts(places: Endpoints, asked: Endpoints, everywhere: int) -> NDArray[np.int64]:
    """How often each place that is asked for occurs."""
    return np.asarray(np.bincount(places, minlength=everywhere)[asked], np.int64)


def _add(kinds: dict[str, Busy], more: Busy) -> None:
    before = kinds.get(more.name)
    kinds[more.name] = Busy(name=more.name, seconds=before.seconds + more.seconds) if before else more
