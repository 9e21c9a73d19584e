"""Simulates a job or a workload on a machine at several sizes."""

import math
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from fujimi_core.device import Device
from fujimi_core.errors import JobError, MachineError, WorkloadError
from fujimi_core.job import Job, Precision
from fujimi_core.machine import Machine
from fujimi_core.network import Topology
from fujimi_core.placement import Placement
from fujimi_core.plan import plan_of
from fujimi_core.plugins import Plugins
from fujimi_core.units import count_of
from fujimi_core.workload import Kernel, Memory, Workload

from fujimi_sim.breakdown import Part, breakdown
from fujimi_sim.kernels.model import peak_flops_per_s
from fujimi_sim.meetings import Seconds
from fujimi_sim.memory import shortage
from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.replay import Observer, Replay, replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One size of the machine; times are means over ranks, of one step.

    Args:
        nodes: Nodes of the machine that are used.
        ranks: One a device.
        step_s: From the common start until the last rank is done.
        compute_s: Kernels.
        communication_s: Collectives and messages under way, hidden behind kernels or not.
        exposed_communication_s: The part of it for which kernels waited.
        idle_s: Kernels waited and nothing was under way: for other ranks. Compute, exposed communication and idle
            together are the step.
        samples_per_s: Of all ranks together.
        flops_per_s: Of all ranks together; matrix products only.
        fraction_of_peak: ``flops_per_s`` over the devices' peak in the type of most of the arithmetic.
        parallel_efficiency: Samples a second and node, over those of the fewest nodes on which the plan can run. Of a
            workload, which was captured at one size only: mean compute time at average speed over the time of the step.
        memory_bytes_per_rank: High-water mark of the rank that needs most; 0 if the workload does not tell.
        memory: What that rank holds then.
        memory_fits: Whether a device has as much.
        memory_shortage: If it has not: how much of what a rank holds, and what to change in the job, in words.
        breakdown: What the step consists of, the longest first.
    """

    nodes: int
    ranks: int
    step_s: float
    compute_s: float
    communication_s: float
    exposed_communication_s: float
    idle_s: float
    samples_per_s: float
    flops_per_s: float
    fraction_of_peak: float
    parallel_efficiency: float
    memory_bytes_per_rank: int
    memory_fits: bool
    memory: Memory = field(default_factory=Memory)
    memory_shortage: str = ""
    breakdown: tuple[Part, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the simulation itself took, the whole process counted.

    Args:
        cpu_s: Processor time.
        peak_rss_bytes: Most memory at any time.
    """

    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A scaling curve.

    Args:
        machine: Name.
        job: Name.
        points: By number of nodes, as asked for.
        simulation: What it took to find out.
    """

    machine: str
    job: str
    points: tuple[Point, ...]
    simulation: Cost


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """One size, ready to be replayed.

    Args:
        workload: What each rank does.
        machine: The whole machine.
        nodes: Of it that are used.
        topology: That part of its network.
        placement: Where the ranks are.
        communication: How long collectives and messages take there.
        kernel_seconds: How long a kernel takes on a rank of average speed.
    """

    workload: Workload
    machine: Machine
    nodes: int
    topology: Topology
    placement: Placement
    communication: CommunicationTimer
    kernel_seconds: Callable[[Kernel], float]


#: Asked at every size who observes its replay; None for nobody.
Watch = Callable[[Setting], Observer | None]


def simulate_job(
    job: Job,
    machine: Machine,
    nodes: Sequence[int],
    *,
    plugins: Plugins,
    seed: int = 0,
    weak: bool = False,
    progress: Callable[[int, Sequence[int]], None] = lambda _count, _sizes: None,
    watch: Watch | None = None,
) -> Report:
    """Capture a job at each size and replay it there; on the fewest nodes too, for the efficiency.

    Args:
        job: What is trained; a global batch keeps its size (strong scaling), a batch per rank too (weak scaling).
        machine: On which.
        nodes: Numbers of nodes.
        plugins: Who captures, offers networks, places ranks and knows kernels.
        seed: Of the noise; the same seed gives the same figures.
        weak: Turn a global batch into the batch that each rank has of it on the first number of nodes.
        progress: Told each number of nodes before it is simulated, and all of them in that order.
        watch: Who may see each size.

    Raises:
        JobError: If no number of nodes is given, or the job's batch does not divide into the ranks.
        MachineError: If the machine has not so many nodes, or cannot compute in the job's type.
    """
    if not nodes:
        raise JobError(f"job {job.name!r}: give at least one number of nodes to simulate it on")
    for count in nodes:
        machine.require_nodes(count)
    job = job.with_precision(precision_on(job, machine.node.device))
    devices = machine.node.devices
    if weak:
        job = job.with_batch_per_rank(plan_of(job, nodes[0] * devices).batch)
    for count in nodes:
        plan_of(job, count * devices)  # refused before the first capture, not after the last

    def point(job: Job, count: int, watch: Watch | None) -> Point:
        workload = plugins.capture(job, count * devices)
        return simulate(workload, machine, count, plugins=plugins, job=job, seed=seed, watch=watch)

    fewest = fewest_nodes(job, devices)
    short = () if fewest in nodes else shortened(job, fewest * devices)
    sizes = sorted({fewest, *nodes})
    simulated: dict[int, Point] = {}
    samples_per_s = 0.0
    for count in sizes:
        progress(count, sizes)
        if count == fewest and short:
            steps = [(each.batch_on(1), point(each, fewest, None).step_s) for each in short]
            batch = plan_of(job, fewest * devices).batch
            samples_per_s = plan_of(job, fewest * devices).global_batch / _extended(steps, batch)
        else:
            simulated[count] = point(job, count, watch)
    each = (samples_per_s or simulated[fewest].samples_per_s) / fewest
    points = [
        replace(simulated[count], parallel_efficiency=simulated[count].samples_per_s / (count * each))
        for count in nodes
    ]
    return Report(machine=machine.name, job=job.name, points=tuple(points), simulation=cost_so_far())


#: A step of more microbatches than this is not simulated whole where its speed alone is asked for.
_MANY_MICROBATCHES = 128
#: Microbatches for each pipeline rank, and pass: enough for the pipeline to be filled, run and be emptied.
_FEW = (4, 6)


def shortened(job: Job, ranks: int) -> tuple[Job, ...]:
    """Two jobs with fewer microbatches in a step, if the job has very many: a step gets longer by as much for each.

    Args:
        job: Its plan.
        ranks: How many.
    """
    plan = plan_of(job, ranks)
    if job.parallel.microbatch is None or plan.microbatches <= _MANY_MICROBATCHES:
        return ()
    once = plan.microbatch * plan.extent("pp") * plan.accumulate
    return tuple(job.with_batch_per_rank(number * once) for number in _FEW)


def _extended(steps: Sequence[tuple[int, float]], batch: int) -> float:
    """Time of a step with a larger batch, on the line through two.

    >>> _extended([(4, 10.0), (6, 12.0)], 100)
    106.0
    """
    (few, few_s), (more, more_s) = steps
    return more_s + (batch - more) * (more_s - few_s) / (more - few)


def fewest_nodes(job: Job, devices: int) -> int:
    """The smallest number of nodes on which the job's plan can run: one, or as many as hold one copy of the network.

    Args:
        job: Its plan.
        devices: Of each node.
    """
    spec = job.parallel
    copy = spec.tensor * spec.pipeline * spec.sequence * (spec.data or 1)
    return math.lcm(copy, devices) // devices


def simulate_workload(
    workload: Workload,
    machine: Machine,
    nodes: int,
    *,
    plugins: Plugins,
    seed: int = 0,
    watch: Watch | None = None,
) -> Report:
    """Replay a workload at the size at which it was captured.

    Raises:
        MachineError: If that is not the size of the machine's part, or the machine has not so many nodes.
    """
    point = simulate(workload, machine, nodes, plugins=plugins, seed=seed, watch=watch)
    return Report(machine=machine.name, job=workload.job, points=(point,), simulation=cost_so_far())


def simulate(
    workload: Workload,
    machine: Machine,
    nodes: int,
    *,
    plugins: Plugins,
    job: Job | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Point:
    """Replay one step of a workload on so many nodes.

    Args:
        workload: The step.
        machine: On which.
        nodes: How many.
        plugins: Who offers networks, places ranks and knows kernels.
        job: What was captured, if that is known: what to change in it is told where the memory does not suffice.
        seed: Of the noise.
        watch: Who may see the replay.

    Raises:
        MachineError: If the machine has not so many nodes, their devices are not as many as the workload's ranks, or
            they cannot compute in its type.
        WorkloadError: If the workload cannot end, or takes no time.
    """
    setting = setting_of(workload, machine, nodes, plugins=plugins)
    ranks = workload.mesh.world_size
    slowness = draw_slowness(ranks, std=machine.noise.compute_std, seed=seed)
    result = replayed(setting, slowness=slowness, observer=watch(setting) if watch else None)
    flops_per_s = workload.flops / result.step_s
    memory = workload.memory
    return Point(
        nodes=nodes,
        ranks=ranks,
        step_s=result.step_s,
        compute_s=float(result.compute_s.mean()),
        communication_s=float(result.communication_s.mean()),
        exposed_communication_s=float(result.exposed_s.mean()),
        idle_s=float(result.idle_s.mean()),
        samples_per_s=workload.samples_per_step / result.step_s,
        flops_per_s=flops_per_s,
        fraction_of_peak=flops_per_s / (ranks * _peak(workload, machine.node.device)) if flops_per_s else 0.0,
        parallel_efficiency=float((result.compute_s / slowness).mean()) / result.step_s,
        memory_bytes_per_rank=memory.peak_bytes,
        memory=memory,
        memory_fits=memory.peak_bytes <= machine.node.device.memory_bytes,
        memory_shortage=shortage(memory, machine.node.device, job, ranks),
        breakdown=breakdown(workload, kernel_seconds=setting.kernel_seconds, communication=setting.communication),
    )


def setting_of(workload: Workload, machine: Machine, nodes: int, *, plugins: Plugins) -> Setting:
    """Put a workload's ranks on a machine's nodes.

    Raises:
        MachineError: If the machine has not so many nodes, or their devices are not as many as the workload's ranks.
    """
    machine.require_nodes(nodes)
    ranks, devices = workload.mesh.world_size, machine.node.devices
    if ranks != nodes * devices:
        raise MachineError(
            f"workload {workload.job!r} has {ranks:,} ranks, but {count_of(nodes, 'node')} of {machine.name!r} "
            f"{'has' if nodes == 1 else 'have'} {count_of(nodes * devices, 'device')}: "
            f"{_way_out(ranks, machine)}capture it with --ranks {nodes * devices}"
        )
    topology = plugins.topology(machine).allocate(nodes)
    placement = plugins.place_ranks(workload.mesh, machine, topology, nodes)
    return Setting(
        workload=workload,
        machine=machine,
        nodes=nodes,
        topology=topology,
        placement=placement,
        communication=CommunicationTimer(machine, topology, mesh=workload.mesh, placement=placement, plugins=plugins),
        kernel_seconds=remembered(plugins, machine.node.device),
    )


def replayed(setting: Setting, *, slowness: Seconds, observer: Observer | None = None) -> Replay:
    """Replay one step.

    Args:
        setting: Of what, and where.
        slowness: Factor on each rank's kernels, shape (ranks,).
        observer: Who is told of each step.

    Raises:
        MachineError: If the devices cannot compute in the workload's type.
        WorkloadError: If the workload cannot end, or takes no time.
    """
    result = replay(
        setting.workload,
        kernel_seconds=setting.kernel_seconds,
        communication=setting.communication,
        slowness=slowness,
        issue_s=setting.machine.node.device.issue_s,
        taken=setting.machine.node.device.collective_share,
        observer=observer,
    )
    if not result.step_s:
        raise WorkloadError(f"workload {setting.workload.job!r} does nothing that takes time: capture it again")
    return result


def draw_slowness(ranks: int, *, std: float, seed: int) -> Seconds:
    """Factor on the compute time of each rank: log-normal, with mean 1 over the ranks of the job.

    That mean is exact, so that one node has average speed and others can be compared with it; and a larger job has
    the nodes of a smaller one, and more.

    Args:
        ranks: How many.
        std: Standard deviation.
        seed: The same seed gives the same nodes.
    """
    sigma = np.sqrt(np.log1p(std**2))
    drawn = np.random.default_rng(seed).lognormal(0.0, sigma, ranks)
    slowness: Seconds = drawn / drawn.mean()
    return slowness


def precision_on(job: Job, device: Device) -> Precision:
    """The job's precision; ``auto`` is bfloat16 where the device has it, else float32."""
    if job.parallel.precision is not Precision.AUTO:
        return job.parallel.precision
    return Precision.BFLOAT16 if Precision.BFLOAT16 in device.peak_flops_per_s else Precision.FLOAT32


