"""Rings over lines of endpoints, and the phases that pass shares around them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from fujimi_core.network import Endpoints, Phase
from fujimi_core.workload import CollectiveKind

#: Collectives that pass shares around: what each member begins or ends with is its part of the buffer.
SHARING = frozenset({CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER})


def folded(members: int) -> list[int]:
    """Order in which a ring goes up a line that does not close and comes back, at most two places at a time.

    >>> folded(5)
    [0, 2, 4, 3, 1]
    """
    up = list(range(0, members, 2))
    down = list(range(1, members, 2))
    return up + down[::-1]


def neighbours(rings: Endpoints, *, both_ways: bool = False) -> tuple[Endpoints, Endpoints]:
    """Source and destination of the messages from each member of each ring to the next, or to both neighbours.

    Args:
        rings: Endpoints of shape (rings, members).
        both_ways: Whether members send to the one before, too.
    """
    src, dst = rings.ravel(), np.roll(rings, -1, axis=1).ravel()
    return (np.concatenate([src, dst]), np.concatenate([dst, src])) if both_ways else (src, dst)


def ring_phase(rings: Endpoints, *, share: float, both_ways: bool = False, reduces: bool = False) -> Phase:
    """All steps of a reduce-scatter or an all-gather around rings of p members.

    ``p - 1`` steps of ``1 / p`` of what is shared out; half of it each way round if ``both_ways``.

    Args:
        rings: Endpoints of shape (rings, members), members in the order of the ring; at least 2.
        share: What is shared out, over one rank's whole buffer.
        both_ways: Whether one half goes round the other way at the same time.
        reduces: Whether it is a reduce-scatter.
    """
    members = rings.shape[1]
    src, dst = neighbours(rings, both_ways=both_ways)
    message = share / members / (2 if both_ways else 1)
    return Phase(src=src, dst=dst, share=message, repeats=members - 1, reduces=reduces)


def there_and_back(kind: CollectiveKind, scattering: Sequence[Phase]) -> list[Phase]:
    """Phases of a collective from those of its reduce-scatter: all-gathers are the same the other way round."""
    gathering = [replace(phase, reduces=False) for phase in reversed(scattering)]
    return {
        CollectiveKind.REDUCE_SCATTER: list(scattering),
        CollectiveKind.ALL_GATHER: gathering,
        CollectiveKind.ALL_REDUCE: [*scattering, *gathering],
    }[kind]
