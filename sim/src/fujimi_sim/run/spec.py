"""What a run is asked to do, taken from the job."""

import math
from dataclasses import dataclass
from enum import StrEnum

from fujimi_core.checks import at_least
from fujimi_core.job import Job


class OnFailure(StrEnum):
    """What is done about a node that failed, when no spare is left."""

    #: All ranks start again on the same nodes, as the scripts of ``fujimi submit`` do.
    RESTART = "restart"
    #: Ranks that work on the same samples as those of the node are left out; others take over their samples.
    SHRINK = "shrink"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """A training run.

    Args:
        steps: Optimizer steps.
        samples_per_step: Of all ranks together.
        checkpoint_every: Steps between checkpoints; 0 for one at the end only.
        nodes: On which ranks work.
        spares: Nodes that the job holds besides, to take the place of those that fail.
        on_failure: What is done when no spare is left.
        groups: Groups of ranks with different samples; a run that shrinks loses those of a node.
        hang_limit_s: After which a rank that hangs is told of; 0 for never.
        warned_s: After so much of the scheduler's time a checkpoint is written and the job submitted again.
        restarts: How often ranks are started again before the job is submitted again; None for any number.
        wait_s: In the queue, for each submission but the first.
    """

    steps: int
    samples_per_step: int
    checkpoint_every: int
    nodes: int
    spares: int = 0
    on_failure: OnFailure = OnFailure.RESTART
    groups: int = 1
    hang_limit_s: float = 0.0
    warned_s: float = math.inf
    restarts: int | None = None
    wait_s: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "samples_per_step", "nodes", "groups")
        at_least(self, 0, "checkpoint_every", "spares", "hang_limit_s", "warned_s", "wait_s")

    @property
    def samples(self) -> int:
        """Of the whole run."""
        return self.steps * self.samples_per_step

    @property
    def groups_of_node(self) -> int:
        """Groups that end when a node does."""
        return math.ceil(self.groups / self.nodes)

    def nodes_of(self, groups: int) -> int:
        """Nodes on which so many groups work."""
        return math.ceil(self.nodes * groups / self.groups)


def spec_of(
    job: Job, nodes: int, *, samples_per_step: int, groups: int, spares: int, on_failure: OnFailure, wait_s: float
) -> RunSpec:
    """The run that a job file asks for: ``[train]``, and ``[submit]`` if there is one.

    Args:
        job: What to train.
        nodes: On which ranks work.
        samples_per_step: Of all ranks together.
        groups: Of ranks with different samples.
        spares: As in `RunSpec`, and so those that follow.
        on_failure: What is done when no spare is left.
        wait_s: In the queue.
    """
    submit = job.submit
    return RunSpec(
        steps=job.train.steps,
        samples_per_step=samples_per_step,
        checkpoint_every=job.train.checkpoint_every,
        nodes=nodes,
        spares=spares,
        on_failure=on_failure,
        groups=groups,
        hang_limit_s=job.train.hang_limit_s,
        warned_s=submit.time_limit_s - submit.warning_s if submit else math.inf,
        restarts=submit.restarts if submit else None,
        wait_s=wait_s,
    )
