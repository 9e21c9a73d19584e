"""Ring: one ring through all members of a group, in rank order."""

from collections.abc import Sequence
from dataclasses import dataclass

from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.rings import SHARING, ring_phase, there_and_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Ring algorithm: least bytes for any number of members, most steps.

    ``p - 1`` steps of ``n / p`` for a reduce-scatter or an all-gather, both one after the other for an all-reduce.
    """

    name: str = "ring"
    kinds: frozenset[CollectiveKind] = SHARING
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """Phases for any groups."""
        return there_and_back(kind, [ring_phase(groups, share=1.0, reduces=True)] if groups.shape[1] > 1 else [])
