"""A machine, described by what was measured of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fujimi_core.device import Device
from fujimi_core.errors import MachineError
from fujimi_core.facilities import Storage
from fujimi_core.machine import Machine, Network, Node, Regime, Transport
from fujimi_core.machine_file import UNVERIFIED
from fujimi_core.records import build, to_table
from fujimi_core.workload import Kernel

from fujimi_train.calibration.disk import Disk
from fujimi_train.calibration.fitting import (
    FREE_PER_S,
    Speed,
    Timed,
    fit_attention,
    fit_elements,
    fit_memory,
    fit_messages,
    fit_products,
)

#: What a network has to say.
_LINK = ("link_bandwidth_bytes_per_s", "hop_latency_s", "message_latency_s")
#: Sizes of the blocks in which attention may go through a sequence. Those of torch's own are 32 queries and more.
_BLOCKS = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Times of everything, on each of some ranks that work at the same time.

    Args:
        products: Matrix products by type; times of these and what follows without that of an operator that does
            nothing.
        additions: Of two tensors, from small to large.
        elementwise: Operators that compute more than they move.
        attention: In one operator.
        overhead_s: Of each operator of a step, whatever its size.
        step: Operators of a step of a usual network.
        step_s: How long it took.
        all_reduces: Bytes of a buffer, and seconds; none on a rank that is alone.
        messages: Bytes, and seconds of one way.
        disk: How fast it is; None if nobody looked.
    """

    products: Mapping[str, Sequence[Timed]]
    additions: Sequence[Timed]
    elementwise: Sequence[Timed]
    attention: Sequence[Timed]
    overhead_s: float
    step: Sequence[Kernel]
    step_s: float
    all_reduces: Sequence[tuple[int, float]] = ()
    messages: Sequence[tuple[int, float]] = ()
    disk: Disk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What is known of this machine without measuring.

    Args:
        name: Of the machine.
        processor: Its name.
        ranks: That share the node.
        threads: Of each.
        memory_bytes: Of the node.
        backend: Of collectives.
        when: Day of the measurement.
    """

    name: str
    processor: str
    ranks: int
    threads: int
    memory_bytes: int
    backend: str
    when: str

    @property
    def by(self) -> str:
        """By whom and how, for the sources of numbers."""
        ranks = "1 rank" if self.ranks == 1 else f"{self.ranks} ranks at the same time"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"measured by fujimi machine calibrate, {self.when}, {ranks} of {threads}"


#: What the simulator takes for the time of an operator on a device [s].
KernelSeconds = Callable[[Kernel, Device], float]


def describe(measured: Measured, here: Here, kernel_seconds: KernelSeconds | None) -> Machine:
    """The machine of one node on which a simulated step takes as long as the measurements say.

    Each rank is a device, as fast as it is while the others work as well.

    Args:
        measured: Times.
        here: Where they were taken.
        kernel_seconds: None if there is no simulator; then operators are as fast in a step as alone.
    """
    sources: dict[str, str] = {"nodes": "1: this machine", "node.devices": f"asked for: {here.ranks}, a rank each"}
    device = _device(measured, here, sources)
    slower = slowness_among_others(measured, device, kernel_seconds) if kernel_seconds else 1.0
    device = _slowed(device, slower)
    for key in ("memory_bandwidth_bytes_per_s", "cache", "peak_flops_per_s", "instructions_per_s"):
        if f"node.device.{key}" in sources:
            sources[f"node.device.{key}"] += f"; over {slower:.3f}, as operators are slower in a whole step"
    network, bytes_per_s = _network(measured, here, device, sources)
    is_alone = here.ranks == 1
    for key in ("interfaces", "interface_bandwidth_bytes_per_s", "injection_bandwidth_bytes_per_s"):
        sources[f"node.{key}"] = f"{UNVERIFIED}: of one node; nothing leaves it"
    if not is_alone:
        told = f"{here.by}: the faster of messages and all-reduces over {here.backend}"
        sources["node.peer_bandwidth_bytes_per_s"] = told
    node = Node(
        devices=here.ranks,
        device=device,
        interfaces=1,
        interface_bandwidth_bytes_per_s=bytes_per_s,
        injection_bandwidth_bytes_per_s=bytes_per_s,
        peer_bandwidth_bytes_per_s=None if is_alone else bytes_per_s,
    )
    machine = Machine(
        name=here.name,
        title=f"{here.processor}: {here.ranks} x {here.threads} thread(s)",
        nodes=1,
        node=node,
        network=network,
        storage=_storage(measured.disk, here, sources) if measured.disk else None,
        sources=sources,
    )
    return build(Machine, _rounded(to_table(machine)), where=here.name, error=MachineError)


def slowness_among_others(measured: Measured, device: Device, kernel_seconds: KernelSeconds) -> float:
    """How many times longer operators take in a step than alone, 1 at least: memory is new there, caches are cold.

    Args:
        measured: A step, and each of its operators alone.
        device: On which operators take as long as alone.
        kernel_seconds: Time of an operator on a device.
    """
    overhead_s = len(measured.step) * device.kernel_overhead_s
    alone_s = sum(kernel_seconds(kernel, device) for kernel in measured.step) - overhead_s
    return max(1.0, (measured.step_s - overhead_s) / alone_s)


def _slowed(device: Device, slower: float) -> Device:
    cache = device.cache
    return replace(
        device,
        memory_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s / slower,
        cache=cache and replace(cache, bandwidth_bytes_per_s=cache.bandwidth_bytes_per_s / slower),
        peak_flops_per_s={dtype: peak / slower for dtype, peak in device.peak_flops_per_s.items()},
        instructions_per_s=device.instructions_per_s and device.instructions_per_s / slower,
    )


def _rounded(value: Any) -> Any:
    """With as many digits as measurements have; without what is infinite by default, which no table can hold."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items() if item != math.inf}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _device(measured: Measured, here: Here, sources: dict[str, str]) -> Device:
    memory_bytes_per_s, cache = fit_memory(
        [each.kernel.nbytes for each in measured.additions], [each.seconds for each in measured.additions]
    )
    speeds = {dtype: fit_products(timed) for dtype, timed in measured.products.items()}
    speed: Speed = speeds["float32"]
    attention = fit_attention(
        measured.attention,
        peak_flops_per_s=speed.peak_flops_per_s,
        memory_bytes_per_s=memory_bytes_per_s,
        blocks=_BLOCKS,
    )
    by = here.by
    told = {
        "memory_bytes": "operating system: memory of the node, shared out to the ranks",
        "memory_bandwidth_bytes_per_s": f"{by}: additions of tensors larger than the cache",
        "memory_efficiency": "1: the bandwidth is what was reached",
        "cache": f"{by}: additions of tensors of {measured.additions[0].kernel.nbytes:,} B and more",
        "peak_flops_per_s": f"fitted to matrix products, {by}",
        "gemm_efficiency": "1: the peak is what large products are fitted to reach",
        "gemm_half_extent": f"fitted to matrix products, {by}",
        "kernel_overhead_s": f"{by}: a step of a network that is as good as empty, over its operators",
        "attention": f"fitted to attention of 17 to 256 tokens, exponentials counted as products, {by}",
        "instructions": f"{by}: nanoseconds an element",
        "instructions_per_s": "1 a nanosecond",
    }
    sources |= {f"node.device.{key}": source for key, source in told.items() if cache or key != "cache"}
    return Device(
        name=f"{here.processor}, {here.threads} thread(s)",
        memory_bytes=here.memory_bytes / here.ranks,
        memory_bandwidth_bytes_per_s=memory_bytes_per_s,
        memory_efficiency=1.0,
        peak_flops_per_s={dtype: each.peak_flops_per_s for dtype, each in speeds.items()},
        gemm_efficiency=1.0,
        gemm_half_extent=speed.half_extent,
        kernel_overhead_s=measured.overhead_s,
        cache=cache,
        attention=attention,
        instructions=fit_elements(measured.elementwise),
        instructions_per_s=1e9,
    )


