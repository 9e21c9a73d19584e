"""How long an operator takes: arithmetic at the device's speed for its shapes, or bytes at that of some memory."""

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
    """Time of one operator on the device, ``overhead + max(arithmetic, streaming, way of what is offloaded)``.

    Args:
        kernel: Operator.
        device: What it runs on.

    Raises:
        MachineError: If the device has no peak for the operator's type, or nothing can be offloaded from it.

    Source:
        Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
    """
    works_s = _arithmetic_s(kernel, device), streaming_s(kernel, device), _outside_s(kernel, device)
    return device.kernel_overhead_s + max(works_s)


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


def _outside_s(kernel: Kernel, device: Device) -> float:
    if not kernel.outside_bytes:
        return 0.0
    if device.outside_bandwidth_bytes_per_s is None:
        raise MachineError(
            f"{device.name} has no outside_bandwidth_bytes_per_s, so {kernel.op} cannot reach offloaded tensors: "
            'set parallel.offload = "none", or add that number to the machine file'
        )
    return kernel.outside_bytes / device.outside_bandwidth_bytes_per_s
