"""Machine: nodes, devices and network of a computer, as data beside its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fujimi_core.checks import above_zero, at_least, within
from fujimi_core.errors import MachineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What one rank computes on.

    Args:
        name: For reports.
        memory_bytes: Memory that belongs to the device.
        memory_bandwidth_bytes_per_s: Peak of that memory.
        memory_efficiency: Share of that peak that streaming reaches, 0 to 1.
        peak_flops_per_s: Peak by element type.
        gemm_efficiency: Share of the peak that a very large matrix product reaches, 0 to 1.
        gemm_half_extent: Cube root of m·n·k at which a matrix product reaches half of that share.
        kernel_overhead_s: Time to start one operator.
    """

    name: str
    memory_bytes: float
    memory_bandwidth_bytes_per_s: float
    memory_efficiency: float
    peak_flops_per_s: Mapping[str, float]
    gemm_efficiency: float
    gemm_half_extent: float
    kernel_overhead_s: float

    def __post_init__(self) -> None:
        above_zero(self, "memory_bytes", "memory_bandwidth_bytes_per_s", "memory_efficiency", "gemm_efficiency")
        within(self, 0, 1, "memory_efficiency", "gemm_efficiency")
        at_least(self, 0, "gemm_half_extent", "kernel_overhead_s")
        if not self.peak_flops_per_s or min(self.peak_flops_per_s.values()) <= 0:
            raise ValueError(f"device {self.name!r}: peak_flops_per_s needs a positive number for at least one dtype")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What shares one place in the network.

    Args:
        devices: Devices of a node; a job runs one rank on each.
        device: What they are.
        interfaces: Network interfaces.
        interface_bandwidth_bytes_per_s: One interface, in each direction.
        injection_bandwidth_bytes_per_s: All of them together, as measured.
        peer_bandwidth_bytes_per_s: From one device to the others of its node, in each direction.
    """

    devices: int
    device: Device
    interfaces: int
    interface_bandwidth_bytes_per_s: float
    injection_bandwidth_bytes_per_s: float
    peer_bandwidth_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        above_zero(self, "devices", "interfaces", "interface_bandwidth_bytes_per_s", "injection_bandwidth_bytes_per_s")
        if self.devices > 1 and not self.peer_bandwidth_bytes_per_s:
            raise ValueError("a node of several devices needs peer_bandwidth_bytes_per_s, the speed between them")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAxis:
    """One axis of a mesh or torus.

    Args:
        name: As the machine's documents call it.
        extent: Nodes along it.
        wrap: Whether the last node is linked to the first.
        unit: Whether it lies inside the unit that the scheduler hands out whole.
    """

    name: str
    extent: int
    wrap: bool
    unit: bool = False

    def __post_init__(self) -> None:
        above_zero(self, "extent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What connects the nodes.

    Args:
        topology: Name of a topology that some plugin offers.
        axes: Axes, for topologies that have them.
        link_bandwidth_bytes_per_s: One link, in each direction.
        hop_latency_s: Per link passed.
        message_latency_s: Software and interfaces at both ends of one message.
    """

    topology: str
    axes: tuple[NetworkAxis, ...] = ()
    link_bandwidth_bytes_per_s: float
    hop_latency_s: float
    message_latency_s: float

    def __post_init__(self) -> None:
        above_zero(self, "link_bandwidth_bytes_per_s")
        at_least(self, 0, "hop_latency_s", "message_latency_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How unequal nodes are.

    Args:
        compute_std: Standard deviation of a rank's compute time over its mean.
    """

    compute_std: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 0, "compute_std")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A computer.

    Args:
        name: By which it is asked for.
        title: One line for people.
        nodes: Number of nodes.
        node: What they are.
        network: What connects them.
        noise: How unequal they are.
        sources: Where each number comes from, by its dotted key; "unverified" at the start of those nobody could check.
    """

    name: str
    title: str
    nodes: int
    node: Node
    network: Network
    noise: Noise = field(default_factory=Noise)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        above_zero(self, "nodes")

    @property
    def ranks(self) -> int:
        """Ranks of a job on the whole machine."""
        return self.nodes * self.node.devices

    def require_nodes(self, nodes: int) -> None:
        """Refuse a number of nodes that the machine does not have.

        Raises:
            MachineError: If it has not so many, or none are asked for.
        """
        if not 1 <= nodes <= self.nodes:
            raise MachineError(
                f"machine {self.name!r} has {self.nodes:,} nodes; {nodes:,} cannot be used: ask for 1 to {self.nodes:,}"
            )
