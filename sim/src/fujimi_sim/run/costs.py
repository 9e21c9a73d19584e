"""What the parts of a run take on a machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Times of a run's parts; those that a machine does not tell are 0.

    Args:
        even_step_s: A step on nodes of equal speed.
        compute_s: Part of it that its busiest rank computes: this grows when the run shrinks.
        read_s: To read the samples of a step, ahead of it.
        copy_s: For which a checkpoint stops training.
        write_s: From then until the checkpoint is whole.
        restore_s: To read a checkpoint.
        stage_s: To copy the data to all nodes.
        stage_one_s: To copy it to one more node.
        launch_s: Least and most time to start processes.
        start_s: Of the program, until it trains.
    """

    even_step_s: float
    compute_s: float
    read_s: float = 0.0
    copy_s: float = 0.0
    write_s: float = 0.0
    restore_s: float = 0.0
    stage_s: float = 0.0
    stage_one_s: float = 0.0
    launch_s: tuple[float, float] = (0.0, 0.0)
    start_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """A step, by why it takes its time.

    Args:
        even_s: On nodes of equal speed.
        stragglers_s: It waits for the slowest node.
        reading_s: It waits for its samples.
    """

    even_s: float
    stragglers_s: float
    reading_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.even_s + self.stragglers_s + self.reading_s


def step_time(costs: Costs, *, delay_s: float, groups: int, groups_left: int) -> StepTime:
    """How long a step takes on the nodes that there are.

    Args:
        costs: Of the run as it was planned.
        delay_s: Of its slowest node.
        groups: Of ranks with different samples, as planned.
        groups_left: That share the samples now.
    """
    even_s = costs.even_step_s + costs.compute_s * (groups / groups_left - 1)
    return StepTime(even_s=even_s, stragglers_s=delay_s, reading_s=max(0.0, costs.read_s - even_s - delay_s))
