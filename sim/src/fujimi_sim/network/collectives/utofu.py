"""Collectives over grids by one-sided puts on several interfaces, as the Bine library for uTofu runs them.

All of them follow `bine.partners`: in each step of a lane everybody exchanges with one partner. Lanes are threads with
an interface and a part of the buffer of their own. Addresses of buffers are told by MPI messages before.

Source:
    De Sensi et al., Bine Trees, SC25, and the structure of its implementation for Fugaku (HLC-Lab/bine_trees_fugaku).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind
from numpy.typing import NDArray

from fujimi_sim.network.collectives.bine import lanes_of, partners
from fujimi_sim.network.collectives.members import in_fresh, is_power_of_two, powers, with_segment
from fujimi_sim.network.collectives.whole_job import on_the_job

#: Longest put of uTofu: longer messages are cut.
LONGEST_PUT_BYTES = 16_777_215
#: Two addresses of 8 bytes for each lane.
ADDRESS_BYTES = 16
NOBODY = np.array([], np.int64)

Pairs = list[tuple[Endpoints, Endpoints]]
#: Partner of each member, by lane and step.
Steps = list[list[NDArray[np.int64]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Puts:
    """What the algorithms of this module have in common.

    Args:
        bine: Distances of Bine trees; binary ones if not.
        lanes: Threads, each with an interface.
        segment_bytes: Longest piece that is added up or passed on by itself; the longest put if None.
        over_mpi: Whether MPI messages carry everything instead of puts.
    """

    bine: bool = True
    lanes: int = 1
    segment_bytes: int | None = None
    over_mpi: bool = False
    automatic: bool = False

    @property
    def transport(self) -> str:
        """Puts, or MPI."""
        return "mpi" if self.over_mpi else "utofu"

    def _named(self, what: str) -> str:
        family = "bine" if self.bine else "doubling"
        return with_segment(f"{family}_{what}{'_mpi' if self.over_mpi else ''}_x{self.lanes}", self.segment_bytes)

    @property
    def _piece_bytes(self) -> int | None:
        return self.segment_bytes or (None if self.over_mpi else LONGEST_PUT_BYTES)

    def _steps(self, groups: Endpoints, topology: Topology) -> tuple[Endpoints, Steps] | None:
        """Members in the order of their grid, and the partner of each in each step of each lane.

        None if the extents of the grid are no powers of two.
        """
        groups, shape = on_the_job(groups, topology)
        if groups.shape[1] < 2:
            return None
        found = [partners(shape, lane, bine=self.bine) for lane in lanes_of(self.lanes, len(shape))]
        return None if found[0] is None else (groups, [lane for lane in found if lane is not None])

    def _exchanges(self, groups: Endpoints, steps: Steps) -> Pairs:
        """Senders and receivers of each step, all lanes together."""
        pairs = []
        for step in range(len(steps[0])):
            src = np.tile(groups, (1, self.lanes)).ravel()
            dst = np.concatenate([groups[:, lane[step]] for lane in steps], axis=1).ravel()
            pairs.append((src, dst))
        return pairs

    def _allocating(self, phases: list[Phase], *, buffers: float = 1.0) -> list[Phase]:
        """The same phases; over MPI buffers are allocated in each call, puts use one that was registered before."""
        return in_fresh(phases, buffers) if self.over_mpi else phases

    def _tell_partners(self, groups: Endpoints, steps: Steps) -> list[Phase]:
        """Everybody tells its partners of the first lane, and of the first mirrored one, where its buffers are."""
        if self.over_mpi:
            return []
        axes = len(steps[0]) and len({tuple(lane[0]) for lane in steps})
        told = [steps[0], *steps[axes // 2 : axes // 2 + 1]] if self.lanes > 3 else [steps[0]]
        phases = []
        for lane in told:
            src = np.tile(groups, (1, len(lane))).ravel()
            dst = np.concatenate([groups[:, step] for step in lane], axis=1).ravel()
            phases.append(_fixed(src, dst, self.lanes * ADDRESS_BYTES))
        return phases

    def _tell_everybody(self, groups: Endpoints) -> list[Phase]:
        """All-gather of addresses by recursive doubling."""
        members = groups.shape[1]
        everyone = np.arange(members)
        if self.over_mpi or not is_power_of_two(members):
            return []
        return [
            _fixed(groups.ravel(), groups[:, everyone ^ distance].ravel(), distance * self.lanes * ADDRESS_BYTES)
            for distance in powers(members)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeExchange(Puts):
    """All-reduce in which partners exchange and add up all they have: fewest steps, most bytes."""

    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE})

    @property
    def name(self) -> str:
        """Family, lanes."""
        return self._named("whole")

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases for powers of two."""
        found = self._steps(groups, topology)
        if found is None:
            return None
        groups, steps = found
        return [
            Phase(src=src, dst=dst, share=1 / self.lanes, reduces=True, lanes=self.lanes, announced=not self.over_mpi)
            for src, dst in self._exchanges(groups, steps)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving(Puts):
    """Reduce-scatter by halving parts of the buffer, all-gather by doubling them, both for an all-reduce.

    Blocks are kept in an order in which each message is one stretch of memory. A lone reduce-scatter copies them into
    that order first, a lone all-gather out of it at the end; in an all-reduce the two cancel out.
    """

    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER}
    )

    @property
    def name(self) -> str:
        """Family, segment, lanes."""
        return self._named("halving")

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases for powers of two."""
        found = self._steps(groups, topology)
        if found is None:
            return None
        groups, steps = found
        exchanges, members = self._exchanges(groups, steps), groups.shape[1]
        if kind is CollectiveKind.REDUCE_SCATTER:
            # The longest part that comes in is half of the buffer.
            in_order = _copy(1.0, self.lanes, blocks=members)
            return self._allocating([in_order, *self._scatter(exchanges)], buffers=0.5)
        if kind is CollectiveKind.ALL_GATHER:
            own = _copy(1 / members, self.lanes)
            in_place = _copy(1.0, self.lanes, blocks=members)
            return self._allocating([own, *self._gather(exchanges), in_place], buffers=0.5)
        told = self._tell_partners(groups, steps)
        # Threads that allocate memory at the same time wait for each other.
        plans = self.lanes if self.lanes == 1 else 2 * self.lanes
        halves = self._scatter(exchanges, piece_bytes=self._piece_bytes, plans=plans)
        return [*told, *halves, *self._gather(exchanges, plans=plans)]

    def _scatter(self, exchanges: Pairs, *, piece_bytes: int | None = None, plans: int = 0) -> list[Phase]:
        return [
            Phase(
                src=src,
                dst=dst,
                share=0.5 ** (step + 1) / self.lanes,
                reduces=True,
                segment_bytes=piece_bytes,
                lanes=self.lanes,
                plans=plans,
            )
            for step, (src, dst) in enumerate(exchanges)
        ]

    def _gather(self, exchanges: Pairs, *, plans: int = 0) -> list[Phase]:
        shares = [(0.5 ** (step + 1) / self.lanes, pair) for step, pair in enumerate(exchanges)]
        return [
            Phase(src=src, dst=dst, share=share, lanes=self.lanes, plans=plans) for share, (src, dst) in shares[::-1]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree(Puts):
    """Trees from the first member over the partners of each step.

    Broadcasts pass the whole buffer down, reduces up; gathers and scatters the part of everybody below. A lane is one
    tree for its part of the buffer, save in a reduce, which takes one lane after the other.

    Args:
        nearest_first: Whether the first step of a gather, and the last of a scatter, is the one of shortest distance.
        buffered: Whether a broadcast puts into a buffer that needs no address told and copies from there at the end.
    """

    nearest_first: bool = True
    buffered: bool = False
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.BROADCAST, CollectiveKind.REDUCE, CollectiveKind.GATHER, CollectiveKind.SCATTER}
    )

    @property
    def name(self) -> str:
        """Family, direction, segment, lanes."""
        return self._named("tree" + ("_buffered" if self.buffered else "" if self.nearest_first else "_far"))

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases for powers of two."""
        found = self._steps(groups, topology)
        if found is None:
            return None
        groups, steps = found
        down = self._levels(groups, steps, nearest_first=self.nearest_first)
        if kind is CollectiveKind.GATHER:
            return self._allocating([*self._parts(down, up=True), _copy(1.0, self.lanes, blocks=groups.shape[1])])
        if kind is CollectiveKind.SCATTER:
            in_order = _copy(1.0, self.lanes, blocks=groups.shape[1])
            return self._allocating([in_order, *self._parts(down)], buffers=0.5)
        if kind is CollectiveKind.REDUCE:
            return self._allocating(self._reduce(self._levels(groups, steps[:1])), buffers=3.0)
        whole = [
            Phase(src=src, dst=dst, share=1 / self.lanes, segment_bytes=self.segment_bytes, lanes=self.lanes)
            for src, dst in down
        ]
        return [*whole, _copy(1.0)] if self.buffered else [*self._tell_everybody(groups), *whole]

    def _reduce(self, down: Pairs) -> list[Phase]:
        return [
            Phase(
                src=dst,
                dst=src,
                share=1 / self.lanes,
                repeats=self.lanes,
                reduces=True,
                segment_bytes=self._piece_bytes,
                # Each piece is not only received, but also added up, and sent on by most.
                extra_operations=2,
                announced=not self.over_mpi,
            )
            for src, dst in reversed(down)
        ]

    def _parts(self, down: Pairs, *, up: bool = False) -> list[Phase]:
        """Messages that carry the part of everybody below: half of the buffer at the root, less with each level."""
        levels = [(0.5 ** (level + 1) / self.lanes, pair) for level, pair in enumerate(down)]
        if up:
            levels = [(share, (dst, src)) for share, (src, dst) in reversed(levels)]
        return [Phase(src=src, dst=dst, share=share, lanes=self.lanes) for share, (src, dst) in levels]

    def _levels(self, groups: Endpoints, steps: Steps, *, nearest_first: bool = False) -> Pairs:
        """Parents and children in the order in which a message goes down."""
        pairs = []
        order = range(len(steps[0]))
        reached = [np.zeros(1, np.int64) for _ in steps]
        for step in reversed(order) if nearest_first else order:
            children = [lane[step][have] for lane, have in zip(steps, reached, strict=True)]
            src = np.concatenate([groups[:, have] for have in reached], axis=1).ravel()
            dst = np.concatenate([groups[:, have] for have in children], axis=1).ravel()
            pairs.append((src, dst))
            reached = [np.concatenate([have, new]) for have, new in zip(reached, children, strict=True)]
        return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTrees(Tree):
    """Broadcast as a scatter and an all-gather; reduce as a reduce-scatter and a gather."""

    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.BROADCAST, CollectiveKind.REDUCE})

    @property
    def name(self) -> str:
        """Family, lanes."""
        return self._named("two_trees")

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases for powers of two."""
        found = self._steps(groups, topology)
        if found is None:
            return None
        groups, steps = found
        down = self._levels(groups, steps)
        halving = Halving(bine=self.bine, lanes=self.lanes, over_mpi=self.over_mpi)
        exchanges = self._exchanges(groups, steps)
        told = self._tell_everybody(groups)
        if kind is CollectiveKind.BROADCAST:
            return [*told, *self._parts(down), *halving._gather(exchanges)]
        return self._allocating([*told, *halving._scatter(exchanges), *self._parts(down, up=True)], buffers=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding(Puts):
    """All-to-all in which half of the buffer goes to a partner in each step, with what others are to have.

    What comes in and what stays is copied in each step, and everything once before and once after.
    """

    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_TO_ALL})

    @property
    def name(self) -> str:
        """Family, lanes."""
        return self._named("forwarding")

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases for powers of two."""
        found = self._steps(groups, topology)
        if found is None:
            return None
        groups, steps = found
        exchanges = [
            Phase(src=src, dst=dst, share=0.5 / self.lanes, copied=1.0, lanes=self.lanes, announced=not self.over_mpi)
            for src, dst in self._exchanges(groups, steps)
        ]
        return [_copy(1.0), *exchanges, _copy(1.0)]


def _fixed(src: Endpoints, dst: Endpoints, nbytes: float) -> Phase:
    """MPI messages that do not depend on the buffer."""
    return Phase(src=src, dst=dst, share=0.0, fixed_bytes=nbytes, transport="mpi")


def _copy(share: float, lanes: int = 1, *, blocks: int = 0) -> Phase:
    """A copy of part of the buffer in everybody's memory, block by block where lanes have worked out an order."""
    return Phase(src=NOBODY, dst=NOBODY, copied=share, lanes=lanes, blocks=blocks * lanes, plans=lanes if blocks else 0)
