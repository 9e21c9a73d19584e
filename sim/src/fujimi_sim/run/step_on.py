"""A step on nodes of equal speed: how long, and how much of it each rank computes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.device import Device
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Kernel, Workload
from numpy.typing import NDArray

from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.replay import replay


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvenStep:
    """One step without noise.

    Args:
        step_s: From the common start until the last rank is done.
        compute_s: Kernels of each rank, shape (ranks,).
    """

    step_s: float
    compute_s: NDArray[np.float64]


def even_steps(
    workload: Workload, machine: Machine, nodes: int, *, arithmetic: Iterable[float], plugins: Plugins
) -> list[EvenStep]:
    """Replay a step for each of several peaks of arithmetic, over the same network.

    Args:
        workload: The step.
        machine: Where it runs.
        nodes: On how many of its nodes.
        arithmetic: Peaks, over that of the machine's device.
        plugins: Who knows networks, placement and kernels.
    """
    topology = plugins.topology(machine).allocate(nodes)
    placement = plugins.place_ranks(workload.mesh, machine, topology, nodes)
    communication = CommunicationTimer(machine, topology, mesh=workload.mesh, placement=placement, plugins=plugins)
    slowness = np.ones(workload.mesh.world_size)
    steps = []
    for share in arithmetic:
        kernel_seconds = _kernel_seconds(plugins, _with_arithmetic(machine.node.device, share))
        result = replay(workload, kernel_seconds=kernel_seconds, communication=communication, slowness=slowness)
        steps.append(EvenStep(step_s=result.step_s, compute_s=result.compute_s))
    return steps


def _kernel_seconds(plugins: Plugins, device: Device) -> Callable[[Kernel], float]:
    return lambda kernel: plugins.kernel_seconds(kernel, device)


def _with_arithmetic(device: Device, share: float) -> Device:
    peaks = {dtype: share * peak for dtype, peak in device.peak_flops_per_s.items()}
    return replace(device, peak_flops_per_s=peaks)
