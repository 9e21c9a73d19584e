"""Linear: all messages at once, straight from sender to receiver."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import MOST_MESSAGES, Positions, messages

_EVERYONE = frozenset({CollectiveKind.ALL_TO_ALL, CollectiveKind.ALL_GATHER})
_WHOLE_VECTOR = frozenset({CollectiveKind.BROADCAST, CollectiveKind.REDUCE})
_TO_THE_ROOT = frozenset({CollectiveKind.GATHER, CollectiveKind.REDUCE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One step: everybody posts all messages, or the root talks to everybody.

    ``p (p - 1)`` messages of a block for an all-to-all or an all-gather; ``p - 1`` from or to the root else.

    Source:
        Open MPI, ``ompi_coll_base_*_basic_linear`` of each collective.
    """

    name: str = "linear"
    kinds: frozenset[CollectiveKind] = _EVERYONE | _WHOLE_VECTOR | {CollectiveKind.GATHER, CollectiveKind.SCATTER}
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """The phase, or None where that would be more than four million messages."""
        members = groups.shape[1]
        if members == 1:
            return []
        if groups.size * (members - 1 if kind in _EVERYONE else 1) > MOST_MESSAGES:
            return None
        others = np.arange(1, members)
        senders, receivers = everyone(members) if kind in _EVERYONE else (np.zeros_like(others), others)
        if kind in _TO_THE_ROOT:
            senders, receivers = receivers, senders
        share = 1.0 if kind in _WHOLE_VECTOR else 1 / members
        phase = messages(groups, senders, receivers, share=share, reduces=kind is CollectiveKind.REDUCE)
        # Blocks of one buffer are matched and sent in their order, through one interface.
        return [phase if kind in _WHOLE_VECTOR else replace(phase, interfaces=1)]


def everyone(members: int) -> tuple[Positions, Positions]:
    """Senders and receivers of one message between each two members; each begins with the member after it."""
    senders = np.tile(np.arange(members), members - 1)
    return senders, (senders + np.repeat(np.arange(1, members), members)) % members
