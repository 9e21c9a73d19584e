"""How long an operator takes: arithmetic at the device's speed for its shapes, or bytes at its memory's."""

from fujimi_core.device import Device
from fujimi_core.errors import MachineError, unknown
from fujimi_core.workload import Kernel, Trait

from fujimi_sim.kernels.attention import attention_s
from fujimi_sim.kernels.gemm import arithmetic_s
from fujimi_sim.kernels.products import attention_of, products_of
from fujimi_sim.kernels.streaming import streaming_s

#: Types of which tensor cores take several numbers at a time.
_WANTS_ALIGNMENT = ("bfloat16", "float16")


def kernel_seconds(kernel: Kernel, device: Device) -> float:
    """Time of one operator on the device, ``overhead + max(arithmetic, streaming)``.

    Args:
        kernel: Operator.
        device: What it runs on.

    Raises:
        MachineError: If the device has no peak for the operator's type.

    Source:
        Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
    """
    return device.kernel_overhead_s + max(_arithmetic_s(kernel, device), streaming_s(kernel, device))


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
    peak = peak_flops_per_s(kernel, device)
    attention = attention_of(kernel)
    if attention is not None and device.attention is not None:
        return attention_s(
            attention,
            device.attention,
            peak_flops_per_s=peak,
            streaming_bytes_per_s=device.streaming_bytes_per_s,
        )
    products = products_of(kernel) if attention is None else attention.products
    seconds = arithmetic_s(products, device, peak_flops_per_s=peak)
    is_slow = Trait.UNALIGNED in kernel.traits and kernel.dtype in _WANTS_ALIGNMENT
    return seconds / device.unaligned_efficiency if is_slow else seconds
