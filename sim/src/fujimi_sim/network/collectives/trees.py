"""Binomial trees, and collectives made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import in_fresh, messages, powers
from fujimi_sim.network.collectives.rings import ring_phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Binomial:
    """Trees from or to the first member in ``ceil(log2 p)`` steps.

    Of the whole vector for a broadcast or a reduce; of subtrees for a scatter or a gather, where the root handles
    ``n (p - 1) / p`` in all. The last subtree of a step may have fewer members; it is counted as long as the others.

    Source:
        Thakur, Rabenseifner, Gropp 2005, sections 4.2 and 4.5.
    """

    name: str = "binomial"
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.BROADCAST, CollectiveKind.REDUCE, CollectiveKind.GATHER, CollectiveKind.SCATTER}
    )
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        return {
            CollectiveKind.BROADCAST: broadcast,
            CollectiveKind.REDUCE: reduced,
            CollectiveKind.SCATTER: scattered,
            CollectiveKind.GATHER: gathered,
        }[kind](groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterAllGather:
    """Broadcast by a binomial scatter and a ring all-gather: ``2 n (p - 1) / p`` bytes of a member.

    Source:
        M. Barnett et al., "Interprocessor collective communication library (InterCom)", SHPCC 1994, known as van de
        Geijn's; Thakur, Rabenseifner, Gropp 2005, section 4.2.
    """

    name: str = "scatter_all_gather"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BROADCAST})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        return scatter_all_gather(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceBroadcast:
    """All-reduce by a binomial reduce and a binomial broadcast: ``2 ceil(log2 p)`` steps of the whole vector.

    Source:
        Open MPI, ``coll_base_allreduce.c``, ``ompi_coll_base_allreduce_intra_nonoverlapping``.
    """

    name: str = "reduce_broadcast"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        return [*reduced(groups), *broadcast(groups)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceThenScatter:
    """Reduce-scatter by a binomial reduce, after which the root sends everybody its block.

    Source:
        Open MPI, ``coll_base_reduce_scatter.c``, ``ompi_coll_base_reduce_scatter_intra_nonoverlapping``.
    """

    name: str = "reduce_then_scatter"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.REDUCE_SCATTER})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        if members == 1:
            return []
        others = np.arange(1, members)
        return [*reduced(groups), messages(groups, np.zeros_like(others), others, share=1 / members)]


def broadcast(groups: Endpoints) -> list[Phase]:
    """Broadcast down a binomial tree: whoever has the vector sends it to one more in each step."""
    members = groups.shape[1]
    steps = []
    for distance in powers(members):
        have_it = np.arange(min(distance, members - distance))
        steps.append(messages(groups, have_it, have_it + distance))
    return steps


def reduced(groups: Endpoints) -> list[Phase]:
    """Reduce up a binomial tree: the broadcast backward, with a buffer for the sum and two for what comes in."""
    return in_fresh([replace(_backward(phase), reduces=True) for phase in reversed(broadcast(groups))], 3.0)


def scattered(groups: Endpoints) -> list[Phase]:
    """Scatter down a binomial tree whose subtrees are neighbours: each step sends half of what is left.

    >>> [phase.share for phase in scattered(np.arange(8)[None])]
    [0.5, 0.25, 0.125]
    """
    members = groups.shape[1]
    steps = []
    for distance in reversed(powers(members)):
        senders = np.arange(0, members - distance, 2 * distance)
        steps.append(messages(groups, senders, senders + distance, share=min(distance, members - distance) / members))
    return steps


def gathered(groups: Endpoints) -> list[Phase]:
    """Gather up a binomial tree: the scatter backward."""
    return [_backward(phase) for phase in reversed(scattered(groups))]


def scatter_all_gather(groups: Endpoints) -> list[Phase]:
    """Broadcast by a binomial scatter and a ring all-gather."""
    return [*scattered(groups), ring_phase(groups, share=1.0)] if groups.shape[1] > 1 else []


def _backward(phase: Phase) -> Phase:
    return replace(phase, src=phase.dst, dst=phase.src)
