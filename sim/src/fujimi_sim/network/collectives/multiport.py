"""Multiport bucket: parts of the buffer along different axes at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.bucket import AxisRings, rings_by_axis, scatters
from fujimi_sim.network.collectives.rings import SHARING, neighbours, there_and_back
from fujimi_sim.network.loads import load


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiportBucket:
    """Bucket algorithm that keeps the links of several axes busy.

    The buffer is cut into as many parts as axes turn. Each part begins with another axis, and all take them in the
    same cyclic order, so that no two are on the same axis. What is left goes along the remaining axes one by one. As
    many axes turn as make it fastest, which depends on the interfaces of a node. All messages of a stage are counted
    as long as its longest.
    """

    name: str = "multiport_bucket"
    kinds: frozenset[CollectiveKind] = SHARING
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases, or None where the members of a group do not stand on a grid of several axes."""
        by_axis = rings_by_axis(groups, topology)
        if by_axis is None or len(by_axis) < 2:
            return None
        turning = min(range(2, len(by_axis) + 1), key=lambda count: _cost_s_per_byte(by_axis, count, topology))
        src, dst = _messages(by_axis[:turning])
        steps = max(each.members for each in by_axis[:turning]) - 1
        stages = [
            Phase(src=src, dst=dst, share=share / steps, repeats=steps, reduces=True)
            for share in stage_shares(by_axis[:turning])
        ]
        left = 1 / float(np.prod([each.members for each in by_axis[:turning]]))
        return there_and_back(kind, stages + scatters(by_axis[turning:], share=left))


def stage_shares(turning: Sequence[AxisRings]) -> list[float]:
    """What a member passes on to each neighbour in each stage, over its whole buffer: that of the largest part."""
    parts = np.full(len(turning), 1 / len(turning))
    shares = []
    for stage in range(len(turning)):
        axes = [turning[(part + stage) % len(turning)] for part in range(len(turning))]
        members = np.array([axis.members for axis in axes])
        ways = np.array([2 if axis.both_ways else 1 for axis in axes])
        shares.append(float((parts * (members - 1) / members / ways).max()))
        parts /= members
    return shares


def _cost_s_per_byte(by_axis: Sequence[AxisRings], count: int, topology: Topology) -> float:
    """Time for each byte of the buffer if so many axes turn, on one line along each axis."""
    turning, others = by_axis[:count], by_axis[count:]
    cost = load(topology, *_messages(turning, lines=1)).busy_s_per_byte * sum(stage_shares(turning))
    left = 1 / float(np.prod([each.members for each in turning]))
    for each in others:
        cost += each.cost_s_per_byte * left * (each.members - 1) / each.members
        left /= each.members
    return cost


def _messages(turning: Sequence[AxisRings], *, lines: int | None = None) -> tuple[Endpoints, Endpoints]:
    """Source and destination of the messages of a stage: along all turning axes at once."""
    pairs = [neighbours(each.rings[:lines], both_ways=each.both_ways) for each in turning]
    return np.concatenate([src for src, _ in pairs]), np.concatenate([dst for _, dst in pairs])
