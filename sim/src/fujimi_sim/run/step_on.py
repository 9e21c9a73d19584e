"""A step on nodes of equal speed: how long, and how much of it each rank computes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.device import Device
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Workload
from numpy.typing import NDArray

from fujimi_sim.simulation import remembered, replayed, setting_of


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
    setting = setting_of(workload, machine, nodes, plugins=plugins)
    slowness = np.ones(workload.mesh.world_size)
    steps = []
    for share in arithmetic:
        kernel_seconds = remembered(plugins, _with_arithmetic(machine.node.device, share))
        result = replayed(replace(setting, kernel_seconds=kernel_seconds), slowness=slowness)
        steps.append(EvenStep(step_s=result.step_s, compute_s=result.compute_s))
    return steps


def _with_arithmetic(device: Device, share: float) -> Device:
    peaks = {dtype: share * peak for dtype, peak in device.peak_flops_per_s.items()}
    return replace(device, peak_flops_per_s=peaks)
