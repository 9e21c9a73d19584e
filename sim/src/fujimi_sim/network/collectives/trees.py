"""Trees: few steps for small buffers, for barriers and for broadcasts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RecursiveDoubling:
    """All-reduce by exchanging whole buffers over doubling distances.

    ``log2 p`` exchanges; members above the largest power of two hand theirs in before and get the sum after.
    """

    name: str = "recursive_doubling"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        inner = 1 << members.bit_length() - 1
        left_over = np.arange(inner, members)
        before = [_messages(groups, left_over, left_over - inner, reduces=True)]
        after = [_messages(groups, left_over - inner, left_over)]
        everyone = np.arange(inner)
        exchanges = [_messages(groups, everyone, everyone ^ distance, reduces=True) for distance in _powers(inner)]
        return before + exchanges + after if len(left_over) else exchanges


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissemination:
    """Barrier in which everyone tells one further member in each step: ``ceil(log2 p)`` steps without content."""

    name: str = "dissemination"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BARRIER})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        everyone = np.arange(groups.shape[1])
        return [
            _messages(groups, everyone, (everyone + distance) % len(everyone), share=0.0)
            for distance in _powers(len(everyone))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binomial:
    """Broadcast down a binomial tree from the first member: ``ceil(log2 p)`` steps of the whole buffer."""

    name: str = "binomial"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BROADCAST})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        steps = []
        for distance in _powers(members):
            have_it = np.arange(min(distance, members - distance))
            steps.append(_messages(groups, have_it, have_it + distance))
        return steps


def _powers(members: int) -> list[int]:
    """Powers of two below the number of members."""
    return [1 << step for step in range((members - 1).bit_length())]


def _messages(
    groups: Endpoints,
    senders: Endpoints,
    receivers: Endpoints,
    *,
    share: float = 1.0,
    reduces: bool = False,
) -> Phase:
    """Messages between members of each group, by their position in it."""
    return Phase(src=groups[:, senders].ravel(), dst=groups[:, receivers].ravel(), share=share, reduces=reduces)
