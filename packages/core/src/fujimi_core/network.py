"""What a simulator asks of a network: phases of messages, and their load."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fujimi_core.workload import CollectiveKind

#: Indices of endpoints: ``node * devices per node + device``.
Endpoints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phase:
    """Messages that are under way at the same time.

    Args:
        src: Endpoint that sends each message, shape (messages,).
        dst: Endpoint that receives it, shape (messages,).
        nbytes: Size of each message.
        repeats: How often the phase runs, one after the other.
        reduces: Whether receivers add what comes to what they have.
    """

    src: Endpoints
    dst: Endpoints
    nbytes: float
    repeats: int = 1
    reduces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a phase asks of the network.

    Args:
        busy_s: Time for which the busiest link or interface is busy.
        hops: Links on the longest route.
        bottleneck: What is busiest, in words.
    """

    busy_s: float
    hops: int
    bottleneck: str


class Topology(Protocol):
    """Routes of one machine's network, for all messages of a phase at once."""

    def allocate(self, nodes: int) -> NDArray[np.int64]:
        """Nodes that the scheduler gives to a job, in the order in which ranks fill them."""
        ...

    def coordinates(self, endpoints: Endpoints) -> NDArray[np.int64]:
        """Coordinates of endpoints along the axes of the network, shape (axes, endpoints); no axes if it has none."""
        ...

    def load(self, src: Endpoints, dst: Endpoints, nbytes: float) -> Load:
        """Load of messages of ``nbytes`` each that are sent all at once, one for each source and destination."""
        ...


class CollectiveAlgorithm(Protocol):
    """One way to run a collective: which messages go when."""

    name: str
    kinds: frozenset[CollectiveKind]

    def phases(
        self, kind: CollectiveKind, groups: Endpoints, *, nbytes: int, topology: Topology
    ) -> Sequence[Phase] | None:
        """Phases in order, or None where the algorithm cannot serve these groups.

        Args:
            kind: One of ``kinds``.
            groups: Endpoints of shape (groups, members), members in rank order; all groups run at once.
            nbytes: One rank's whole buffer.
            topology: Where they are.
        """
        ...
