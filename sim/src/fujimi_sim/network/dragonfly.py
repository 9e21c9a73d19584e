"""Dragonflies: groups of switches, all linked to each other, with minimal or Valiant routes."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Groups, Machine, NetworkAxis
from fujimi_core.network import Endpoints, Links, Routes
from numpy.typing import NDArray

from fujimi_sim.network.switched import HOPS_BETWEEN_NODES, Switched, nested_axes, nested_coordinates

NAMES = ("group", "switch", "node")
Switches = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dragonfly(Switched):
    """A dragonfly, or the first nodes of one.

    All switches of a group are linked, and each group to each other one. The global links of a group are dealt out to
    its switches in turn: number ``links × (distance to the other group - 1) + link`` is at switch ``number mod
    switches``. Of several links side by side a message takes number ``destination mod links``.

    Minimal routes go over one global link, and over a local one before and after it where it is at another switch.
    Valiant routes of messages to other groups go to a third group first, which a hash of source and destination
    chooses, so that the load of bad patterns is even.

    Source:
        J. Kim, W. Dally, S. Scott, D. Abts, Technology-Driven, Highly-Scalable Dragonfly Topology, ISCA 2008.
    """

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """The whole network of a machine.

        Raises:
            MachineError: If the machine does not say its groups.
        """
        if machine.network.groups is None:
            raise MachineError(f"machine {machine.name!r}: a dragonfly needs network.groups, its switches and links")
        return super(Dragonfly, cls).of(machine)

    @property
    def groups(self) -> Groups:
        """Groups of the machine."""
        groups = self.machine.network.groups
        assert groups is not None  # of() sees to it
        return groups

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """Axes over groups, the switches of a group, the nodes of a switch, and devices if there are several."""
        return nested_axes(NAMES, self._below, nodes=int(self.nodes[-1]) + 1, devices=self.machine.node.devices)

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Group, switch, node and device of endpoints, shape (axes, endpoints)."""
        return nested_coordinates(endpoints, self._below, devices=self.machine.node.devices)

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """Links ``local`` and ``global``.

        Local links have the shape (groups, switch, to switch, links), global links (groups, to group, links).
        """
        groups, devices = self.groups, self.machine.node.devices
        hops = np.where(src // devices == dst // devices, 0, HOPS_BETWEEN_NODES)
        at, stop = (ends // (devices * groups.nodes) for ends in (src, dst))
        ways = _Ways(groups=groups, count=self._groups, dst=dst, hops=hops)
        if groups.routing == "valiant":
            at = ways.to_group(at, self._between(src, dst))
        at = ways.to_group(at, stop // groups.switches)
        ways.to_switch(at, stop)
        return Routes(links=self._links(ways), hops=hops)

    def _links(self, ways: "_Ways") -> tuple[Links, ...]:
        """Links with what the ways count."""
        groups, count = self.groups, self._groups
        local_bytes_per_s = self.machine.network.link_bandwidth_bytes_per_s
        global_bytes_per_s = groups.global_bandwidth_bytes_per_s or local_bytes_per_s
        local_shape = (count, groups.switches, groups.switches, groups.local_links)
        global_shape = (count, count, groups.links)
        return tuple(
            Links(name=name, messages=_counts(used, shape), bandwidth_bytes_per_s=bandwidth_bytes_per_s)
            for name, used, shape, bandwidth_bytes_per_s in (
                ("local", ways.local, local_shape, local_bytes_per_s),
                ("global", ways.across, global_shape, global_bytes_per_s),
            )
        )

    def _between(self, src: Endpoints, dst: Endpoints) -> NDArray[np.int64]:
        """Group in between of each message: another one than those of both ends; the first one's where that is none."""
        per_group, count = self.machine.node.devices * self.groups.nodes * self.groups.switches, self._groups
        first, last = src // per_group, dst // per_group
        if count <= 2:
            return first
        chosen = (hashed(src, dst) % np.uint64(count - 2)).astype(np.int64)
        low, high = np.minimum(first, last), np.maximum(first, last)
        chosen += chosen >= low
        chosen += chosen >= high
        return np.where(first == last, first, chosen)

    @property
    def _groups(self) -> int:
        return -(-self.machine.nodes // (self.groups.switches * self.groups.nodes))

    @property
    def _below(self) -> tuple[int, int, int]:
        return self._groups, self.groups.switches, self.groups.nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ways:
    """Messages on their way: what they have crossed so far.

    Args:
        groups: Of the machine.
        count: Number of groups.
        dst: Endpoints to which they go.
        hops: Links that they have crossed.
        local: Local links crossed, by number, one array a step.
        across: Global links crossed.
    """

    groups: Groups
    count: int
    dst: Endpoints
    hops: NDArray[np.int64]
    local: list[NDArray[np.int64]] = field(default_factory=list)
    across: list[NDArray[np.int64]] = field(default_factory=list)

    def to_group(self, at: Switches, group: NDArray[np.int64]) -> Switches:
        """Go from switches to groups, and tell at which switches messages arrive there."""
        switches, link = self.groups.switches, self.dst % self.groups.links
        here = at // switches
        moving = here != group
        number = ((group - here - 1) % self.count) * self.groups.links + link
        leaves = np.where(moving, here * switches + number % switches, at)
        self.to_switch(at, leaves)
        self.across.append(((here * self.count + group) * self.groups.links + link)[moving])
        self.hops[moving] += 1
        number = ((here - group - 1) % self.count) * self.groups.links + link
        return np.where(moving, group * switches + number % switches, at)

    def to_switch(self, at: Switches, stop: Switches) -> None:
        """Go from switches to others of the same groups."""
        moving = at != stop
        link = self.dst % self.groups.local_links
        self.local.append(
            ((at * self.groups.switches + stop % self.groups.switches) * self.groups.local_links + link)[moving]
        )
        self.hops[moving] += 1


def hashed(src: Endpoints, dst: Endpoints) -> NDArray[np.uint64]:
    """A number that looks random for each source and destination, always the same."""
    return _mixed(_mixed(src.astype(np.uint64)) ^ dst.astype(np.uint64))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """First number of a SplitMix64 generator for each seed.

    >>> _mixed(np.array([0], np.uint64)).tolist()
    [16294208416658607535]

    Source:
        G. Steele, D. Lea, C. Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
    """
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _counts(used: list[NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Messages on each link."""
    return np.bincount(np.concatenate(used), minlength=int(np.prod(shape))).reshape(shape)
