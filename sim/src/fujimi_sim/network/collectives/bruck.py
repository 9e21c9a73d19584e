"""Bruck and dissemination: one partner in each step, at doubling distances."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import in_fresh, powers, shifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Bruck:
    """All-gather and all-to-all of any number of members in ``ceil(log2 p)`` steps.

    An all-gather sends ``min(d, p - d)`` of p blocks over the distance d, ``(p - 1) / p`` in all, and turns its result
    into place at the end, by way of another buffer. An all-to-all sends the blocks whose way has the binary digit d,
    about half of the buffer in each step: it describes, packs and unpacks them block by block, and turns all blocks
    before and after.

    Source:
        J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal, D. Weathersby, "Efficient Algorithms for All-to-All Communications in
        Multiport Message-Passing Systems", IEEE TPDS 8 (1997), sections 3 and 4.
    """

    name: str = "bruck"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_GATHER, CollectiveKind.ALL_TO_ALL})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        if members == 1:
            return []
        if kind is CollectiveKind.ALL_GATHER:
            *steps, last = [
                shifted(groups, -distance, share=min(distance, members - distance) / members)
                for distance in powers(members)
            ]
            return in_fresh([*steps, replace(last, copied=2.0)], 1.0)
        shares = {distance: blocks(members, distance) / members for distance in powers(members)}
        steps = [
            replace(shifted(groups, distance, share=share), copied=2 * share, plans=1, blocks=round(share * members))
            for distance, share in shares.items()
        ]
        steps[0] = replace(steps[0], copied=steps[0].copied + 1)
        steps[-1] = replace(steps[-1], copied=steps[-1].copied + 1)
        return in_fresh(steps, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissemination:
    """Barrier in which everyone tells one further member in each step: ``ceil(log2 p)`` steps without content.

    Source:
        D. Hensgen, R. Finkel, U. Manber, "Two Algorithms for Barrier Synchronization", Int. J. Parallel Programming 17
        (1988).
    """

    name: str = "dissemination"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BARRIER})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        return [shifted(groups, distance, share=0.0) for distance in powers(groups.shape[1])]


def blocks(members: int, digit: int) -> int:
    """How many of the ways 0 to p - 1 have a binary digit.

    >>> [blocks(8, digit) for digit in (1, 2, 4)], [blocks(5, digit) for digit in (1, 2, 4)]
    ([4, 4, 4], [2, 2, 1])
    """
    return int(np.count_nonzero(np.arange(members) & digit))
