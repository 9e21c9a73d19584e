"""What a simulator asks of a network: phases of messages, and their routes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.workload import CollectiveKind

#: Indices of endpoints of the whole machine: ``node * devices per node + device``.
Endpoints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phase:
    """Messages of the same size that are under way at the same time.

    Args:
        src: Endpoint that sends each message, shape (messages,).
        dst: Endpoint that receives it, shape (messages,).
        share: Size of each message over that of one rank's whole buffer.
        repeats: How often the phase runs, one after the other.
        reduces: Whether receivers add what comes to what they have.
        segment_bytes: Longest piece into which messages are cut, so that one piece is added up or passed on while the
            next is under way; None for messages in one piece.
        stages: Messages that each piece goes through one after the other, as down a tree or along a chain: while the
            last stage gets its first piece, the first is stages - 1 pieces ahead.
        copied: Bytes that each endpoint copies in its own memory in each repeat, over one rank's whole buffer.
        fresh: Temporary buffers, each as long as the whole buffer, that the algorithm needs from here on.
        extra_operations: Operations of the busiest endpoint on each piece besides sending and receiving it.
        lanes: Threads of an endpoint that send, receive and copy at the same time.
        interfaces: Interfaces of a node that the messages of an endpoint go through at most; None for all.
        teams: How often an endpoint brings its threads together, in all repeats.
        plans: How often threads work out what goes where, in each repeat.
        blocks: Pieces of memory that each endpoint copies one by one, in each repeat.
        announced: Whether receivers announce that they are ready before long messages are sent.
        fixed_bytes: What each message carries besides its share.
        transport: What carries the messages; empty for that of the algorithm.
    """

    src: Endpoints
    dst: Endpoints
    share: float = 1.0
    repeats: int = 1
    reduces: bool = False
    segment_bytes: int | None = None
    stages: int = 1
    copied: float = 0.0
    fresh: float = 0.0
    extra_operations: int = 0
    lanes: int = 1
    interfaces: int | None = None
    teams: int = 0
    plans: int = 0
    blocks: int = 0
    announced: bool = False
    fixed_bytes: float = 0.0
    transport: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Links:
    """Links of one kind, and what crosses them.

    Args:
        name: For people, for example ``+x``.
        messages: Messages on each link; the shape is the topology's, a torus has one entry for the node that each
            link leaves, over the coordinates of the nodes.
        bandwidth_bytes_per_s: One link, in one direction.
    """

    name: str
    messages: NDArray[np.int64]
    bandwidth_bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routes:
    """Ways of messages that are sent all at once.

    Args:
        links: All links between nodes, by kind.
        hops: Links on the way of each message, shape (messages,); 0 for those that stay in their node.
    """

    links: tuple[Links, ...]
    hops: NDArray[np.int64]


class Topology(Protocol):
    """Routes of a network, or of the part of it that a job has, for all messages of a phase at once."""

    @property
    def machine(self) -> Machine:
        """Of which it is the network."""
        ...

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """Axes of the coordinates, slowest first; messages to a neighbour along one are the cheapest."""
        ...

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Nodes that a job can use, by their index in the whole machine, in the order in which ranks fill them."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the grid as which the job sees its nodes, slowest first; its product is their number."""
        ...

    def allocate(self, nodes: int, *, shape: tuple[int, ...] | None = None) -> "Topology":
        """The part that the scheduler gives to a job of so many nodes; itself if it has just so many.

        Args:
            nodes: How many.
            shape: As which grid the job asks for them; None if it does not say.

        Raises:
            MachineError: If the machine does not have them, or not in that shape.
        """
        ...

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Coordinates of endpoints, shape (axes, endpoints)."""
        ...

    def routes(self, src: Endpoints, dst: Endpoints) -> Routes:
        """Links that messages take which are sent all at once, one for each source and destination.

        Raises:
            MachineError: If there is no way to some destination.
        """
        ...


class CollectiveAlgorithm(Protocol):
    """One way to run a collective: which messages go when.

    The messages do not depend on the size of the buffer: an algorithm with other segments or thresholds is another
    algorithm, and which one is best for a size is chosen by time or by the hook ``fujimi_choose_collective``.
    """

    @property
    def name(self) -> str:
        """By which it is chosen and reported; a segment size stands behind a slash: ``trinary_x3/16384``."""
        ...

    @property
    def transport(self) -> str:
        """What carries its messages: ``mpi``, or another transport that machine files describe."""
        ...

    @property
    def automatic(self) -> bool:
        """Whether it takes part where the fastest is looked for; those that only few libraries have do not."""
        ...

    @property
    def kinds(self) -> frozenset[CollectiveKind]:
        """Operations that it can do."""
        ...

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases in order, or None where the algorithm cannot serve these groups.

        Args:
            kind: One of ``kinds``.
            groups: Endpoints of shape (groups, members), members in rank order; all groups run at once.
            topology: Where they are.
        """
        ...
