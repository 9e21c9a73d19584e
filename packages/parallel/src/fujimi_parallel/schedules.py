"""Orders in which a pipeline rank works on its stages and microbatches."""

from dataclasses import dataclass
from enum import StrEnum

from fujimi_core.job import Job, Schedule
from fujimi_core.plan import Plan


class Work(StrEnum):
    """What is done with a microbatch."""

    FORWARD = "forward"
    #: Gradients of inputs and parameters.
    BACKWARD = "backward"
    #: Gradients of inputs, and of what is not a linear layer.
    INPUTS = "inputs"
    #: Gradients of linear layers.
    WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class Action:
    """One piece of work."""

    work: Work
    stage: int
    microbatch: int


def actions_of(job: Job, plan: Plan, *, rank: int) -> tuple[Action, ...]:
    """What a pipeline rank of a job does in one pass, in order.

    Args:
        job: Whose schedule it is.
        plan: Of all ranks.
        rank: Along the pipeline.
    """
    return order(
        job.parallel.schedule if plan.extent("pp") > 1 else Schedule.ONE_F_ONE_B,
        rank=rank,
        ranks=plan.extent("pp"),
        virtual_stages=plan.virtual_stages,
        microbatches=plan.microbatches,
    )


def order(
    schedule: Schedule, *, rank: int, ranks: int, virtual_stages: int = 1, microbatches: int
) -> tuple[Action, ...]:
    """What one pipeline rank does, in order; stages are dealt to ranks in turn.

    >>> [f"{a.work[0]}{a.microbatch}" for a in order(Schedule.ONE_F_ONE_B, rank=0, ranks=2, microbatches=3)]
    ['f0', 'f1', 'b0', 'f2', 'b1', 'b2']

    Args:
        schedule: Which.
        rank: Along the pipeline.
        ranks: Of the pipeline.
        virtual_stages: Stages of each rank; more than 1 for schedules that interleave them.
        microbatches: In a pass; for interleaved and zero-bubble schedules a multiple of ``ranks``.

    Source:
        Huang et al., "GPipe", 2019; Narayanan et al., SC 2021, section 2.2; Qi et al., ICLR 2024, section 2.1 (ZB-H1).
    """
    if schedule is Schedule.GPIPE:
        works = (Work.FORWARD, Work.BACKWARD)
        return tuple(Action(work, rank, number) for work in works for number in range(microbatches))
    if schedule is Schedule.ONE_F_ONE_B:
        return _alternating(rank, ranks, 1, microbatches, ahead=min(ranks - rank - 1, microbatches))
    everything = microbatches * virtual_stages
    ahead = (virtual_stages - 1) * ranks + (ranks - rank - 1) * (1 if virtual_stages == 1 else 2)
    alternating = _alternating(rank, ranks, virtual_stages, microbatches, ahead=min(ahead, everything))
    return _halved(alternating, lag=rank) if schedule is Schedule.ZERO_BUBBLE else alternating


def _alternating(rank: int, ranks: int, virtual_stages: int, microbatches: int, *, ahead: int) -> tuple[Action, ...]:
    """Some microbatches forward, then one forward and one backward in turn, then the rest backward."""
    forward = _pieces(rank, ranks, virtual_stages, microbatches)
    last = virtual_stages - 1
    backward = [(rank + (last - (stage - rank) // ranks) * ranks, number) for stage, number in forward]
    actions = [Action(Work.FORWARD, *piece) for piece in forward[:ahead]]
    for piece, other in zip(forward[ahead:], backward, strict=False):
        actions += [Action(Work.FORWARD, *piece), Action(Work.BACKWARD, *other)]
    return tuple(actions + [Action(Work.BACKWARD, *piece) for piece in backward[len(forward) - ahead :]])


def _pieces(rank: int, ranks: int, virtual_stages: int, microbatches: int) -> list[tuple[int, int]]:
    """Stage and microbatch of each forward pass: as many microbatches as there are ranks through each stage in turn."""
    if virtual_stages == 1:
        return [(rank, number) for number in range(microbatches)]
    return [
        (rank + chunk * ranks, number)
        for first in range(0, microbatches, ranks)
        for chunk in range(virtual_stages)
        for number in range(first, first + ranks)
    ]


def _halved(actions: tuple[Action, ...], *, lag: int) -> tuple[Action, ...]:
    """Part backward passes in two, the second of which is done so many passes later."""
    halved: list[Action] = []
    left: list[Action] = []
    for action in actions:
        if action.work is not Work.BACKWARD:
            halved.append(action)
            continue
        halved.append(Action(Work.INPUTS, action.stage, action.microbatch))
        left.append(Action(Work.WEIGHTS, action.stage, action.microbatch))
        if len(left) > lag:
            halved.append(left.pop(0))
    return tuple(halved + left)