def remembered(plugins: Plugins, device: Device) -> Callable[[Kernel], float]:
    """Time of kernels on a device: plugins are asked once for all of the same operator, type and shapes."""
    known: dict[tuple[object, ...], float] = {}

    def seconds(kernel: Kernel) -> float:
        if kernel.seconds is not None:
            return kernel.seconds
        key = (kernel.op, kernel.dtype, kernel.shapes, kernel.flops, kernel.nbytes, kernel.outside_bytes, kernel.traits)
        if key not in known:
            known[key] = plugins.kernel_seconds(kernel, device)
        return known[key]

    return seconds


def _peak(workload: Workload, device: Device) -> float:
    """Peak of a device in the type of most of the arithmetic."""
    flops: Counter[str] = Counter()
    kernels: dict[str, Kernel] = {}
    for role in workload.roles:
        ranks = len(workload.ranks(role))
        for event in role.events:
            if isinstance(event, Kernel) and event.flops:
                flops[event.dtype] += ranks * event.flops
                kernels[event.dtype] = event
    ((dtype, _),) = flops.most_common(1)
    return peak_flops_per_s(kernels[dtype], device)


def _way_out(ranks: int, machine: Machine) -> str:
    nodes, left = divmod(ranks, machine.node.devices)
    return f"use --nodes {nodes}, or " if not left and nodes <= machine.nodes else ""


def cost_so_far() -> Cost:
    """What this process has taken."""
    # Linux counts in KiB, macOS in bytes
    unit = 1 if sys.platform == "darwin" else 1024
    peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Cost(cpu_s=round(time.process_time(), 2), peak_rss_bytes=peak_rss_bytes)
