"""Capture of a job: its own step, run once for every kind of role of a world of any size."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from fujimi_core.job import Job, Offload, Precision, recompute_of
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Model
from fujimi_core.plan import Plan, plan_of
from fujimi_core.workload import Event, Memory, Role, Workload
from fujimi_parallel.capture.assembly import Assembled, Mark, assemble
from fujimi_parallel.capture.compiler import compiler_left_out
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.likeness import likeness
from fujimi_parallel.capture.memory import Alive
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.capture.torch_repairs import initial_values_left_out
from fujimi_parallel.pipeline import parts_of
from fujimi_parallel.schedules import actions_of
from fujimi_parallel.stage import names_of_parts
from fujimi_parallel.world import DATA_AXIS
from torch import nn

from fujimi_train.program import Program

#: Slice of the mesh whose ranks do the same.
Where = dict[str, tuple[int, int]]


def capture(job: Job, model: Model, *, ranks: int) -> Workload:
    """Run one step of a job on so many ranks, without data, arithmetic or memory.

    Args:
        job: What to run; precision ``auto`` is taken as float32.
        model: Which network the job names.
        ranks: Size of the world.

    Raises:
        JobError: If the job's plan does not go together with the ranks or the network.
    """
    if job.parallel.precision is Precision.AUTO:
        job = job.with_precision(Precision.FLOAT32)
    plan = plan_of(job, ranks)
    mesh = _without_single(plan.mesh)
    parts_at = _parts(job, model, plan)
    recordings: dict[Hashable, _Recording] = {}
    roles = []
    for where in roles_of(plan):
        parts = parts_at(where)
        kind = _kind(job, plan, where, parts)
        if kind not in recordings:
            recordings[kind] = _record(job, model, mesh, where)
        step = recordings[kind].step(job, plan, pipeline_rank=_at("pp", where))
        memory = recordings[kind].memory_at(step.peak)
        name = _name(where, [name for stage in parts for name, _ in stage])
        roles.append(Role(name=name, where=where, events=step.events, memory=memory))
    return Workload(job=job.name, mesh=mesh, samples_per_step=plan.global_batch, roles=tuple(roles))


def roles_of(plan: Plan) -> Iterator[Where]:
    """Slices of the mesh whose ranks do the same: those of one stage and one place in the ring."""
    for stage in range(plan.extent("pp")):
        for place in range(plan.extent("sp")):
            at = {"pp": stage, "sp": place}
            yield {axis: (number, number + 1) for axis, number in at.items() if plan.extent(axis) > 1}


def _without_single(mesh: Mesh) -> Mesh:
    """The same ranks, without axes of one; data parallelism stays."""
    return Mesh(axes=tuple(axis for axis in mesh.axes if axis.extent > 1 or axis.name == DATA_AXIS))


def _at(axis: str, where: Where) -> int:
    return where.get(axis, (0, 1))[0]


#: Name and module of each part, by stage, of the ranks of a slice.
_Parts = Callable[[Where], list[list[tuple[str, nn.Module]]]]


def _parts(job: Job, model: Model, plan: Plan) -> _Parts:
    """Who tells of what parts of the network ranks hold."""
    if model.sharding is None:
        return lambda _: []
    sharding = model.sharding
    with compiler_left_out(), torch.device("meta"), initial_values_left_out():
        network: nn.Module = model.build(job)
    blocks = [name for name, _ in network.get_submodule(sharding.blocks).named_children()]

    def at(where: Where) -> list[list[tuple[str, nn.Module]]]:
        stages = plan.stages_of(_at("pp", where))
        names = [names_of_parts(blocks, sharding, number=number, stages=plan.stages) for number in stages]
        return [[(name, network.get_submodule(name)) for name in stage] for stage in names]

    return at


def _kind(job: Job, plan: Plan, where: Where, parts: list[list[tuple[str, nn.Module]]]) -> Hashable:
    """What ranks of two slices have in common only if they do each kind of microbatch alike."""
    stage, ranks = _at("pp", where), plan.extent("pp")
    if not _can_rehearse(job):
        return stage, _at("sp", where)
    held = tuple(tuple((_recomputed(job, name), likeness(part)) for name, part in each) for each in parts)
    return stage == 0, stage == ranks - 1, _at("sp", where), held


def _recomputed(job: Job, name: str) -> Hashable:
    number = name.rpartition(".")[2]
    return recompute_of(job.parallel.recompute, int(number)) if number.isdigit() else None


def _can_rehearse(job: Job) -> bool:
    """Whether what a rank does with one microbatch does not depend on the others: gradients stay until the last."""
    return job.parallel.zero < 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    """A step as it was recorded; where marks tell parts apart, each of them was done a few times only."""

    events: Sequence[Event]
    marks: Sequence[Mark]
    peak: Alive
    memory: Memory

    def step(self, job: Job, plan: Plan, *, pipeline_rank: int) -> Assembled:
        """The whole step of a rank."""
        if not self.marks:
            return Assembled(events=tuple(self.events), peak=self.peak)
        actions = actions_of(job, plan, rank=pipeline_rank)
        parts = parts_of(actions, ranks=plan.extent("pp"), passes=plan.accumulate)
        return assemble(self.events, self.marks, parts, peak=self.peak)

    def memory_at(self, peak: Alive) -> Memory:
        """Memory of a rank whose high-water mark is there."""
        kept = self.memory.parameter_bytes + self.memory.gradient_bytes + self.memory.optimizer_bytes
        others = peak.buffers + peak.workspace
        return replace(
            self.memory,
            peak_bytes=peak.total,
            activation_bytes=max(peak.total - kept - others, 0),
            buffer_bytes=peak.buffers,
            workspace_bytes=peak.workspace,
        )


def _record(job: Job, model: Model, mesh: Mesh, where: Where) -> _Recording:
    rank = int(mesh.slice(where)[0])
    with fake_world(mesh, rank=rank) as world, Recorder(mesh) as recorder:
        program = Program(job, model, world, device=torch.device("cpu"))
        samples, labels = _batch(job, program)
        program.update(0, torch.ones((), dtype=torch.float64))  # makes the optimizer's state
        recorder.restart()
        if _can_rehearse(job):
            program.network.rehearse(recorder.mark)
        program.step(1, samples, labels)
        return _Recording(
            events=tuple(recorder.events),
            marks=tuple(recorder.marks),
            peak=recorder.memory.peak,
            memory=_memory(program),
        )


def _batch(job: Job, program: Program) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Samples and labels of a rank, if it looks at them."""
    batch, data = program.plan.batch, job.data
    if data.sequence is not None:
        samples = torch.empty(batch, data.sequence, dtype=torch.int64)
        labels = torch.empty(batch, data.sequence, dtype=torch.int64)
    else:
        colours = (3,) if data.colour else ()
        samples = torch.empty(batch, *colours, data.pixels, data.pixels, dtype=torch.uint8)
        labels = torch.empty(batch, data.classes or 0) if data.mix else torch.empty(batch, dtype=torch.int64)
    network = program.network
    return samples if network.has_first else None, labels if network.has_last else None


