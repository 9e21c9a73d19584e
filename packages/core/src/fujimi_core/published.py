"""Published training runs: a job, where it ran, and how long a step took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fujimi_core.checks import above_zero
from fujimi_core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRun:
    """One measured row of a table.

    Args:
        name: Of the row, for reports.
        job: What was trained, in the words of this project.
        machine: Name of the machine.
        nodes: That took part.
        devices: Of each node; None if all that it has.
        step_s: Measured time of a step.
        fitted: Whether parameters of the machine were fitted to it, so that it proves nothing.
    """

    name: str
    job: Job
    machine: str
    nodes: int
    devices: int | None = None
    step_s: float
    fitted: bool = False

    def __post_init__(self) -> None:
        above_zero(self, "nodes", "step_s", *(("devices",) if self.devices is not None else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRuns:
    """A table of runs.

    Args:
        name: Short, for reports.
        source: Who measured, and where it was published.
        goal: Mean absolute error that simulations of it are to have at most, 0 to 1.
        runs: Makes the rows.
    """

    name: str
    source: str
    goal: float
    runs: Callable[[], Sequence[PublishedRun]]
