"""Bucket: rings along one axis of the network after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.grid import Grid, grid
from fujimi_sim.network.collectives.rings import SHARING, folded, neighbours, ring_phase, there_and_back
from fujimi_sim.network.loads import load


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AxisRings:
    """All rings of a group along one axis.

    Args:
        rings: Endpoints of shape (rings, members).
        both_ways: Whether halves go round both ways at once, because that is faster.
        cost_s_per_byte: Time of the busiest link for each byte that a member passes on.
    """

    rings: Endpoints
    both_ways: bool
    cost_s_per_byte: float

    @property
    def members(self) -> int:
        """Endpoints of each ring."""
        return int(self.rings.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Multi-dimensional bucket algorithm: as few bytes as the ring with far fewer steps.

    A reduce-scatter along each axis in turn leaves a smaller share to the next; all-gathers bring the shares back in
    the opposite order. The fastest axis goes first, when the share is largest.
    """

    name: str = "bucket"
    kinds: frozenset[CollectiveKind] = SHARING
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases, or None where the members of a group do not stand on a grid."""
        by_axis = rings_by_axis(groups, topology)
        return None if by_axis is None else there_and_back(kind, scatters(by_axis))


def rings_by_axis(groups: Endpoints, topology: Topology) -> list[AxisRings] | None:
    """Rings along each axis of the grid on which groups stand, fastest first; None if they stand on none.

    A ring folds back where the axis does not close, and goes both ways at once where that is faster on a line of
    its own.
    """
    found = grid(groups, topology)
    if found is None:
        return None
    rings = [_rings(found, axis, topology) for axis in range(len(found.axes))]
    return sorted(rings, key=lambda each: each.cost_s_per_byte)


def scatters(by_axis: Sequence[AxisRings], *, share: float = 1.0) -> list[Phase]:
    """Reduce-scatters, one phase an axis; each shares out what the ones before have left."""
    phases = []
    for each in by_axis:
        phases.append(ring_phase(each.rings, share=share, both_ways=each.both_ways, reduces=True))
        share /= each.members
    return phases


def _rings(found: Grid, axis: int, topology: Topology) -> AxisRings:
    lines = found.lines(axis)
    rings = lines if found.closes(axis) else lines[:, folded(lines.shape[1])]
    one = load(topology, *neighbours(rings[:1])).busy_s_per_byte
    both = load(topology, *neighbours(rings[:1], both_ways=True)).busy_s_per_byte / 2
    return AxisRings(rings=rings, both_ways=both < one, cost_s_per_byte=min(one, both))