def _name(where: dict[str, tuple[int, int]], parts: Iterable[str]) -> str:
    """Where a role is, and what of the network it has.

    >>> _name({"pp": (1, 2)}, ["blocks.2", "blocks.3", "head"])
    'pipeline rank 1: blocks.2-3, head'
    """
    names = {"pp": "pipeline rank", "sp": "sequence rank"}
    place = ", ".join(f"{names[axis]} {start}" for axis, (start, _) in where.items()) or "every rank"
    held = ", ".join(_joined(parts))
    return f"{place}: {held}" if held else place


def _joined(parts: Iterable[str]) -> list[str]:
    """Names with numbers that follow each other put together."""
    joined: list[str] = []
    last, first = -2, 0
    for part in parts:
        stem, _, digits = part.rpartition(".")
        number = int(digits) if digits.isdigit() else -1
        if number >= 0 and number == last + 1:
            joined[-1] = f"{stem}.{first}-{number}"
        else:
            joined.append(part)
            first = number
        last = number if number >= 0 else -2
    return joined


def _memory(program: Program) -> Memory:
    """What stays from step to step."""
    data = program.network.data
    state = program.optimizer.state.values()
    moments = sum(tensor.nbytes for table in state for tensor in table.values() if isinstance(tensor, torch.Tensor))
    is_elsewhere = program.job.parallel.offload in (Offload.OPTIMIZER, Offload.ALL)
    return Memory(
        parameter_bytes=data.parameter_bytes,
        gradient_bytes=data.gradient_bytes,
        optimizer_bytes=0 if is_elsewhere else moments,
    )
