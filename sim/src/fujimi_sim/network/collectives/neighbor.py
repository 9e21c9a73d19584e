"""Neighbor exchange: all-gather between neighbours, to the left and to the right in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import MOST_STEPS, messages


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborExchange:
    """All-gather in half as many steps as the ring: ``p / 2``, the first of one block, the others of two.

    Pairs exchange their blocks; then everyone exchanges what came last with its neighbours, left and right in turn. In
    groups of more than 1,024 members, the steps to the left are counted together, and those to the right.

    Source:
        J. Chen, L. Zhang, Y. Zhang, W. Yuan, "Performance Evaluation of Allgather Algorithms on Terascale Linux Cluster
        with Fast Ethernet", HPC Asia 2005.
    """

    name: str = "neighbor_exchange"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_GATHER})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases, or None for an odd number of members."""
        members = groups.shape[1]
        if members == 1:
            return []
        if members % 2:
            return None
        everyone = np.arange(members)
        first = messages(groups, everyone, everyone ^ 1, share=1 / members)
        leftward = messages(groups, everyone, (((everyone + 1) ^ 1) - 1) % members, share=2 / members)
        turns = [leftward, replace(first, share=2 / members)]
        left = members // 2 - 1
        if members <= MOST_STEPS:
            return [first, *(turns[step % 2] for step in range(left))]
        return [first, *(replace(turn, repeats=(left + 1 - step) // 2) for step, turn in enumerate(turns))]
