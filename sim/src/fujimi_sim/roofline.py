"""How long an operator takes: arithmetic at the device's speed for its size, or bytes at its memory's."""

import math

from fujimi_core.errors import MachineError, unknown
from fujimi_core.machine import Device
from fujimi_core.workload import Kernel

#: Matrix products a head in attention: scores and output; scores again, and the gradients of four factors.
_FORWARD_PRODUCTS, _BACKWARD_PRODUCTS = 2, 5


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
    memory_s = kernel.nbytes / device.streaming_bytes_per_s
    return device.kernel_overhead_s + max(_arithmetic_s(kernel, device), memory_s)


def gemm_efficiency(extent: float, *, limit: float, half_extent: float) -> float:
    """Share of the peak that a matrix product reaches, ``limit · extent / (extent + half_extent)``.

    >>> gemm_efficiency(650, limit=0.95, half_extent=650)
    0.475

    Args:
        extent: Cube root of m·n·k, above 0.
        limit: For very large products.
        half_extent: Where half of it is reached.

    Source:
        Hockney's half-performance length, "The Science of Computer Benchmarking", 1996, chapter 1, in the extent.
    """
    return limit * extent / (extent + half_extent)


def products(kernel: Kernel) -> int:
    """Separate matrix products inside an operator: one, one a batch entry, or several a head of attention.

    Shapes are those that a capture writes down: batched products have the second factor last; attention begins with
    queries of shape (batch, heads, …), its backward with the output's gradient, which has the same two.
    """
    name = kernel.op.rpartition(".")[2]
    first, last = (kernel.shapes[0], kernel.shapes[-1]) if kernel.shapes else ((), ())
    if name.startswith("_scaled_dot_product_"):
        a_head = _BACKWARD_PRODUCTS if name.endswith("_backward") else _FORWARD_PRODUCTS
        return a_head * max(1, math.prod(first[:2]))
    if name in ("bmm", "baddbmm"):
        return max(1, math.prod(last[:1]))
    return 1


def peak_flops_per_s(kernel: Kernel, device: Device) -> float:
    """Peak of a device in an operator's type.

    Raises:
        MachineError: If it has none.
    """
    peak = device.peak_flops_per_s.get(kernel.dtype)
    if peak is None:
        known = unknown("type", kernel.dtype, device.peak_flops_per_s)
        raise MachineError(
            f"{device.name} has no peak for {kernel.op}: {known} "
            'Set parallel.precision of the job to one of these, or to "auto", and capture it again'
        )
    return peak


def _arithmetic_s(kernel: Kernel, device: Device) -> float:
    if not kernel.flops:
        return 0.0
    extent = math.cbrt(kernel.flops / (2 * products(kernel)))
    efficiency = gemm_efficiency(extent, limit=device.gemm_efficiency, half_extent=device.gemm_half_extent)
    return kernel.flops / (peak_flops_per_s(kernel, device) * efficiency)
