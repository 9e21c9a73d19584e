"""What a run tells about itself while it goes on."""

from dataclasses import dataclass
from pathlib import Path

from fujimi_core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A training run begins.

    Args:
        job: What is trained.
        ranks: On how many ranks.
        first_step: Steps that an earlier run has done already.
        device: Name of the device of rank 0.
        peak_flops_per_s: What that device was measured to reach, all ranks of the node at work.
    """

    job: Job
    ranks: int
    first_step: int
    device: str
    peak_flops_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """An optimizer step is done.

    Args:
        step: Its number, from 1.
        loss: Mean over all ranks.
        step_s: Wall time.
        samples_per_s: Of all ranks together.
        fraction_of_peak: Arithmetic done a second over what the devices were measured to reach.
        learning_rate: Used in this step.
    """

    step: int
    loss: float
    step_s: float
    samples_per_s: float
    fraction_of_peak: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRejected:
    """A step was bad, and its update was not applied.

    Args:
        step: Its number, from 1.
        reason: What was wrong, and what was done.
    """

    step: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """A checkpoint is on disk, whole."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The last step is done."""

    steps: int
    seconds: float
    final_loss: float