def _network(measured: Measured, here: Here, device: Device, sources: dict[str, str]) -> tuple[Network, float]:
    """The network, and the speed between two ranks."""
    if not measured.all_reduces:
        for key in _LINK:
            sources[f"network.{key}"] = f"{UNVERIFIED}: 1 rank, which sends nothing; a copy in memory"
        bytes_per_s = device.memory_bandwidth_bytes_per_s / 2
        network = Network(
            topology="nonblocking", link_bandwidth_bytes_per_s=bytes_per_s, hop_latency_s=0.0, message_latency_s=0.0
        )
        return network, bytes_per_s
    send_s, send_s_per_byte = fit_messages(*zip(*measured.messages, strict=True))
    sum_s, sum_s_per_byte = fit_messages(*zip(*measured.all_reduces, strict=True))
    steps = (here.ranks - 1).bit_length()  # of the algorithms that take the fewest
    share = 2 * (here.ranks - 1) / here.ranks  # of the buffer, that a rank sends at least
    per_byte = {"mpi": sum_s_per_byte / share, "send": send_s_per_byte}
    latency = {"mpi": sum_s / steps, "send": send_s}
    least = min(per_byte.values())
    told = f"over {here.backend}, {here.by}"
    fitted = {"mpi": f"fitted to all-reduces {told}", "send": f"fitted to messages {told}"}
    for name, source in fitted.items():
        for key in ("latency_s", "copy_bytes_per_s"):
            sources[f"network.transports.{name}.regimes[0].{key}"] = source
    sources["network.transports.mpi.addition_bytes_per_s"] = "additions are counted as copies"
    for key in _LINK:
        sources[f"network.{key}"] = fitted["send"]
    transports = {
        name: Transport(
            regimes=(
                Regime(
                    latency_s=latency[name],
                    copy_bytes_per_s=1 / (per_byte[name] - least) if per_byte[name] > least else None,
                ),
            ),
            addition_bytes_per_s=FREE_PER_S if name == "mpi" else None,
        )
        for name in per_byte
    }
    network = Network(
        topology="nonblocking",
        link_bandwidth_bytes_per_s=1 / least,
        hop_latency_s=0.0,
        message_latency_s=latency["send"],
        transports=transports,
    )
    return network, 1 / least


def _storage(disk: Disk, here: Here, sources: dict[str, str]) -> Storage:
    sources["storage"] = f"{here.by}: rank 0 alone, with what the system may keep in memory"
    sources["storage.nodes_per_io_node"] = "1: this machine"
    return Storage(
        nodes_per_io_node=1,
        io_node_read_bytes_per_s=disk.read_bytes_per_s,
        io_node_write_bytes_per_s=disk.write_bytes_per_s,
        read_bytes_per_s=disk.read_bytes_per_s,
        write_bytes_per_s=disk.write_bytes_per_s,
        open_rate_hz=disk.open_rate_hz,
        create_rate_hz=disk.create_rate_hz,
    )
