"""What Fujitsu MPI does below MPI: barrier gates, messages all at once, one tree along the axes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind
from numpy.typing import NDArray

from fujimi_sim.network.collectives.members import in_fresh, with_segment
from fujimi_sim.network.collectives.trinary import RDMA, Trinary
from fujimi_sim.network.collectives.whole_job import inside_nodes, leaders, on_the_job

#: Members of groups that get no trinary trees for a broadcast.
SMALL_GROUP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TofuBarrier:
    """Barrier, and reduction or broadcast of a few numbers, by the gates of the network interfaces.

    ``log2 p`` steps over doubling distances along the axes of the job, without any processor; at least four members.

    Source:
        Fugaku tuning seminar part 2, 2024-07, p. 175 to 195: gates of each interface, 6 integers or 3 doubles.
    """

    name: str = "tofu_barrier"
    transport: str = "tofu_barrier"
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.BARRIER, CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE, CollectiveKind.BROADCAST}
    )

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases for four members and more, where the machine has such gates."""
        if groups.shape[1] < 4 or self.transport not in topology.machine.network.transports:
            return None
        groups, shape = on_the_job(groups, topology)
        grid = groups.reshape(len(groups), *shape)
        return [
            Phase(src=groups.ravel(), dst=np.roll(grid, -(1 << step), axis=axis + 1).ravel(), share=0.0)
            for axis, extent in enumerate(shape)
            for step in range((extent - 1).bit_length())
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Gather in which the first member gets the parts of all other nodes itself, through two interfaces."""

    name: str = "pulled"
    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.GATHER})

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """One phase."""
        members = groups.shape[1]
        firsts, _ = leaders(groups, topology)
        parts = members // firsts.shape[1]
        handed_in, _ = inside_nodes(groups, topology, CollectiveKind.REDUCE)
        roots = np.repeat(firsts[:, 0], firsts.shape[1] - 1)
        return [
            *(replace(phase, share=1 / members, reduces=False) for phase in handed_in),
            Phase(src=firsts[:, 1:].ravel(), dst=roots, share=parts / members, interfaces=2),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class InOrderBinary:
    """Reduce up a binary tree whose subtrees are members next to each other, piece after piece.

    Source:
        Open MPI, ``ompi_coll_base_reduce_intra_in_order_binary``.
    """

    segment_bytes: int = 65_536
    transport: str = "mpi"
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.REDUCE})

    @property
    def name(self) -> str:
        """Segment."""
        return with_segment("in_order_binary", self.segment_bytes)

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """One phase with all edges of the tree."""
        edges, depth = in_order_edges(groups.shape[1])
        if not depth:
            return []
        parents, children = edges.T
        return [
            Phase(
                src=groups[:, children].ravel(),
                dst=groups[:, parents].ravel(),
                reduces=True,
                segment_bytes=self.segment_bytes,
                stages=depth,
                fresh=3.0,
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisTree:
    """Broadcast down one tree along the axes of the job's grid, piece after piece.

    Along each axis whoever has the buffer sends it to the middle of what lies before it, and so on in both halves:
    ``log2`` of the extent stages. Of several ranks of a node the first takes part for all.

    Args:
        segment_bytes: Longest piece; the whole buffer if None.
    """

    segment_bytes: int | None = None
    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BROADCAST})

    @property
    def name(self) -> str:
        """Segment."""
        return with_segment("axis_trees", self.segment_bytes)

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """One phase with all edges of the tree."""
        if groups.shape[1] < 2:
            return None
        firsts, shape = leaders(groups, topology)
        src, dst = [], []
        for axis, extent in enumerate(shape):
            # Those who get it along this axis stand where the axes to come begin.
            lines = firsts.reshape(len(firsts), *shape[: axis + 1], -1)[..., 0]
            for parent, child in halving_edges(extent):
                src.append(lines[..., parent].ravel())
                dst.append(lines[..., child].ravel())
        before, after = inside_nodes(groups, topology, kind)
        if src:
            stages = sum((extent - 1).bit_length() for extent in shape)
            edges = Phase(src=np.concatenate(src), dst=np.concatenate(dst))
            before.append(replace(edges, segment_bytes=self.segment_bytes, stages=stages, fresh=1.0))
        return [*before, *after]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBroadcast:
    """Scatter that sends the whole buffer to everybody."""

    name: str = "whole_broadcast"
    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.SCATTER})

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases of a broadcast."""
        return in_fresh(list(widest_broadcast(groups, topology)), 1.0) if groups.shape[1] > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherBroadcast:
    """All-gather as a gather to the first member and a broadcast from there."""

    name: str = "gather_broadcast"
    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_GATHER})

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases of both."""
        if groups.shape[1] < 2:
            return None
        broadcasts = (
            Trinary(ways=6, segment_bytes=65_536),
            Trinary(segment_bytes=65_536),
            AxisTree(segment_bytes=65_536),
        )
        found = (each.phases(CollectiveKind.BROADCAST, groups, topology=topology) for each in broadcasts)
        down = next(phases for phases in found if phases is not None)
        return [*Pulled().phases(CollectiveKind.GATHER, groups, topology=topology), *down]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceBroadcast:
    """All-reduce as a reduce up a binary tree and a broadcast down as many trees as there are."""

    name: str = "reduce_then_broadcast"
    transport: str = "mpi"
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE})

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases of both."""
        if groups.shape[1] < 2:
            return None
        up = InOrderBinary().phases(CollectiveKind.REDUCE, groups, topology=topology)
        return [*up, *widest_broadcast(groups, topology)]


def widest_broadcast(groups: Endpoints, topology: Topology) -> Sequence[Phase]:
    """Broadcast down six trees, or three, or one: as many as the job's grid has, one in small groups."""
    for ways in (6, 3) if groups.shape[1] > SMALL_GROUP else ():
        trees = Trinary(ways=ways, segment_bytes=65_536)
        if phases := trees.phases(CollectiveKind.BROADCAST, groups, topology=topology):
            return [replace(phase, transport=RDMA) for phase in phases]
    one = AxisTree(segment_bytes=65_536).phases(CollectiveKind.BROADCAST, groups, topology=topology) or ()
    return [replace(phase, transport=RDMA) for phase in one]


def halving_edges(members: int) -> list[tuple[int, int]]:
    """Parents and children of a tree in which each sends to the middle of what lies before it.

    >>> halving_edges(4)
    [(0, 2), (0, 1), (2, 3)]
    """
    edges, ranges = [], [(0, members)]
    while ranges:
        first, end = ranges.pop(0)
        middle = (first + end) // 2
        if middle > first:
            edges.append((first, middle))
            ranges += [(first, middle), (middle, end)]
    return edges


def in_order_edges(members: int) -> tuple[NDArray[np.int64], int]:
    """Parents and children of a binary tree over members next to each other, and its depth.

    The first of a range has two children: the next one, and the one in the middle of those that remain.

    >>> in_order_edges(4)[0].tolist(), in_order_edges(4)[1]
    ([[0, 1], [0, 2], [2, 3]], 2)

    Returns:
        Edges of shape (members - 1, 2).
    """
    edges, depth = [np.empty((0, 2), np.int64)], 0
    first, end = np.array([0]), np.array([members])
    while (wide := end - first > 1).any():
        first, end = first[wide], end[wide]
        middle = (first + 1 + end) // 2
        left, right = middle > first + 1, end > middle
        edges += [np.stack([first, first + 1], 1)[left], np.stack([first, middle], 1)[right]]
        first, end = np.concatenate([first[left] + 1, middle[right]]), np.concatenate([middle[left], end[right]])
        depth += 1
    return np.concatenate(edges), depth
