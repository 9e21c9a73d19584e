"""Checkpoints: their bytes, what they cost, and how far apart they should be."""

import math
from dataclasses import dataclass

from fujimi_core.device import Device
from fujimi_core.facilities import Storage
from fujimi_core.job import Job, Offload
from fujimi_core.workload import Role, Workload

from fujimi_sim.run.storage_times import read_same_s, write_s

#: AdamW has two numbers beside each parameter.
_MOMENTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a checkpoint holds, and who writes it.

    Args:
        nbytes: All of it.
        writers: Ranks that write, a file each.
        writer_bytes: Of the one that writes most.
        reader_bytes: What the rank reads that reads most.
    """

    nbytes: int
    writers: int
    writer_bytes: int
    reader_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCost:
    """How long checkpoints take.

    Args:
        copy_s: For which training stops, while ranks copy what they hold.
        write_s: From then until it is whole; training goes on.
        restore_s: To read it.
    """

    copy_s: float
    write_s: float
    restore_s: float


def saved_of(workload: Workload, job: Job) -> Saved:
    """What ranks write, as `fujimi_train.checkpoint` shares it out: of what several hold, the first writes all.

    Args:
        workload: Has the memory of each role.
        job: Its plan.
    """
    zero, replicas = job.parallel.zero, _extent(workload, "dp") * _extent(workload, "sp")
    nbytes = writers = writer_bytes = reader_bytes = 0
    for role in workload.roles:
        held = role.memory.parameter_bytes, _moments(role, job, replicas)
        reader_bytes = max(reader_bytes, sum(held))
        who = len(workload.ranks(role))
        if zero == 0:
            who = who // _extent(workload, "dp") if _is_first_of_sequence(role) else 0
        parameters = held[0] // replicas if zero in (1, 2) else held[0]
        each = parameters + held[1]
        writers += who
        nbytes += who * each
        writer_bytes = max(writer_bytes, each if who else 0)
    return Saved(nbytes=nbytes, writers=writers, writer_bytes=writer_bytes, reader_bytes=reader_bytes)


def cost_of(saved: Saved, storage: Storage | None, device: Device, *, nodes: int, devices: int) -> CheckpointCost:
    """How long a checkpoint takes; without a storage, only what the copy takes.

    Args:
        saved: What it holds.
        storage: Where it goes.
        device: Whose memory is copied: once read and once written.
        nodes: Of the job.
        devices: Of each node, one a rank.
    """
    copy_s = 2 * saved.writer_bytes / device.streaming_bytes_per_s
    if storage is None:
        return CheckpointCost(copy_s=copy_s, write_s=0.0, restore_s=0.0)
    writing = min(nodes, math.ceil(saved.writers / devices))
    written_s = write_s(storage, writing, nbytes=saved.nbytes, files=saved.writers)
    restore_s = read_same_s(storage, nodes, nbytes=saved.reader_bytes * devices, files=devices)
    return CheckpointCost(copy_s=copy_s, write_s=written_s, restore_s=restore_s)


def young_s(cost_s: float, mtbf_s: float) -> float:
    """Time between checkpoints that loses least, to first order: ``sqrt(2 cost mtbf)``.

    >>> young_s(50.0, 10_000.0)
    1000.0

    Args:
        cost_s: For which a checkpoint stops the run.
        mtbf_s: Mean time between failures of the run.

    Source:
        Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974.
    """
    return math.sqrt(2 * cost_s * mtbf_s)


def daly_s(cost_s: float, mtbf_s: float) -> float:
    """Time between checkpoints that loses least, to higher order.

    ``sqrt(2 c m) (1 + sqrt(c / 2m) / 3 + (c / 2m) / 9) - c`` for ``c < 2 m``, otherwise ``m``.

    Args:
        cost_s: c, for which a checkpoint stops the run.
        mtbf_s: m, mean time between failures of the run.

    Source:
        Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future Generation Computer
        Systems 22, 2006, equation 37.
    """
    if math.isinf(mtbf_s) or cost_s >= 2 * mtbf_s:
        return mtbf_s
    ratio = cost_s / (2 * mtbf_s)
    return young_s(cost_s, mtbf_s) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - cost_s


def _extent(workload: Workload, axis: str) -> int:
    mesh = workload.mesh
    return mesh.shape[mesh.index(axis)] if axis in mesh.names else 1


def _is_first_of_sequence(role: Role) -> bool:
    return role.where.get("sp", (0, 1))[0] == 0


def _moments(role: Role, job: Job, replicas: int) -> int:
    """Bytes of a rank's optimizer state, also where it is kept outside of the memory that was captured."""
    if job.parallel.offload not in (Offload.OPTIMIZER, Offload.ALL):
        return role.memory.optimizer_bytes
    moments = _MOMENTS * role.memory.parameter_bytes
    return moments // replicas if job.parallel.zero in (1, 2) else moments
