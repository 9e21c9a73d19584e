"""All plans of a job with a bound below what each costs, and those that do not fit left out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fujimi_core.errors import JobError
from fujimi_core.job import Job

from fujimi_sim.planner.estimate import Setting, memory_bytes, step_s
from fujimi_sim.planner.pieces import Captures
from fujimi_sim.planner.space import (
    Candidate,
    Layout,
    Rhythm,
    Size,
    is_refused,
    layouts,
    placements,
    rhythms,
    tensor_extents,
    thrifts,
)
from fujimi_sim.planner.traffic import Silence

#: Estimates of memory may be off by so much: what is a little too large is left to the simulation.
_DOUBT = 1.1

#: Seconds a step of a layout to what is to be small.
Cost = Callable[[Layout, float], float]


@dataclass(slots=True, kw_only=True)
class Bounds:
    """Plans that were looked at; those that differ in the order of axes only are several.

    Args:
        fitting: A bound below the cost, the plan, and the batch of a data-parallel rank, the lowest bound first.
        looked_at: How many there were.
        refused: Of them, those that do not go together with the job or its network.
        too_large: Of the others, those that do not fit.
        leanest_bytes: What the plan needs that needs least.
        layouts: Layouts and rhythms of those that fit.
    """

    fitting: list[tuple[float, Candidate, int]] = field(default_factory=list)
    looked_at: int = 0
    refused: int = 0
    too_large: int = 0
    leanest_bytes: float = float("inf")
    layouts: set[tuple[Layout, Rhythm]] = field(default_factory=set)


def bounds_of(job: Job, size: Size, setting: Setting, captures: Captures, *, cost: Cost) -> Bounds:
    """Look at all plans.

    Args:
        job: What is trained.
        size: What bounds its plans.
        setting: Of which network on which device.
        captures: Tell which ranks can share a layer.
        cost: What is to be small.
    """
    found, silence = Bounds(), Silence()
    for tensor in _tensors(captures, size, found):
        for candidate, batch, orders in _candidates(job, size, tensor, found):
            nbytes = memory_bytes(candidate, setting, batch=batch)
            found.leanest_bytes = min(found.leanest_bytes, nbytes)
            if nbytes > _DOUBT * setting.device.memory_bytes:
                found.too_large += orders
                continue
            found.layouts.add(candidate[:2])
            seconds = step_s(candidate, setting, silence, batch=batch)
            found.fitting.append((cost(candidate.layout, seconds), candidate, batch))
    found.fitting.sort(key=lambda each: each[0])
    return found


def _tensors(captures: Captures, size: Size, found: Bounds) -> Iterator[int]:
    """How many ranks can share a layer; if a number of them cannot, nor can its multiples."""
    refused: list[int] = []
    for number in tensor_extents(size.ranks // size.sequence):
        if any(number % each == 0 for each in refused):
            continue
        try:
            captures.once(number)
        except JobError:
            refused.append(number)
            found.looked_at += 1
            found.refused += 1
        else:
            yield number


def _candidates(job: Job, size: Size, tensor: int, found: Bounds) -> Iterator[tuple[Candidate, int, int]]:
    """Plans, the batch of a data-parallel rank, and how many orders of axes there are."""
    for layout in layouts(job, size, tensor=tensor):
        batch, orders = job.batch_on(layout.data), len(placements(layout))
        for rhythm in rhythms(layout, size, batch=batch):
            ways = thrifts(layout, rhythm, size)
            found.looked_at += orders * len(ways)
            if is_refused(layout, rhythm, batch=batch):
                found.refused += orders * len(ways)
                continue
            for thrift in ways:
                yield Candidate(layout, rhythm, thrift), batch, orders
