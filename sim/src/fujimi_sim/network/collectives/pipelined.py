"""Pipelined trees: a piece is passed on while the next one comes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import Positions, in_fresh, messages, with_segment

#: Pieces that libraries cut vectors into [B]; none for whole vectors.
SEGMENTS = (None, 1024, 4096, 8192, 16_384, 65_536, 1_048_576)
#: Of which these take part where the fastest is looked for.
AUTOMATIC_SEGMENTS = (None, 65_536)
_DOWN_AND_UP = frozenset({CollectiveKind.BROADCAST, CollectiveKind.REDUCE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelined:
    """What the trees of this module have in common.

    Args:
        segment_bytes: Longest piece; None for all that goes down a tree in one piece.
    """

    segment_bytes: int | None = None
    transport: str = "mpi"

    @property
    def automatic(self) -> bool:
        """For whole vectors and for one segment size."""
        return self.segment_bytes in AUTOMATIC_SEGMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(Pipelined):
    """Broadcast and reduce along a chain of all members in rank order, first member at its head.

    ``(p - 1 + k - 1)`` times a piece of ``n / k``.

    Source:
        Open MPI, ``ompi_coll_base_bcast_intra_pipeline``; J. Pješivac-Grbović et al., "Performance Analysis of MPI
        Collective Operations", Cluster Computing 10 (2007), section 3.
    """

    kinds: frozenset[CollectiveKind] = _DOWN_AND_UP

    @property
    def name(self) -> str:
        """``chain``, and the segment size behind a slash."""
        return with_segment("chain", self.segment_bytes)

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """The phase, for any groups."""
        members = groups.shape[1]
        if members == 1:
            return []
        children = np.arange(1, members)
        tree = messages(groups, children - 1, children)
        return [_directed(replace(tree, stages=members - 1, segment_bytes=self.segment_bytes), kind)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Pipelined):
    """Broadcast and reduce along a complete binary tree from the first member.

    ``(floor(log2 p) + k - 1)`` times two pieces of ``n / k``, one to each child, or from each.

    Source:
        Open MPI, ``coll_base_topo.c``, ``ompi_coll_base_topo_build_tree``; Pješivac-Grbović et al. 2007, section 3.
    """

    kinds: frozenset[CollectiveKind] = _DOWN_AND_UP

    @property
    def name(self) -> str:
        """``binary``, and the segment size behind a slash."""
        return with_segment("binary", self.segment_bytes)

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        phases = [_directed(phase, kind) for phase in _binary_tree(groups, segment_bytes=self.segment_bytes)]
        return phases if kind is CollectiveKind.BROADCAST else in_fresh(phases[::-1], 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBinary(Pipelined):
    """Broadcast of one half of the vector down each side of a complete binary tree; pairs exchange the halves.

    The tree takes half of the time of `Binary`, and one message of ``n / 2`` comes after it. If the members are even in
    number, the last one has no partner, and the root sends it the other half.

    Args:
        segment_bytes: Longest piece; None for the half in one piece.

    Source:
        Open MPI, ``ompi_coll_base_bcast_intra_split_bintree``; Pješivac-Grbović et al. 2007, section 3.
    """

    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BROADCAST})

    @property
    def name(self) -> str:
        """``split_binary``, and the segment size behind a slash."""
        return with_segment("split_binary", self.segment_bytes)

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        if members == 1:
            return []
        left, right = np.arange(1, members - 1, 2), np.arange(2, members, 2)
        senders, receivers = np.concatenate([left, right]), np.concatenate([right, left])
        if members % 2 == 0:
            senders, receivers = np.append(senders, 0), np.append(receivers, members - 1)
        tree = _binary_tree(groups, segment_bytes=self.segment_bytes, share=0.5)
        return [*tree, messages(groups, senders, receivers, share=0.5)]


#: All of them with all sizes of segments.
PIPELINED = tuple(tree(segment_bytes=each) for tree in (Chain, Binary, SplitBinary) for each in SEGMENTS)


def parents(members: int) -> Positions:
    """Parent of each member but the first in a complete binary tree, level by level.

    Those of the next level go to the members of a level in turn, first one child to each and then a second one: the
    members on the left side of the tree are odd, and those on the right even.

    >>> parents(8).tolist()
    [0, 0, 1, 2, 1, 2, 3]
    """
    children = np.arange(1, members)
    # frexp, unlike log2, cannot be wrong by one next to a power of two.
    above = np.left_shift(1, np.frexp(children + 1)[1].astype(np.int64) - 2)
    return np.asarray(above - 1 + (children + 1) % above, np.int64)


def _binary_tree(groups: Endpoints, *, segment_bytes: int | None, share: float = 1.0) -> list[Phase]:
    """One phase for all pieces in the pipeline; without pieces, one for each level, which do not meet on links."""
    members = groups.shape[1]
    above = parents(members)
    if members > 1 and segment_bytes:
        tree = messages(groups, above, np.arange(1, members), share=share)
        return [replace(tree, stages=members.bit_length() - 1, segment_bytes=segment_bytes)]
    levels = [
        np.arange(first, min(2 * first + 1, members))
        for first in (2**each - 1 for each in range(1, members.bit_length()))
    ]
    return [messages(groups, above[level - 1], level, share=share) for level in levels]


def _directed(phase: Phase, kind: CollectiveKind) -> Phase:
    """Down the tree for a broadcast, up and adding for a reduce."""
    if kind is CollectiveKind.BROADCAST:
        return phase
    return replace(phase, src=phase.dst, dst=phase.src, reduces=True)
