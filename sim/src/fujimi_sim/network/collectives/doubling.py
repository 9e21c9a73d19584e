"""Exchanges over powers of two: recursive doubling, recursive halving, Rabenseifner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import Folding, in_fresh, is_power_of_two, messages, powers


@dataclass(frozen=True, slots=True, kw_only=True)
class RecursiveDoubling:
    """Exchanges of all that a member has over doubling distances: ``log2 p`` steps.

    Of whole vectors for an all-reduce, of ``1/p, 2/p, 4/p, …`` of the result for an all-gather, which only powers of
    two have, and of nothing for a barrier. Members above the largest power of two hand in before and get the result
    after.

    Source:
        Thakur, Rabenseifner, Gropp 2005, sections 4.1 and 4.5; the fold as in `Folding`.
    """

    name: str = "recursive_doubling"
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.ALL_REDUCE, CollectiveKind.ALL_GATHER, CollectiveKind.BARRIER}
    )
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases, or None for an all-gather of a number of members that is no power of two."""
        members = groups.shape[1]
        if kind is CollectiveKind.ALL_GATHER:
            return doubled(groups) if is_power_of_two(members) else None
        share, reduces = (1.0, True) if kind is CollectiveKind.ALL_REDUCE else (0.0, False)
        folding = Folding.of(members)
        exchanges = [
            folding.exchange(groups, distance, share=share, reduces=reduces) for distance in powers(len(folding.inner))
        ]
        before = folding.before(groups, share=share, reduces=reduces)
        # What comes in is received in a buffer of its own.
        return in_fresh([*before, *exchanges, *folding.after(groups, share=share)], share)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecursiveHalving:
    """Reduce-scatter in ``log2 p`` steps: half of the vector goes to the other half of the group, and so on.

    ``(p - 1) / p`` of the vector for powers of two. Members above the largest one hand their whole vector to a
    neighbour before, whose part of the result is then two blocks, and get theirs after; a step is counted as its
    longest message.

    Source:
        Thakur, Rabenseifner, Gropp 2005, section 4.3; the fold as in `Folding`.
    """

    name: str = "recursive_halving"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.REDUCE_SCATTER})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        folding = Folding.of(members)
        pairs = len(folding.handing)
        halves = [
            folding.exchange(groups, distance, share=(distance + min(pairs, distance)) / members, reduces=True)
            for distance in reversed(powers(len(folding.inner)))
        ]
        return [*folding.before(groups, reduces=True), *halves, *folding.after(groups, share=1 / members)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rabenseifner:
    """Reduction of halves of the vector, and then their collection: few steps and few bytes.

    An all-reduce takes ``2 log2 p`` steps and ``2 n (p - 1) / p`` bytes: a reduce-scatter by recursive halving, the
    largest messages between neighbours, and an all-gather by recursive doubling. A reduce gathers the parts down a
    binomial tree instead. Members above the largest power of two hand their vector in before and get the result after.

    Source:
        Thakur, Rabenseifner, Gropp 2005, sections 4.4 and 4.5; the fold as in `Folding`.
    """

    name: str = "rabenseifner"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        folding = Folding.of(groups.shape[1])
        distances = powers(len(folding.inner))
        halves = [folding.exchange(groups, distance, share=0.5 / distance, reduces=True) for distance in distances]
        before = folding.before(groups, reduces=True)
        if kind is CollectiveKind.ALL_REDUCE:
            collected = [replace(phase, reduces=False) for phase in reversed(halves)]
            return [*before, *halves, *collected, *folding.after(groups)]
        gathered = [
            messages(groups, folding.inner[distance : 2 * distance], folding.inner[:distance], share=0.5 / distance)
            for distance in reversed(distances)
        ]
        return [*before, *halves, *gathered]


def doubled(groups: Endpoints) -> list[Phase]:
    """All-gather by recursive doubling of groups of a power of two."""
    everyone = np.arange(groups.shape[1])
    return [
        messages(groups, everyone, everyone ^ distance, share=distance / len(everyone))
        for distance in powers(len(everyone))
    ]
