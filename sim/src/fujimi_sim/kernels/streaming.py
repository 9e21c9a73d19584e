"""Time of an operator that moves bytes: through memory, its cache, or an instruction at a time."""

import math

from fujimi_core.device import Device
from fujimi_core.workload import Kernel, Trait

#: Operators whose units work together on each row or column, or go over it more than once.
_ROWS = ("layer_norm", "softmax", "nll_loss", "sum")
#: How often over what each tensor once would be: gradients of weights and bias go over two tensors of three again.
_PASSES = {"native_layer_norm_backward": 5 / 3}


def streaming_s(kernel: Kernel, device: Device) -> float:
    """Time to bring an operator's bytes to the device and back.

    ``max(nbytes · passes / bandwidth, elements · instructions / instructions_per_s)``; the bandwidth is the cache's, if
    all that the operator touches fits into it, and it does not wait for other things anyway.

    Args:
        kernel: Which.
        device: On what.
    """
    name = kernel.op.rpartition(".")[2]
    nbytes = kernel.nbytes * _PASSES.get(name, 1.0)
    if Trait.STRIDED in kernel.traits or any(part in name for part in _ROWS):
        bytes_per_s = device.row_bytes_per_s
    elif device.cache is not None and kernel.nbytes <= device.cache.cache_bytes:
        bytes_per_s = device.cache.bandwidth_bytes_per_s
    else:
        bytes_per_s = device.streaming_bytes_per_s
    formula = f"{name}.tanh" if Trait.TANH in kernel.traits else name
    return max(nbytes / bytes_per_s, _instructions_s(formula, kernel, device))


def _instructions_s(name: str, kernel: Kernel, device: Device) -> float:
    needed = next((count for part, count in device.instructions.items() if part in name), 0.0)
    if not needed or device.instructions_per_s is None:
        return 0.0
    elements = max((math.prod(shape) for shape in kernel.shapes), default=0)
    return elements * needed / device.instructions_per_s
