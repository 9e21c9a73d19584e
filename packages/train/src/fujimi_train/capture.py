"""Capture of a job: its own step, run once for every role of a world of any size."""

from collections.abc import Iterable, Iterator

import torch
from fujimi_core.job import Job, Offload, Precision
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Model
from fujimi_core.plan import Plan, plan_of
from fujimi_core.workload import Memory, Role, Workload
from fujimi_parallel.capture.assembly import Assembled, assemble
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.pipeline import Rehearsal
from fujimi_parallel.world import DATA_AXIS

from fujimi_train.program import Program


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
    roles = tuple(_role(job, model, mesh, where) for where in roles_of(plan))
    return Workload(job=job.name, mesh=mesh, samples_per_step=plan.global_batch, roles=roles)


def roles_of(plan: Plan) -> Iterator[dict[str, tuple[int, int]]]:
    """Slices of the mesh whose ranks do the same: those of one stage and one place in the ring."""
    for stage in range(plan.extent("pp")):
        for place in range(plan.extent("sp")):
            at = {"pp": stage, "sp": place}
            yield {axis: (number, number + 1) for axis, number in at.items() if plan.extent(axis) > 1}


def _without_single(mesh: Mesh) -> Mesh:
    """The same ranks, without axes of one; data parallelism stays."""
    return Mesh(axes=tuple(axis for axis in mesh.axes if axis.extent > 1 or axis.name == DATA_AXIS))


def _role(job: Job, model: Model, mesh: Mesh, where: dict[str, tuple[int, int]]) -> Role:
    rank = int(mesh.slice(where)[0])
    with fake_world(mesh, rank=rank) as world, Recorder(mesh) as recorder:
        program = Program(job, model, world, device=torch.device("cpu"))
        samples, labels = _batch(job, program)
        program.update(0, torch.ones((), dtype=torch.float64))  # makes the optimizer's state
        recorder.restart()
        step = _step(program, recorder, samples, labels)
        memory = _memory(program, step.peak_bytes)
        name = _name(where, program.network.part_names())
        return Role(name=name, where=where, events=step.events, memory=memory)


def _step(program: Program, recorder: Recorder, samples: torch.Tensor | None, labels: torch.Tensor | None) -> Assembled:
    """One step; where microbatches are all alike, it is rehearsed with a few and put together."""
    if program.network.data.sums_each_pass:
        program.step(1, samples, labels)
        return Assembled(events=tuple(recorder.events), peak_bytes=recorder.memory.peak_bytes)
    rehearsal = Rehearsal(recorder.mark)
    program.network.rehearse(rehearsal)
    program.step(1, samples, labels)
    return assemble(recorder.events, recorder.marks, rehearsal.parts, peak_bytes=recorder.memory.peak_bytes)


def _batch(job: Job, program: Program) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Samples and labels of a rank, if it looks at them."""
    batch, data = program.plan.batch, job.data
    if data.sequence is not None:
        samples = torch.empty(batch, data.sequence, dtype=torch.int64)
        labels = torch.empty(batch, data.sequence, dtype=torch.int64)
    else:
        samples = torch.empty(batch, data.pixels, data.pixels, dtype=torch.uint8)
        labels = torch.empty(batch, dtype=torch.int64)
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


def _memory(program: Program, peak_bytes: int) -> Memory:
    data = program.network.data
    state = program.optimizer.state.values()
    moments = sum(tensor.nbytes for table in state for tensor in table.values() if isinstance(tensor, torch.Tensor))
    if program.job.parallel.offload in (Offload.OPTIMIZER, Offload.ALL):
        moments = 0
    kept = data.parameter_bytes + data.gradient_bytes + moments
    return Memory(
        peak_bytes=peak_bytes,
        parameter_bytes=data.parameter_bytes,
        gradient_bytes=data.gradient_bytes,
        optimizer_bytes=moments,
        activation_bytes=max(peak_bytes - kept, 0),
    )
