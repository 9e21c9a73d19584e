"""Pairwise: all-to-all with one partner in each step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import MOST_MESSAGES, MOST_STEPS, shifted

#: Least and most steps that stand for all of them in groups that are too large to count every one.
SAMPLED_STEPS = (16, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """All-to-all in ``p - 1`` steps of one block: in step s, everyone sends to the member s positions further on.

    Groups of more than 1,024 members, or with more than four million messages, are counted by a sample of the steps:
    ranges of distances of equal length, from each of which one distance, drawn at random but always the same, stands
    for all others.

    Source:
        Thakur, Rabenseifner, Gropp 2005, section 4.6.
    """

    name: str = "pairwise"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_TO_ALL})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        members = groups.shape[1]
        return [
            replace(shifted(groups, distance, share=1 / members), repeats=repeats)
            for distance, repeats in distances(members, groups=len(groups)).items()
        ]


def distances(members: int, *, groups: int = 1) -> dict[int, int]:
    """Distances of the steps that are counted, and for how many steps each stands.

    >>> distances(4)
    {1: 1, 2: 1, 3: 1}
    >>> sampled = distances(158_976)
    >>> len(sampled), sum(sampled.values())
    (25, 158975)

    Args:
        members: Of a group, p.
        groups: That run at the same time.
    """
    steps = members - 1
    if members <= MOST_STEPS and groups * members * steps <= MOST_MESSAGES:
        return dict.fromkeys(range(1, members), 1)
    fewest, most = SAMPLED_STEPS
    count = min(steps, max(fewest, min(most, MOST_MESSAGES // (groups * members))))
    # Random places: those in the middle of the ranges would all be multiples of the extents of a torus.
    edges = np.linspace(1, members, count + 1).astype(np.int64)
    drawn = np.random.default_rng(members).integers(edges[:-1], edges[1:])
    return dict(zip(drawn.tolist(), np.diff(edges).tolist(), strict=True))
