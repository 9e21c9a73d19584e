"""Capture of a job: its own step, run once for every role of a world of any size."""

import torch
from fujimi_core.job import Job, Precision
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Model
from fujimi_core.workload import Memory, Role, Workload
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.world import DATA_AXIS

from fujimi_train.program import Program

#: Optimizer state and gradient buckets appear during the first step; the second is like all that follow.
_WARMUP_STEPS = 1


def capture(job: Job, model: Model, *, ranks: int) -> Workload:
    """Run one step of a job on so many ranks, without data, arithmetic or memory.

    Args:
        job: What to run; precision ``auto`` is taken as float32.
        model: Which network the job names.
        ranks: Size of the world.

    Raises:
        JobError: If the job's batch does not divide into the ranks.
    """
    if job.train.precision is Precision.AUTO:
        job = job.with_precision(Precision.FLOAT32)
    batch = job.batch_on(ranks)
    mesh = Mesh.of(**{DATA_AXIS: ranks})
    with fake_world(mesh) as world, Recorder() as recorder:
        program = Program(job, model, world, device=torch.device("cpu"))
        for number in range(_WARMUP_STEPS + 1):
            recorder.restart()
            pictures_BHW = torch.empty(batch, job.data.pixels, job.data.pixels, dtype=torch.uint8)
            program.step(number, pictures_BHW, torch.empty(batch, dtype=torch.int64))
        memory = _memory(program, recorder.memory.peak_bytes)
        role = Role(name="data parallel rank", events=tuple(recorder.events), memory=memory)
    return Workload(job=job.name, mesh=mesh, samples_per_step=job.global_batch_on(ranks), roles=(role,))


def _memory(program: Program, peak_bytes: int) -> Memory:
    parameters = sum(parameter.nbytes for parameter in program.model.parameters())
    state = program.optimizer.state.values()
    moments = sum(tensor.nbytes for table in state for tensor in table.values() if isinstance(tensor, torch.Tensor))
    return Memory(
        peak_bytes=peak_bytes,
        parameter_bytes=parameters,
        gradient_bytes=parameters,
        optimizer_bytes=moments,
        activation_bytes=max(peak_bytes - 2 * parameters - moments, 0),
    )
