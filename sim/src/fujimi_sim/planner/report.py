"""What a search for the best plan found."""

from dataclasses import dataclass
from enum import StrEnum

from fujimi_core.job import ParallelSpec

from fujimi_sim.simulation import Cost, Point


class Objective(StrEnum):
    """What is to be small, for each sample that is trained on."""

    TIME = "time"
    ENERGY = "energy"
    NODE_HOURS = "node-hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and what is known of it.

    Args:
        rank: Among all layouts that fit, each with its best ZeRO, recomputation, offload and order of axes.
        nodes: That it uses.
        parallel: The plan.
        is_own: Whether the job file has it.
        estimated_s: Of a step, by arithmetic.
        point: The step, simulated.
        cost: What is to be small: seconds, joules or node-hours a sample.
        power_state: In which a step takes least energy, if that is to be small; else empty.
        why: What takes longer than in the best plan; empty for that.
    """

    rank: int
    nodes: int
    parallel: ParallelSpec
    is_own: bool
    estimated_s: float
    point: Point
    cost: float
    power_state: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many plans there were; those that differ in the order of axes only are several.

    Args:
        looked_at: All.
        refused: Of them, those that do not go together with the job, its network or the machine.
        too_large: Of the others, those that do not fit into memory.
        layouts: Of those that fit, how many differ in axes, schedule, virtual stages or microbatch.
        estimated: Plans whose communication was looked at; others could not have been good enough.
        simulated: Plans that were captured and replayed.
    """

    looked_at: int
    refused: int
    too_large: int
    layouts: int
    estimated: int
    simulated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """The best plans of a job on a machine.

    Args:
        machine: Name.
        job: Name.
        nodes: That may be used.
        objective: What is to be small.
        counts: How many plans there were.
        best: Simulated, the best first.
        own: That of the job file; None if it does not go together with these nodes.
        own_refused: Why it does not; empty if it does.
        own_axes: The best plan with as many ranks along each axis; None if none fits, or seems better.
        simulation: What it took to find out.
    """

    machine: str
    job: str
    nodes: int
    objective: Objective
    counts: Counts
    best: tuple[Planned, ...]
    own: Planned | None
    own_refused: str
    own_axes: Planned | None
    simulation: Cost
