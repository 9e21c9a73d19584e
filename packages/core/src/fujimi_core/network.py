"""What a simulator asks of a network: phases of messages, and their load."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fujimi_core.machine import NetworkAxis
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
    """

    src: Endpoints
    dst: Endpoints
    share: float = 1.0
    repeats: int = 1
    reduces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What messages that are sent all at once ask of the network.

    Args:
        busy_s_per_byte: Time for which the busiest link or interface is busy, for each byte of a message's size.
        hops: Links on the longest route.
        bottleneck: What is busiest, in words.
    """

    busy_s_per_byte: float
    hops: int
    bottleneck: str


class Topology(Protocol):
    """Routes of a network, or of the part of it that a job has, for all messages of a phase at once."""

    @property
    def axes(self) -> tuple[NetworkAxis, ...]:
        """Axes of the coordinates, slowest first; messages to a neighbour along one are the cheapest."""
        ...

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Nodes that a job can use, by their index in the whole machine, in the order in which ranks fill them."""
        ...

    def allocate(self, nodes: int) -> "Topology":
        """The part that the scheduler gives to a job of so many nodes; itself if it has just so many."""
        ...

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Coordinates of endpoints, shape (axes, endpoints)."""
        ...

    def load(self, src: Endpoints, dst: Endpoints) -> Load:
        """Load of messages of equal size that are sent all at once, one for each source and destination."""
        ...


class CollectiveAlgorithm(Protocol):
    """One way to run a collective: which messages go when.

    The messages do not depend on the size of the buffer: an algorithm with segments or thresholds is several
    algorithms, and which one is best for a size is chosen by time or by the hook ``fujimi_choose_collective``.
    """

    @property
    def name(self) -> str:
        """By which it is chosen and reported."""
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
