"""All-to-all with all messages under way at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.grid import Grid, grid
from fujimi_sim.network.collectives.linear import everyone
from fujimi_sim.network.collectives.members import MOST_MESSAGES
from fujimi_sim.network.collectives.trinary import RDMA

#: Groups with more messages than can be counted, and on no grid, are counted by this many distances.
DISTANCES_COUNTED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Everybody sends to everybody at once, through one interface.

    Groups of more than four million messages that stand on a grid are counted along the axis that is crossed most.
    With dimension-order routes, of the messages between all p members the same number runs along each line of an axis
    between each two of its e places: ``p / e``. So messages between all places of all lines of that axis, each of
    ``p / e`` blocks, load its links just as all messages do.
    """

    name: str = "spread"
    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_TO_ALL})

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase]:
        """One phase."""
        members = groups.shape[1]
        if members == 1:
            return []
        if groups.size * (members - 1) <= MOST_MESSAGES:
            senders, receivers = everyone(members)
            return [
                Phase(src=groups[:, senders].ravel(), dst=groups[:, receivers].ravel(), share=1 / members, interfaces=1)
            ]
        found = grid(groups, topology)
        return [_along_an_axis(found) if found else _some_distances(groups)]


def _along_an_axis(found: Grid) -> Phase:
    """Messages along the axis whose links are crossed most, as long as all that they stand for."""
    axis = max(range(len(found.axes)), key=lambda each: _crossings(found.axes[each], len(found.places[each])))
    lines = found.lines(axis)
    places = lines.shape[1]
    senders, receivers = everyone(places)
    members = found.endpoints[0].size
    return Phase(
        src=lines[:, senders].ravel(),
        dst=lines[:, receivers].ravel(),
        share=1 / places,
        interfaces=1,
        extra_operations=2 * (members - places),
    )


def _crossings(axis: NetworkAxis, places: int) -> float:
    """How many of the messages between all places of an axis cross its busiest link, over the number of places."""
    return places / (8 if axis.wrap else 4)


def _some_distances(groups: Endpoints) -> Phase:
    """Evenly spread distances instead of all."""
    members = groups.shape[1]
    distances = np.unique(np.linspace(1, members - 1, DISTANCES_COUNTED).astype(np.int64))
    dst = np.concatenate([np.roll(groups, -distance, axis=1).ravel() for distance in distances])
    repeats = -(-(members - 1) // len(distances))
    share = (members - 1) / members / (len(distances) * repeats)
    return Phase(src=np.tile(groups.ravel(), len(distances)), dst=dst, share=share, repeats=repeats, interfaces=1)
