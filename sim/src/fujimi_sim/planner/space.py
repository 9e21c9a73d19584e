"""All plans that a job could have on a number of ranks."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from fujimi_core.job import AXES, Job, Offload, Recompute, Schedule

#: What the backward pass computes again, as a job has it.
Recomputing: TypeAlias = Recompute | tuple[int, ...]

#: More ranks than this do not share a layer.
_MOST_TENSOR = 64
#: Stages of each pipeline rank, at most.
_MOST_VIRTUAL = 8


class Layout(NamedTuple):
    """How many ranks there are along each axis; one group of ranks holds a copy of the network."""

    tensor: int
    pipeline: int
    sequence: int
    data: int

    @property
    def ranks(self) -> int:
        """All of them."""
        return self.tensor * self.pipeline * self.sequence * self.data

    @property
    def extents(self) -> dict[str, int]:
        """Ranks along each axis of a mesh."""
        return {"pp": self.pipeline, "dp": self.data, "sp": self.sequence, "tp": self.tensor}

    @property
    def replicas(self) -> int:
        """Ranks that hold the same parameters."""
        return self.data * self.sequence


class Rhythm(NamedTuple):
    """In which order a pipeline works on how many samples at once."""

    schedule: Schedule
    virtual_stages: int
    microbatch: int


class Thrift(NamedTuple):
    """What is done to need less memory."""

    zero: int
    recompute: Recomputing
    offload: Offload


class Candidate(NamedTuple):
    """A plan, but for the order of its axes."""

    layout: Layout
    rhythm: Rhythm
    thrift: Thrift


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What bounds the plans of a job.

    Args:
        ranks: Devices that may be used.
        devices: Of each node; nodes are used whole.
        depth: Blocks of the network.
        sequence: Ranks that share the tokens of a sample; as the job has it.
        fewer: Whether it pays to use fewer ranks than there are, because ranks cost something.
        offloads: Whether anything can be offloaded.
    """

    ranks: int
    devices: int
    depth: int
    sequence: int
    fewer: bool
    offloads: bool


def tensor_extents(ranks: int) -> range:
    """How many ranks may share a layer."""
    return range(1, min(_MOST_TENSOR, ranks) + 1)


def layouts(job: Job, size: Size, *, tensor: int) -> Iterator[Layout]:
    """Layouts whose layers so many ranks share, with as many data-parallel ranks as can be used; or with fewer too.

    Args:
        job: Its batch has to be dealt out evenly.
        size: Of the job and the machine's part.
        tensor: Ranks that share a layer.
    """
    for pipeline in range(1, size.depth + 1):
        copy = tensor * pipeline * size.sequence
        most = size.ranks // copy
        extents = _data_extents(job, most, step=size.devices // math.gcd(copy, size.devices))
        for data in extents if size.fewer else extents[-1:]:
            yield Layout(tensor, pipeline, size.sequence, data)


def _data_extents(job: Job, most: int, *, step: int) -> list[int]:
    batch = job.train.global_batch
    return [data for data in range(step, most + 1, step) if batch is None or batch % data == 0]


def rhythms(layout: Layout, size: Size, *, batch: int) -> Iterator[Rhythm]:
    """Ways to work on a batch.

    Args:
        layout: Of the ranks.
        size: Of the network.
        batch: Samples a step of each data-parallel rank.
    """
    for microbatch in divisors(batch):
        if layout.pipeline == 1:
            yield Rhythm(Schedule.ONE_F_ONE_B, 1, microbatch)
            continue
        yield from (Rhythm(schedule, 1, microbatch) for schedule in _PLAIN)
        most = min(_MOST_VIRTUAL, size.depth // layout.pipeline)
        for virtual, schedule in itertools.product(range(2, most + 1), _LOOPED):
            yield Rhythm(schedule, virtual, microbatch)


def is_refused(layout: Layout, rhythm: Rhythm, *, batch: int) -> bool:
    """Whether microbatches do not go through interleaved stages in whole rounds."""
    return rhythm.virtual_stages > 1 and (batch // rhythm.microbatch) % layout.pipeline != 0


_PLAIN = (Schedule.ONE_F_ONE_B, Schedule.GPIPE, Schedule.ZERO_BUBBLE)
_LOOPED = (Schedule.INTERLEAVED, Schedule.ZERO_BUBBLE)


def thrifts(layout: Layout, rhythm: Rhythm, size: Size) -> list[Thrift]:
    """Ways to need less memory, without those that come to the same, or defeat each other.

    What selective recomputation keeps, and what a zero-bubble schedule keeps for later, is not offloaded.

    Besides all blocks, the first half of them can be computed again: in a pipeline those whose ranks hold most.
    """
    recomputing: list[Recomputing] = [Recompute.NONE, Recompute.SELECTIVE, Recompute.FULL]
    if layout.pipeline > 1:
        recomputing.append(tuple(range(size.depth // 2)))
    zeros = range(4) if layout.replicas > 1 else (0,)
    offloads = Offload if size.offloads else (Offload.NONE,)
    found = (Thrift(*each) for each in itertools.product(zeros, recomputing, offloads))
    return [each for each in found if each.offload in _STATE_ALONE or _lets_go(each, rhythm)]


_STATE_ALONE = (Offload.NONE, Offload.OPTIMIZER)


def _lets_go(thrift: Thrift, rhythm: Rhythm) -> bool:
    """Whether activations can leave until their backward pass."""
    return thrift.recompute is not Recompute.SELECTIVE and rhythm.schedule is not Schedule.ZERO_BUBBLE


def placements(layout: Layout) -> list[tuple[str, ...]]:
    """Orders of the axes, without those that differ in axes of a single rank; the usual one first."""
    extents = layout.extents
    moved = [axis for axis in AXES if extents[axis] > 1]
    still = [axis for axis in AXES if extents[axis] == 1]
    return [(*still, *order) for order in itertools.permutations(moved)]


def divisors(number: int) -> list[int]:
    """All numbers that divide another one.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    low = [each for each in range(1, math.isqrt(number) + 1) if number % each == 0]
    return low + [number // each for each in reversed(low) if each * each != number]


def job_of(job: Job, candidate: Candidate, placement: Sequence[str] = AXES) -> Job:
    """The job with another plan; what is not searched stays as it is."""
    layout, rhythm, thrift = candidate
    parallel = replace(
        job.parallel,
        data=layout.data,
        tensor=layout.tensor,
        pipeline=layout.pipeline,
        sequence=layout.sequence,
        schedule=rhythm.schedule,
        virtual_stages=rhythm.virtual_stages,
        microbatch=rhythm.microbatch,
        accumulate=1,
        zero=thrift.zero,
        recompute=thrift.recompute,
        offload=thrift.offload,
        placement=tuple(placement),
    )
    return replace(job, parallel=parallel)
