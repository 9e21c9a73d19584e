"""What is told of a run: its time as a distribution, where it goes, node-hours, energy, checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a figure is distributed over the simulated runs."""

    mean: float
    p5: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Percentiles, between neighbours linearly."""
        p5, p50, p95 = np.percentile(values, [5, 50, 95])
        return cls(mean=float(np.mean(values)), p5=float(p5), p50=float(p50), p95=float(p95))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """A run in one power state.

    Args:
        name: Of the state.
        is_described: Whether it is that of the device described, in which all other figures are.
        time_s: From the first submission to the end, half of the runs need no more.
        energy_j: Mean over runs.
        busy_j: Part of it while nodes train.
        idle_j: The rest.
        step_j: Mean energy over steps.
        sample_j: Mean energy over samples.
    """

    name: str
    is_described: bool
    time_s: float
    energy_j: float
    busy_j: float
    idle_j: float
    step_j: float
    sample_j: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestInterval:
    """How far apart checkpoints should be.

    Args:
        young_s: Time between them by Young's formula.
        daly_s: By Daly's.
        every: Steps between them with which the simulated runs were shortest, on the average.
        simulated_s: The same in seconds.
        time_s: Mean time of those runs.
    """

    young_s: float
    daly_s: float
    every: int
    simulated_s: float
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointReport:
    """Checkpoints of a run.

    Args:
        nbytes: Of one.
        copy_s: For which training stops.
        write_s: From then until it is whole, beside the steps that follow.
        restore_s: To read it.
        every: Steps between them, as the job says; 0 for one at the end only.
        best: How far apart they should be; None if nothing fails.
    """

    nbytes: int
    copy_s: float
    write_s: float
    restore_s: float
    every: int
    best: BestInterval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingReport:
    """How long the samples of a step take to come, beside the step before.

    Args:
        dataset_bytes: Of all samples; of pictures not compressed.
        staged: Whether it is copied to the nodes first, which is what the job asks for in ``submit.stage``.
        stage_s: How long that takes.
        open_s: To find the shards.
        step_s: From shards.
        files_stage_s: To stage one file a sample.
        files_step_s: From one file a sample.
    """

    dataset_bytes: int
    staged: bool
    stage_s: float
    open_s: float
    step_s: float
    files_stage_s: float
    files_step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A run on a machine: a prediction.

    Args:
        machine: Name.
        job: Name.
        nodes: On which ranks work.
        spares: Held besides.
        runs: Simulated ones, each with its own nodes and failures.
        steps: Of a run.
        samples: Of a run.
        even_step_s: A step on nodes of equal speed.
        mtbf_s: Mean time between failures of the whole run; None if nothing fails.
        mtbf_source: From which document that of a node is.
        time_s: From the first submission to the end.
        parts_s: Where it goes, means over runs, which add up to its mean.
        failures: Of a run.
        submissions: Of a run.
        node_hours: Spares included.
        states: By power state; empty if the machine does not tell.
        checkpoint: As the job has them, and how they would be best.
        reading: None if the machine does not tell.
        left_out: What the machine or the job does not tell, and what is taken instead.
        memory_shortage: What does not fit into a device's memory, and what to try; empty if it fits.
    """

    machine: str
    job: str
    nodes: int
    spares: int
    runs: int
    steps: int
    samples: int
    even_step_s: float
    mtbf_s: float | None
    mtbf_source: str
    time_s: Spread
    parts_s: dict[str, float]
    failures: Spread
    submissions: Spread
    node_hours: Spread
    states: tuple[StateReport, ...]
    checkpoint: CheckpointReport
    reading: ReadingReport | None
    left_out: tuple[str, ...]
    memory_shortage: str = ""
