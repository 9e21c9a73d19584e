"""A plan in words: which rank holds what, how many bytes, and which communication runs when."""

from collections import defaultdict
from dataclasses import dataclass

from fujimi_core.job import Job
from fujimi_core.tables import table
from fujimi_core.units import count_of, format_quantity
from fujimi_core.workload import Collective, Event, Kernel, Role, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Communication:
    """Collectives or messages of a role that are alike.

    Args:
        phase: When: ``forward``, ``backward`` or ``optimizer``.
        what: Kind of collective, or ``send`` or ``recv``.
        along: Axes of the groups; of a message its axis, and how far it goes.
        members: Ranks of a group; 2 of a message.
        times: In a step.
        nbytes: Of the whole buffer, all times together.
    """

    phase: str
    what: str
    along: str
    members: int
    times: int
    nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlan:
    """What the ranks of one role hold and exchange.

    Args:
        name: Of the role.
        ranks: How many there are.
        first_rank: The first of them.
        memory: Bytes by what they are for; ``peak`` is the most there are at once.
        flops: Arithmetic of a step.
        communication: In the order in which each kind comes first.
    """

    name: str
    ranks: int
    first_rank: int
    memory: dict[str, int]
    flops: int
    communication: tuple[Communication, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """What every rank of a plan does.

    Args:
        job: Name.
        mesh: Extents of the axes, slowest first.
        samples_per_step: Of all ranks together.
        roles: Ranks that do the same.
    """

    job: str
    mesh: dict[str, int]
    samples_per_step: int
    roles: tuple[RolePlan, ...]


def summarise(workload: Workload) -> PlanSummary:
    """Tell a plan from what was captured of it."""
    mesh = workload.mesh
    return PlanSummary(
        job=workload.job,
        mesh=dict(zip(mesh.names, mesh.shape, strict=True)),
        samples_per_step=workload.samples_per_step,
        roles=tuple(_role(workload, role) for role in workload.roles),
    )


def in_words(summary: PlanSummary, job: Job) -> str:
    """Write a summary for people."""
    spec = job.parallel
    extents = " x ".join(f"{axis} {extent:,}" for axis, extent in summary.mesh.items())
    ranks = sum(role.ranks for role in summary.roles)
    lines = [
        f"{summary.job}: {count_of(ranks, 'rank')} = {extents}, {summary.samples_per_step:,} samples a step",
        f"schedule {spec.schedule.value}, zero {spec.zero}, recompute {_recompute(job)}, offload {spec.offload.value}, "
        f"gradients travel as {spec.grad_reduce_dtype.value}",
        "",
        _memory_table(summary),
    ]
    for role in summary.roles:
        rows = [_cells(each) for each in role.communication]
        if rows:
            header = ["phase", "what", "along", "ranks", "times", "bytes", "each"]
            lines += ["", f"{role.name} ({_ranks(role)})", table(header, rows)]
    return "\n".join(lines)


def _recompute(job: Job) -> str:
    how = job.parallel.recompute
    return how.value if hasattr(how, "value") else f"blocks {', '.join(map(str, how))}"


def _memory_table(summary: PlanSummary) -> str:
    kinds = ["parameters", "gradients", "optimizer", "activations", "buffers", "workspace", "peak"]
    rows = []
    for role in summary.roles:
        memory = (format_quantity(role.memory[kind], "B") for kind in kinds)
        rows.append([role.name, _ranks(role), *memory, format_quantity(role.flops, "FLOP")])
    return table(["role", "ranks", *kinds, "arithmetic"], rows)


def _ranks(role: RolePlan) -> str:
    return f"rank {role.first_rank:,}" if role.ranks == 1 else f"{role.ranks:,} ranks from {role.first_rank:,}"


def _cells(each: Communication) -> list[str]:
    total, one = format_quantity(each.nbytes, "B"), format_quantity(each.nbytes / each.times, "B")
    return [each.phase, each.what, each.along, f"{each.members:,}", f"{each.times:,}", total, one]


def _role(workload: Workload, role: Role) -> RolePlan:
    ranks = workload.ranks(role)
    memory = role.memory
    return RolePlan(
        name=role.name,
        ranks=len(ranks),
        first_rank=int(ranks[0]),
        memory={
            "parameters": memory.parameter_bytes,
            "gradients": memory.gradient_bytes,
            "optimizer": memory.optimizer_bytes,
            "activations": memory.activation_bytes,
            "buffers": memory.buffer_bytes,
            "workspace": memory.workspace_bytes,
            "peak": memory.peak_bytes,
        },
        flops=sum(event.flops for event in role.events if isinstance(event, Kernel)),
        communication=tuple(_communication(workload, role)),
    )


def _communication(workload: Workload, role: Role) -> list[Communication]:
    found: dict[tuple[str, str, str, int], list[int]] = defaultdict(list)
    for event in role.events:
        if not isinstance(event, Kernel):
            found[event.phase, *_kind(workload, event)].append(event.nbytes)
    return [
        Communication(phase=phase, what=what, along=along, members=members, times=len(sizes), nbytes=sum(sizes))
        for (phase, what, along, members), sizes in found.items()
    ]


def _kind(workload: Workload, event: Event) -> tuple[str, str, int]:
    if isinstance(event, Kernel):
        raise TypeError("a kernel is no communication")
    if not isinstance(event, Collective):
        return event.KIND, f"{event.axis} {event.offset:+d}", 2
    mesh = workload.mesh
    members = 1
    for axis in event.axes:
        members *= mesh.shape[mesh.index(axis)]
    return event.kind.value, " x ".join(event.axes), members
