"""How long an operator takes: arithmetic at the device's speed for its size, or bytes at its memory's."""

import math

from fujimi_core.errors import MachineError, unknown
from fujimi_core.machine import Device
from fujimi_core.workload import Kernel


def kernel_seconds(kernel: Kernel, device: Device) -> float:
    """Time of one operator.

    ``overhead + max(flops / (peak · efficiency(extent)), nbytes / (bandwidth · efficiency))``.

    Args:
        kernel: Operator.
        device: What it runs on.

    Raises:
        MachineError: If the device has no peak for the operator's type.

    Source:
        Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
    """
    memory_s = kernel.nbytes / (device.memory_bandwidth_bytes_per_s * device.memory_efficiency)
    return device.kernel_overhead_s + max(_arithmetic_s(kernel, device), memory_s)


def gemm_efficiency(extent: float, *, limit: float, half_extent: float) -> float:
    """Share of the peak that a matrix product reaches, ``limit · extent / (extent + half_extent)``.

    Args:
        extent: Cube root of m·n·k.
        limit: For very large products.
        half_extent: Where half of it is reached.

    Source:
        Hockney's half-performance length, "The Science of Computer Benchmarking", 1996, chapter 1, in the extent.
    """
    return limit * extent / (extent + half_extent)


def products(kernel: Kernel) -> int:
    """Separate matrix products inside an operator: one, one a batch entry, or several a head of attention."""
    name = kernel.op.rpartition(".")[2]
    if "attention" in name and kernel.shapes:
        query = kernel.shapes[1] if "backward" in name else kernel.shapes[0]
        return math.prod(query[:2]) * (5 if "backward" in name else 2)
    if name in ("bmm", "baddbmm") and kernel.shapes:
        return kernel.shapes[-1][0]
    return 1


def _arithmetic_s(kernel: Kernel, device: Device) -> float:
    if not kernel.flops:
        return 0.0
    peak = device.peak_flops_per_s.get(kernel.dtype)
    if peak is None:
        known = unknown("type", kernel.dtype, device.peak_flops_per_s)
        raise MachineError(f"{device.name} has no peak for {kernel.op}: {known} Set train.precision accordingly.")
    extent = float(kernel.flops / (2 * products(kernel))) ** (1 / 3)
    efficiency = gemm_efficiency(extent, limit=device.gemm_efficiency, half_extent=device.gemm_half_extent)
    return kernel.flops / (peak * efficiency)
