"""Fujitsu's pipelines over the job's torus: trinary trees and rings along all axes at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.members import with_segment
from fujimi_sim.network.collectives.rings import there_and_back
from fujimi_sim.network.collectives.whole_job import inside_nodes, leaders, on_the_job

#: Remote direct memory access below MPI, as Fujitsu's library uses it in its own algorithms.
RDMA = "rdma"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trinary:
    """Edge-disjoint trinary trees over a torus, each for its part of the buffer, piece after piece.

    Down a tree every node passes pieces on along up to three axes. Once the pipeline is full each node gets a piece
    of every tree, over a link of its own: so all links of the directions used carry one tree. That is how it is
    counted, without telling which node is whose child. All-reduces are a reduce and then a broadcast. Of several
    ranks of a node the first takes part for all.

    Args:
        ways: Directions that trees begin with: 3 use the axes one way, 6 both ways.
        segment_bytes: Longest piece; the whole part if None.

    Source:
        Matsumoto et al., MPI collectives on the K computer, SACSIS 2012 (Trinaryx3: trees on three axes of a torus,
        each with an engine for remote memory access of its own).
    """

    ways: int = 3
    segment_bytes: int | None = None
    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.ALL_REDUCE, CollectiveKind.BROADCAST, CollectiveKind.REDUCE}
    )

    @property
    def name(self) -> str:
        """Directions, segment."""
        return with_segment(f"trinary_x{self.ways}", self.segment_bytes)

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases where the group is the whole job, and the job a torus of three axes."""
        firsts, shape = leaders(groups, topology)
        if len(shape) != 3 or (self.ways == 6 and min(shape) < 3):
            return None
        src, dst = neighbours_on(firsts, shape, both_ways=self.ways == 6)
        # Both ways round a ring it is half as far to the end.
        depth = sum(extent // 2 if self.ways == 6 else extent - 1 for extent in shape)
        down = Phase(src=src, dst=dst, share=1 / self.ways, segment_bytes=self.segment_bytes, stages=depth)
        up = replace(down, src=dst, dst=src, reduces=True)
        before, after = inside_nodes(groups, topology, kind)
        between = {
            CollectiveKind.BROADCAST: [down],
            CollectiveKind.REDUCE: [up],
            CollectiveKind.ALL_REDUCE: [up, down],
        }[kind]
        return [*before, *between, *after]


@dataclass(frozen=True, slots=True, kw_only=True)
class TorusRings:
    """Rings along all axes of the job's torus, both ways at once, one part of the buffer for each.

    Every part takes the axes in another cyclic order, so that all links are busy in all stages.

    Args:
        transport: What carries the messages; puts are announced by the receiver, and their buffers copied.
    """

    transport: str = RDMA
    automatic: bool = False
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER}
    )

    @property
    def name(self) -> str:
        """Named after what carries it."""
        return "torus_rings" if self.transport == RDMA else "torus_rings_put"

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases where the group is the whole job, and the job a torus of several axes."""
        groups, shape = on_the_job(groups, topology)
        if len(shape) < 2:
            return None
        src, dst = neighbours_on(groups, shape, both_ways=True)
        put = self.transport != RDMA
        lanes = 2 * len(shape) if put else 1
        ready = [Phase(src=dst, dst=src, share=0.0)] if put else []
        left, stages = np.full(len(shape), 0.5 / len(shape)), []
        for stage in range(len(shape)):
            extents = np.array([shape[(part + stage) % len(shape)] for part in range(len(shape))])
            steps = int(extents.max()) - 1
            share = float((left * (extents - 1) / extents).max()) / steps
            ring = Phase(src=src, dst=dst, share=share, repeats=steps, reduces=True, lanes=lanes, teams=int(put))
            # Receivers announce before each step that they are ready.
            stages += [replace(announced, repeats=steps) for announced in ready] + [ring]
            left = left / extents
        copied = Phase(
            src=src[:0],
            dst=dst[:0],
            copied=1.0 if put and kind is not CollectiveKind.ALL_GATHER else 0.0,
            fresh=1.0 if put and kind is CollectiveKind.REDUCE_SCATTER else 0.0,
        )
        own = Phase(src=src[:0], dst=dst[:0], copied=1 / groups.shape[1])
        return [copied, *there_and_back(kind, stages), own]


def neighbours_on(groups: Endpoints, shape: tuple[int, ...], *, both_ways: bool) -> tuple[Endpoints, Endpoints]:
    """Sources and destinations of messages from every member of a grid to the next along each axis, round the end.

    Args:
        groups: Endpoints of shape (groups, members).
        shape: Grid of the members, in C order.
        both_ways: Whether members send to the one before, too.
    """
    grid = groups.reshape(len(groups), *shape)
    src, dst = [], []
    for axis in range(1, grid.ndim):
        for way in (-1, 1) if both_ways else (-1,):
            src.append(grid.ravel())
            dst.append(np.roll(grid, way, axis=axis).ravel())
    return np.concatenate(src), np.concatenate(dst)
