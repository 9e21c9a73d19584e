"""Plan: how the ranks of a job share its work, as numbers."""

import math
from dataclasses import dataclass

from fujimi_core.errors import JobError
from fujimi_core.job import Job
from fujimi_core.mesh import Mesh


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who works on what in one step.

    Args:
        mesh: All ranks, over the axes ``pp`` (pipeline), ``dp`` (data), ``sp`` (sequence) and ``tp`` (tensor).
        batch: Samples a step of each group of ranks with different data.
        microbatch: Samples that go through the network at once.
        accumulate: Passes over the network before an update.
        virtual_stages: Stages of each pipeline rank.
    """

    mesh: Mesh
    batch: int
    microbatch: int
    accumulate: int
    virtual_stages: int

    def extent(self, axis: str) -> int:
        """Ranks along an axis."""
        return self.mesh.shape[self.mesh.index(axis)]

    @property
    def microbatches(self) -> int:
        """Microbatches of each pass."""
        return self.batch // self.accumulate // self.microbatch

    @property
    def global_batch(self) -> int:
        """Samples of all ranks together a step."""
        return self.batch * self.extent("dp")

    @property
    def stages(self) -> int:
        """Stages of the whole pipeline."""
        return self.extent("pp") * self.virtual_stages

    def stages_of(self, pipeline_rank: int) -> tuple[int, ...]:
        """Stages of one pipeline rank: dealt out in turn.

        >>> Plan(mesh=Mesh.of(pp=2), batch=4, microbatch=1, accumulate=1, virtual_stages=2).stages_of(1)
        (1, 3)
        """
        return tuple(range(pipeline_rank, self.stages, self.extent("pp")))


def plan_of(job: Job, ranks: int) -> Plan:
    """Lay a job out over so many ranks.

    Raises:
        JobError: If ranks, batch and plan do not go together; says what would.
    """
    spec = job.parallel
    if ranks < 1:
        raise JobError(f"a job runs on at least one rank, not on {ranks}")
    extents = {"pp": spec.pipeline, "dp": _data(job, ranks), "sp": spec.sequence, "tp": spec.tensor}
    batch = job.batch_on(extents["dp"])
    microbatch = _microbatch(job, batch)
    plan = Plan(
        mesh=Mesh.of(**{axis: extents[axis] for axis in spec.placement}),
        batch=batch,
        microbatch=microbatch,
        accumulate=spec.accumulate,
        virtual_stages=spec.virtual_stages,
    )
    _require_rounds(job, plan)
    return plan


def deal_blocks(blocks: int, stages: int, stage: int) -> range:
    """Blocks of one stage: consecutive, nearly equal; the first and the last stage have less where it does not divide.

    The first makes tokens and the last logits besides.

    >>> [list(deal_blocks(6, 4, stage)) for stage in range(4)]
    [[0], [1, 2], [3, 4], [5]]

    Raises:
        ValueError: If a stage would have none.
    """
    if not 1 <= stages <= blocks:
        raise ValueError(f"{blocks} blocks do not fill {stages} stages; the nearest that works: {blocks} stages")
    each, more = divmod(blocks, stages)
    first_longer = (stages - more + 1) // 2
    sizes = [each + (first_longer <= number < first_longer + more) for number in range(stages)]
    start = sum(sizes[:stage])
    return range(start, start + sizes[stage])


def _data(job: Job, ranks: int) -> int:
    spec = job.parallel
    others = spec.tensor * spec.pipeline * spec.sequence
    data = ranks // others if spec.data is None else spec.data
    if data * others != ranks:
        layout = f"tensor {spec.tensor} x pipeline {spec.pipeline} x sequence {spec.sequence}"
        if spec.data is not None:
            raise JobError(
                f"job {job.name!r}: parallel.data {spec.data} x {layout} are {data * others:,} ranks, not {ranks:,}; "
                "start as many, or leave parallel.data out"
            )
        nearest = max(1, round(ranks / others)) * others
        raise JobError(
            f"job {job.name!r}: {ranks:,} ranks are no multiple of {layout}; the nearest that works: {nearest:,} ranks"
        )
    return data


def _microbatch(job: Job, batch: int) -> int:
    spec = job.parallel
    if batch % spec.accumulate:
        raise JobError(
            f"job {job.name!r}: a batch of {batch} samples does not divide into parallel.accumulate = "
            f"{spec.accumulate} passes; the nearest that works: accumulate = {_divisor(batch, spec.accumulate)}"
        )
    in_a_pass = batch // spec.accumulate
    microbatch = spec.microbatch
    if microbatch is None:
        stages = spec.pipeline * spec.virtual_stages
        microbatch = in_a_pass if spec.pipeline == 1 else math.gcd(in_a_pass, max(1, in_a_pass // stages))
    if in_a_pass % microbatch:
        raise JobError(
            f"job {job.name!r}: {in_a_pass} samples a pass do not divide into microbatches of {microbatch}; "
            f"the nearest that works: microbatch = {_divisor(in_a_pass, microbatch)}"
        )
    return microbatch


def _require_rounds(job: Job, plan: Plan) -> None:
    """Refuse microbatches that do not go through interleaved stages in whole rounds."""
    ranks = plan.extent("pp")
    if plan.virtual_stages > 1 and plan.microbatches % ranks:
        nearest = max(1, plan.microbatches // ranks) * ranks * plan.microbatch * plan.accumulate
        raise JobError(
            f"job {job.name!r}: interleaved stages want microbatches in multiples of the {ranks} pipeline ranks, not "
            f"{plan.microbatches}; the nearest that works: a batch of {nearest} samples, or virtual_stages = 1"
        )


def _divisor(number: int, near: int) -> int:
    """The divisor of a number that is nearest to another one; of two, the smaller.

    >>> _divisor(8, 3), _divisor(8, 6), _divisor(8, 100)
    (2, 4, 8)
    """
    gaps = range(max(number, near))
    return next(found for gap in gaps for found in (near - gap, near + gap) if found > 0 and number % found == 0)
