"""Machine: nodes and network of a computer, as data beside its source."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fujimi_core.checks import above_zero, at_least, within
from fujimi_core.device import Device
from fujimi_core.errors import MachineError
from fujimi_core.facilities import Power, Reliability, Startup, Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What shares one place in the network.

    Args:
        devices: Devices of a node; a job runs one rank on each.
        device: What they are.
        interfaces: Network interfaces.
        interface_bandwidth_bytes_per_s: One interface, in each direction.
        injection_bandwidth_bytes_per_s: All of them together, as measured.
        peer_bandwidth_bytes_per_s: From one device to the others of its node, in each direction.
    """

    devices: int
    device: Device
    interfaces: int
    interface_bandwidth_bytes_per_s: float
    injection_bandwidth_bytes_per_s: float
    peer_bandwidth_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        above_zero(self, "devices", "interfaces", "interface_bandwidth_bytes_per_s", "injection_bandwidth_bytes_per_s")
        if self.devices > 1 and not self.peer_bandwidth_bytes_per_s:
            raise ValueError("a node of several devices needs peer_bandwidth_bytes_per_s, the speed between them")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAxis:
    """One axis of a mesh or torus.

    Args:
        name: As the machine's documents call it.
        extent: Nodes along it.
        wrap: Whether the last node is linked to the first.
        unit: Whether it lies inside the unit that the scheduler hands out whole.
    """

    name: str
    extent: int
    wrap: bool
    unit: bool = False

    def __post_init__(self) -> None:
        above_zero(self, "extent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """How a transport sends messages up to a size: inside a descriptor, eagerly, after a rendezvous.

    Args:
        latency_s: One way, software and interfaces at both ends, without the time in links.
        copy_bytes_per_s: Rate of what is copied at the ends before or after the network; None if nothing is.
        handshake_s: What each further piece of a message pays, because the receiver is asked first.
        up_to_bytes: Longest message; None if there is no bound.
        up_to_bytes_per_hop: By how much that grows with each link on the way.
    """

    latency_s: float
    copy_bytes_per_s: float | None = None
    handshake_s: float = 0.0
    up_to_bytes: float | None = None
    up_to_bytes_per_hop: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 0, "latency_s", "handshake_s", "up_to_bytes_per_hop")
        above_zero(self, *(name for name in ("up_to_bytes", "copy_bytes_per_s") if getattr(self, name) is not None))

    def fits(self, nbytes: float, hops: int) -> bool:
        """Whether a message over so many links is sent this way."""
        return self.up_to_bytes is None or nbytes <= self.up_to_bytes + hops * self.up_to_bytes_per_hop


_TRANSPORT_RATES = ("addition_bytes_per_s", "copy_bytes_per_s", "fresh_bytes_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """What carries messages: a library, and what it costs besides the links.

    Args:
        regimes: By length of message, shortest first; the last has no bound.
        operation_s: Each further message that an endpoint sends or receives at the same time.
        announce_s: Until a receiver has announced that it is ready, where an algorithm waits for that.
        announce_bytes: Longest message that is sent without.
        call_s: To enter and leave a collective.
        lane_s: To set up one more thread for a collective that uses several.
        team_s: To bring all threads of a rank together.
        lane_team_s: To bring those together that one of several lanes has.
        team_bytes: Shortest message that all threads of a rank add up together; None if one thread does it always.
        plan_s: To work out what goes where.
        block_s: Each piece of memory that is copied.
        addition_bytes_per_s: Rate at which a rank adds what came to what it has; None for that of the device's memory.
        copy_bytes_per_s: Rate at which one thread copies memory; None for that of the device's memory.
        fresh_bytes: Longest temporary buffer that is kept for the next call; None if all are.
        fresh_bytes_per_s: Rate at which longer ones are touched for the first time.
    """

    regimes: tuple[Regime, ...]
    operation_s: float = 0.0
    announce_s: float = 0.0
    announce_bytes: float = 0.0
    call_s: float = 0.0
    lane_s: float = 0.0
    team_s: float = 0.0
    lane_team_s: float = 0.0
    team_bytes: float | None = None
    plan_s: float = 0.0
    block_s: float = 0.0
    addition_bytes_per_s: float | None = None
    copy_bytes_per_s: float | None = None
    fresh_bytes: float | None = None
    fresh_bytes_per_s: float = math.inf

    def __post_init__(self) -> None:
        at_least(self, 0, "operation_s", "announce_s", "announce_bytes", "call_s", "lane_s")
        at_least(self, 0, "team_s", "lane_team_s", "plan_s", "block_s")
        above_zero(self, *(name for name in _TRANSPORT_RATES if getattr(self, name) is not None))
        bounds = [regime.up_to_bytes for regime in self.regimes]
        ends = [math.inf if bound is None else bound for bound in bounds]
        if not ends or ends != sorted(set(ends)) or ends[-1] != math.inf:
            raise ValueError(f"regimes end at {bounds} bytes: they must ascend, and only the last has no up_to_bytes")

    def regime(self, nbytes: float, hops: int) -> Regime:
        """That of a message."""
        return next(each for each in self.regimes if each.fits(nbytes, hops))


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Switches of a fat tree, level by level from the nodes up.

    >>> Levels(down=(32, 18), up=(16,)).nodes  # 18 leaf switches of 32 nodes with 16 links up: tapered 2 to 1
    576

    Args:
        down: What is below each switch of a level: nodes below the leaf switches, then switches of the level before.
        up: From each switch of a level to the one above, all together, in links of the network's bandwidth; one number
            less than levels, since nothing is above the last.
    """

    down: tuple[int, ...]
    up: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.down or len(self.up) != len(self.down) - 1 or min((*self.down, *self.up)) < 1:
            raise ValueError(
                f"levels.down is {self.down} and levels.up {self.up}: each level but the last has links up, and all"
                " numbers are at least 1"
            )

    @property
    def nodes(self) -> int:
        """Nodes for which there is room."""
        return math.prod(self.down)

    @property
    def taper(self) -> tuple[float, ...]:
        """For each level but the last, how much wider the links from below are than those up; 1 blocks nothing.

        >>> Levels(down=(32, 18), up=(16,)).taper
        (2.0,)
        """
        from_below = (1, *self.up)
        return tuple(n * below / up for n, below, up in zip(self.down, from_below, self.up, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Switches of a dragonfly: groups in which all switches are linked, and links between all groups.

    There are as many groups as the machine's nodes need.

    Args:
        switches: Switches of a group.
        nodes: Nodes at each switch.
        links: Links between each two groups, spread over their switches.
        local_links: Links between each two switches of a group.
        global_bandwidth_bytes_per_s: One link between groups; None if it is as fast as others.
        routing: ``minimal``, or ``valiant`` for a way over a group in between that evens out the load.
    """

    switches: int
    nodes: int
    links: int = 1
    local_links: int = 1
    global_bandwidth_bytes_per_s: float | None = None
    routing: Literal["minimal", "valiant"] = "minimal"

    def __post_init__(self) -> None:
        above_zero(self, "switches", "nodes", "links", "local_links")
        if self.global_bandwidth_bytes_per_s is not None:
            above_zero(self, "global_bandwidth_bytes_per_s")
        if self.routing not in ("minimal", "valiant"):
            raise ValueError(f"groups.routing is {self.routing!r}; it must be minimal or valiant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What connects the nodes.

    Args:
        topology: Name of a topology that some plugin offers.
        axes: Axes, for meshes and tori.
        levels: Levels of switches, for fat trees and rails.
        groups: Groups of switches, for dragonflies.
        link_bandwidth_bytes_per_s: One link, in each direction.
        hop_latency_s: Per link passed.
        message_latency_s: Software and interfaces at both ends of one message, where no transport says more.
        transports: What carries messages, by name; algorithms name theirs.
        library: Name of the library that chooses algorithms; empty if the fastest is taken.
        dead_nodes: Nodes that are out of order: nobody can use them or send through them.
        dead_links: Links that are out of order, both directions of each, by the two nodes that they link.
    """

    topology: str
    axes: tuple[NetworkAxis, ...] = ()
    levels: Levels | None = None
    groups: Groups | None = None
    link_bandwidth_bytes_per_s: float
    hop_latency_s: float
    message_latency_s: float
    transports: Mapping[str, Transport] = field(default_factory=dict)
    library: str = ""
    dead_nodes: tuple[int, ...] = ()
    dead_links: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        above_zero(self, "link_bandwidth_bytes_per_s")
        at_least(self, 0, "hop_latency_s", "message_latency_s")
        if min(itertools.chain(self.dead_nodes, *self.dead_links), default=0) < 0:
            raise ValueError("dead_nodes and dead_links are numbers of nodes; they begin with 0")
        if len(set(self.dead_nodes)) < len(self.dead_nodes):
            raise ValueError("dead_nodes has some node twice")
        loops = [ends for ends in self.dead_links if ends[0] == ends[1]]
        if loops:
            raise ValueError(f"dead_links has the link {loops[0]} from a node to itself")

    def transport(self, name: str) -> Transport:
        """What carries messages under a name.

        A transport that the machine does not describe is taken for ``mpi``, and that for one which costs nothing but
        ``message_latency_s``.
        """
        described = self.transports.get(name) or self.transports.get("mpi")
        return described or Transport(regimes=(Regime(latency_s=self.message_latency_s),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How unequal nodes are.

    Args:
        compute_std: Standard deviation of a rank's compute time over its mean.
        slow_share: Ranks that are stragglers besides, 0 to 1; whole runs have them, single steps do not.
        slow_factor: On the compute time of a straggler.
    """

    compute_std: float = 0.0
    slow_share: float = 0.0
    slow_factor: float = 1.0

    def __post_init__(self) -> None:
        at_least(self, 0, "compute_std")
        within(self, 0, 1, "slow_share")
        at_least(self, 1, "slow_factor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A computer.

    Args:
        name: By which it is asked for.
        title: One line for people.
        nodes: Number of nodes.
        node: What they are.
        network: What connects them.
        noise: How unequal they are.
        storage: Where they read and write; None, as of all that follow, if it is not known.
        startup: How long a program takes to start on them.
        reliability: How often they fail.
        power: What they take.
        sources: Where each number comes from, by its dotted key; "unverified" at the start of those nobody could check.
    """

    name: str
    title: str
    nodes: int
    node: Node
    network: Network
    noise: Noise = field(default_factory=Noise)
    storage: Storage | None = None
    startup: Startup | None = None
    reliability: Reliability | None = None
    power: Power | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        above_zero(self, "nodes")

    @property
    def ranks(self) -> int:
        """Ranks of a job on the whole machine."""
        return self.nodes * self.node.devices

    def require_nodes(self, nodes: int) -> None:
        """Refuse a number of nodes that the machine does not have.

        Raises:
            MachineError: If it has not so many, or none are asked for.
        """
        if not 1 <= nodes <= self.nodes:
            raise MachineError(
                f"machine {self.name!r} has {self.nodes:,} nodes; {nodes:,} cannot be used: ask for 1 to {self.nodes:,}"
            )
